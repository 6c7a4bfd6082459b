"""An intent as plain data, for people: YAML of `isthmus compile -o intent` and of the goldens."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from isthmus.compile.intent import Intent, Socket
from isthmus.model import Diagnostic, ObjectKey


def intent_document(intent: Intent) -> dict[str, Any]:
    """Mappings, lists, text, numbers and booleans only. Keys become `tenant/Kind/namespace/name`, sockets
    `address:port`; fields that are empty, None or False are left out."""
    document: dict[str, Any] = _plain(intent)
    return document


def diagnostic_document(diagnostic: Diagnostic) -> dict[str, str]:
    """The same for a diagnostic."""
    document = {
        "code": diagnostic.code,
        "object": str(diagnostic.object) if diagnostic.object else "",
        "field": diagnostic.field,
        "message": diagnostic.message,
        "mend": diagnostic.mend,
    }
    return {key: text for key, text in document.items() if text}


def _plain(value: Any) -> Any:
    if isinstance(value, ObjectKey | Socket):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        pairs = ((field.name, _plain(getattr(value, field.name))) for field in fields(value))
        return {name: plain for name, plain in pairs if plain not in (None, False, [], {}, "")}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return value
