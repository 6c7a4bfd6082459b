"""What senders to receivers of telemetry have in common: how a delivery fails, and the secrets that go with it."""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from isthmus.generated import otlp_pb2 as wire
from isthmus.model.header_text import find_unsendable
from isthmus.model.key import ObjectKey
from isthmus.telemetry.batch import BatchInvalid
from isthmus.telemetry.setting import HttpSettings

SecretValue = Callable[[ObjectKey], str | None]
GZIP = b"\x1f\x8b"
"""How a compressed body begins."""


class BodyRefused(BatchInvalid):
    """The receiver will never take this body."""


class Unsent(Exception):
    """Why a body could not be sent now, for people."""


def secret_headers(settings: HttpSettings, secret: SecretValue) -> dict[str, str]:
    """The headers that hold secrets, with these as they are now. Raises Unsent: one is not here, or no header."""
    headers = {name: _value(key, secret) for name, key in settings.secret_headers}
    if settings.token is not None:
        headers["authorization"] = f"Bearer {_value(settings.token, secret)}"
    return headers


def rejected_items(answer: bytes) -> int:
    """What an OTLP receiver did not take of a body that it took (partial success)."""
    try:
        return wire.Response.FromString(answer).partial_success.rejected
    except DecodeError:
        return 0  # it took the body, whatever it says


def _value(key: ObjectKey, secret: SecretValue) -> str:
    value = secret(key)
    if value is None:
        raise Unsent(f"the site has no copy of {key.title} yet")
    if find_unsendable(value) is not None:  # looked at before: the library's refusal shows the value
        text = "holds a line break, a control character or one beyond ASCII; no HTTP header can"
        raise Unsent(f"{key.title} {text}")
    return value.strip()
