"""What an Arrow stream claims, before anything is made of it.

A stream of a few bytes can stand for gigabytes: columns of nulls take no room on the wire, and buffers may be
compressed. So the metadata of every message are read first (Arrow's columnar format, "Encapsulated message format": a
FlatBuffer of `Message.fbs`), and only plain record batches of the expected kinds of columns pass.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa

_RECORD_BATCH = 3
_DICTIONARY = 2


class StreamRefused(ValueError):
    """A stream that is not read."""


def check_stream(plain: bytes, columns: Mapping[str, Any], most: int) -> None:
    """Check a stream against the kinds of `columns` (polars types by name); others in it are nobody's business.

    Raises StreamRefused for one of more than `most` rows, with compressed buffers or dictionaries, or whose columns are
    of other kinds; pyarrow.ArrowException for what is no stream.
    """
    rows = 0
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(plain)):
        kind, length, compressed = _head(message.metadata.to_pybytes())
        if kind == _DICTIONARY or compressed:
            raise StreamRefused("its buffers are compressed")
        if kind == _RECORD_BATCH:
            rows += length
            if not 0 <= length <= most or rows > most:
                raise StreamRefused(f"it has more than {most} rows")
    for field in pa.ipc.open_stream(pa.BufferReader(plain)).schema:
        wanted = columns.get(field.name)
        if wanted is not None and not _fits(field.type, wanted):
            raise StreamRefused(f"its column {field.name} is of the type {field.type}")


def _fits(found: Any, wanted: Any) -> bool:
    if wanted == pl.String:
        return bool(pa.types.is_string(found) or pa.types.is_large_string(found) or found == pa.string_view())
    if wanted == pl.Boolean:
        return bool(pa.types.is_boolean(found))
    if isinstance(wanted, pl.Datetime):
        return bool(pa.types.is_timestamp(found))
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))


def _head(metadata: bytes) -> tuple[int, int, bool]:
    """Of a message: its kind, its rows if it is a record batch, and whether its buffers are compressed."""
    try:
        root = struct.unpack_from("<I", metadata)[0]
        kind_at, header_at = _field(metadata, root, 1), _field(metadata, root, 2)
        kind = metadata[kind_at] if kind_at else 0
        if kind != _RECORD_BATCH or not header_at:
            return kind, 0, False
        header = header_at + struct.unpack_from("<I", metadata, header_at)[0]
        length_at = _field(metadata, header, 0)
        length = struct.unpack_from("<q", metadata, length_at)[0] if length_at else 0
        return kind, length, bool(_field(metadata, header, 3))
    except (struct.error, IndexError) as error:
        raise StreamRefused("its metadata are damaged") from error


def _field(metadata: bytes, table: int, number: int) -> int:
    """Where a field of a FlatBuffer's table is; 0 when the table does not have it."""
    entries = table - struct.unpack_from("<i", metadata, table)[0]
    slot = 4 + 2 * number
    if slot + 2 > struct.unpack_from("<H", metadata, entries)[0]:
        return 0
    offset = struct.unpack_from("<H", metadata, entries + slot)[0]
    return table + offset if offset else 0
