"""The resources that Envoy last accepted, in one file: what a site serves with when nothing else can be had.

Format: magic, then per resource three length-prefixed parts (type URL, name, message), then SHA-256 of all before it.
A file that was cut or damaged is refused as a whole.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping

_MAGIC = b"isthmus-resources-1\n"
_LENGTH = struct.Struct("<I")


class ResourceFileError(ValueError):
    """The bytes are not a complete resource file."""


def emit_resource_file(resources: Mapping[str, Mapping[str, bytes]]) -> bytes:
    """Equal resources give equal bytes."""
    parts = [_MAGIC]
    for type_url in sorted(resources):
        for name, body in sorted(resources[type_url].items()):
            for part in (type_url.encode(), name.encode(), body):
                parts += (_LENGTH.pack(len(part)), part)
    content = b"".join(parts)
    return content + hashlib.sha256(content).digest()


def parse_resource_file(data: bytes) -> dict[str, dict[str, bytes]]:
    """What `emit_resource_file` was given. Raises ResourceFileError."""
    content, digest = data[:-32], data[-32:]
    if not content.startswith(_MAGIC) or hashlib.sha256(content).digest() != digest:
        raise ResourceFileError("the resource file is damaged")
    resources: dict[str, dict[str, bytes]] = {}
    parts, offset = [], len(_MAGIC)
    while offset < len(content):
        (length,) = _LENGTH.unpack_from(content, offset)
        offset += _LENGTH.size
        parts.append(content[offset : offset + length])
        offset += length
        if len(parts) == 3:
            type_url, name, body = parts
            resources.setdefault(type_url.decode(), {})[name.decode()] = body
            parts = []
    return resources
