"""Values that are written and never read back: private keys, tokens, passwords.

A document holds one as plain text when it is applied. The console takes the text out and puts a fingerprint in its
place, so that objects, differences, revisions and manifests never hold it. Applying `kept:FINGERPRINT`, as `get` gives
it, means the value that is there already.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_KEPT = re.compile(r"kept:([0-9a-f]{32})?")
_LONGEST = 256 * 1024


@dataclass(frozen=True, slots=True)
class Private:
    """One private value: the text itself, or what stands in its place.

    Attributes:
        text: the value, where it is known; None where something stands in its place. Never shown.
        fingerprint: 32 hexadecimal digits that are the same for the same value in the same field; empty where the
            value was never stored.
    """

    text: str | None = None
    fingerprint: str = ""

    def __str__(self) -> str:
        return f"kept:{self.fingerprint}"

    def __repr__(self) -> str:
        return f"Private({self})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _parse_private, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "writeOnly": True}


def _parse_private(value: Any) -> Private:
    """The messages never hold the value."""
    if isinstance(value, Private):
        return value
    if not isinstance(value, str):
        raise ValueError("must be text; write it in quotes")
    if not value.strip():
        raise ValueError("must not be empty")
    if len(value) > _LONGEST:
        raise ValueError(f"must have at most {_LONGEST} characters")
    kept = _KEPT.fullmatch(value)
    return Private(fingerprint=kept[1] or "") if kept else Private(text=value)
