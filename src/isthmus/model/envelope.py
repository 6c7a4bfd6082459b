"""Objects on the wire: canonical JSON, so that equal objects have equal bytes and one hash."""

import hashlib
import json

from pydantic import ValidationError

from isthmus.model.kind import KINDS
from isthmus.model.object import Object


class EnvelopeError(ValueError):
    """The bytes are not an object of a kind and shape that this release knows.

    Attributes:
        unsupported: True when a newer release may know it (unknown kind or field), False when the bytes are damaged.
    """

    def __init__(self, message: str, *, unsupported: bool) -> None:
        super().__init__(message)
        self.unsupported = unsupported


def emit_envelope(obj: Object) -> bytes:
    """Canonical JSON of an object: keys sorted, no spaces, UTF-8; fields that are unset (None) or default are left out
    where reading them back gives the same object. Of an object that this release refuses: the bytes that are stored."""
    if obj.refused is not None:
        return obj.refused.body
    data = obj.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    data["apiVersion"] = obj.api_version
    data["kind"] = obj.kind
    data["metadata"]["tenant"] = obj.metadata.tenant
    data.setdefault("spec", {})
    if obj.kind == "VirtualSite":
        data["spec"]["selector"] = obj.spec.selector if obj.spec.selector is None else list(obj.spec.selector)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def content_hash(body: bytes) -> str:
    """SHA-256 of an envelope's bytes, in hexadecimal: the object's address in manifests and stores."""
    return hashlib.sha256(body).hexdigest()


def parse_envelope(body: bytes) -> Object:
    """Parse what `emit_envelope` gives.

    Raises:
        EnvelopeError: the kind or a field is unknown to this release (`unsupported`), or the bytes are no object.
    """
    try:
        kind = json.loads(body)["kind"]
    except (ValueError, KeyError, TypeError) as error:
        raise EnvelopeError(f"not an object: {error}", unsupported=False) from None
    if kind not in KINDS:
        raise EnvelopeError(f"the kind {kind!r} is not known to this release", unsupported=True)
    try:
        return KINDS[kind].model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise EnvelopeError(f"{place}: {first['msg']}", unsupported=True) from None
