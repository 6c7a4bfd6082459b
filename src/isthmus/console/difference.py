"""What an edit changes in an object, as people read it."""

import difflib
from typing import Any

import yaml

from isthmus.model.object import Object


def document_of(obj: Object) -> dict[str, Any]:
    """An object as people write it: without what the console adds, and without defaults."""
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


def emit_yaml(document: Any) -> str:
    """A document as YAML, in its own order."""
    return yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)


def diff_of(old: Object | None, new: Object | None) -> str:
    """A unified difference of the two documents; empty when they are equal."""
    present = new or old
    if present is None:
        return ""
    before, after = ("" if obj is None else emit_yaml(document_of(obj)) for obj in (old, new))
    name = str(present.key)
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        fromfile=name if old is not None else "/dev/null",
        tofile=name if new is not None else "/dev/null",
    )
    return "".join(lines)
