"""What an edit changes in an object, as people read it."""

import difflib
import json
from typing import Any

import yaml

from isthmus.model.certificate import Certificate
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object


def document_of(obj: Object) -> dict[str, Any]:
    """An object as people write it: without what the console adds, and without defaults. One that this release refuses
    is shown as it is stored."""
    if obj.refused is not None:
        return _as_stored(obj.refused.body)
    meta = obj.metadata.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    name = {"namespace": obj.metadata.namespace} if obj.metadata.namespace else {}
    rest = {part: value for part, value in meta.items() if part not in ("tenant", "namespace", "name")}
    spec = obj.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if obj.kind == "VirtualSite":
        spec["selector"] = None if obj.spec.selector is None else list(obj.spec.selector)
    return {
        "apiVersion": obj.api_version,
        "kind": obj.kind,
        "metadata": {"name": obj.metadata.name, **name, **rest},
        "spec": spec,
    }


def _as_stored(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    meta = {part: value for part, value in document["metadata"].items() if part != "tenant"}
    return {"apiVersion": document["apiVersion"], "kind": document["kind"], "metadata": meta, "spec": document["spec"]}


def _shown(obj: Object) -> dict[str, Any]:
    """With what the console got for a certificate, which is a change worth showing, too."""
    document = document_of(obj)
    if isinstance(obj, Certificate) and obj.system.acme is not None:
        got = obj.system.acme.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        document["system"] = {"acme": got}
    return document


def emit_yaml(document: Any) -> str:
    """A document as YAML, in its own order."""
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)


def diff_of(old: Object | None, new: Object | None) -> str:
    """A unified difference of the two documents; empty when they are equal."""
    present = new or old
    if present is None:
        return ""
    name = str(present.key)
    return _diff(name, *([] if obj is None else emit_yaml(_shown(obj)).splitlines() for obj in (old, new)))


def diff_of_bytes(key: ObjectKey, body: bytes) -> str:
    """That something was deleted which cannot be read as an object."""
    return _diff(str(key), body.decode(errors="backslashreplace").splitlines(), [])


def _diff(name: str, before: list[str], after: list[str]) -> str:
    if not before or not after:  # all of one side: nothing to compare
        sign, count = ("+", len(after)) if after else ("-", len(before))
        sides = ("/dev/null", name) if after else (name, "/dev/null")
        place = f"-0,0 +1,{count}" if after else f"-1,{count} +0,0"
        lines = [f"--- {sides[0]}", f"+++ {sides[1]}", f"@@ {place} @@", *(f"{sign}{line}" for line in after or before)]
    else:
        lines = list(difflib.unified_diff(before, after, fromfile=name, tofile=name, lineterm=""))
    return "".join(f"{line}\n" for line in lines)
