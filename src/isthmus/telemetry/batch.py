"""Batches: what a site tells of a few seconds, as one message of the stream's interface."""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa
from google.protobuf.message import DecodeError

from isthmus.generated import stream_pb2 as wire
from isthmus.telemetry.arrow import StreamRefused, check_stream
from isthmus.telemetry.decoder import RECORD_SCHEMA
from isthmus.telemetry.rollup import KEY

MAX_ROWS = 1_000_000
"""Rows of one table of a batch."""
MAX_BYTES = 64 << 20
"""Bytes of a batch, and of all its tables when they are unpacked."""
MAX_HOURS = 48
"""Hours that the rows of one batch are of at most: it tells of a few seconds, and the store keeps each hour apart."""
MAX_LOST = 1 << 53
"""Requests that one batch may say were lost."""
_ADDED = ("credential", "weight", "trace_id")
"""Columns that sites of an earlier release do not tell."""
_EARLY, _LATE = 30 * 86_400.0, 300.0

_KEY_SCHEMA: dict[str, Any] = {"time": pl.Datetime("us", "UTC"), **dict.fromkeys(KEY, pl.String)}
SCHEMAS: dict[str, dict[str, Any]] = {
    "record": RECORD_SCHEMA,
    "signal": {
        **_KEY_SCHEMA,
        "code": pl.UInt16,
        "error": pl.String,
        **dict.fromkeys(("requests", "retries", "received", "sent", "total_sum", "own_sum", "upstream_sum"), pl.UInt64),
    },
    "latency": {**_KEY_SCHEMA, "part": pl.String, "bucket": pl.UInt16, "requests": pl.UInt64},
    "gauge": {"time": pl.Datetime("us", "UTC"), "name": pl.String, "label": pl.String, "value": pl.Float64},
}
"""The tables of a batch and their columns. The store has `tenant` and `site` besides: the console says those."""


class BatchInvalid(ValueError):
    """A message that is no batch; it will never be taken."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A parsed batch.

    Attributes:
        subject: who measured it.
        token: names the batch; the same is taken once.
        requests: how many requests it tells of.
        tables: rows by name of the table.
        losses: requests that nothing is told of, by reason.
    """

    subject: str
    token: str
    at: float
    requests: int
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    losses: Mapping[str, int] = field(default_factory=dict)


def emit_batch(batch: Batch) -> bytes:
    """The message."""
    message = wire.Batch(subject=batch.subject, token=batch.token, at=batch.at, requests=batch.requests)
    for name, frame in batch.tables.items():
        message.tables.add(name=name, rows=_pack(frame), count=frame.height)
    for reason, requests in sorted(batch.losses.items()):
        message.losses.add(reason=reason, requests=requests)
    return message.SerializeToString()


def parse_batch(body: bytes, now: float) -> Batch:
    """The batch, its rows checked against SCHEMAS. Tables that this release does not know are passed over.

    Records of times that cannot be (over 30 days old, or over five minutes to come) are left out, and a batch of such a
    time counts as of now.

    Raises BatchInvalid: for whatever the store could not keep, too, or a batch that is tried again and again would hold
    up all behind it.
    """
    message = _parse(body)
    tables: dict[str, pl.DataFrame] = {}
    left = MAX_BYTES
    for each in message.tables:
        if each.name in tables:
            raise BatchInvalid(f"The table {each.name} stands twice.")
        if each.name in SCHEMAS:
            plain = _unpack(each.name, each.rows, left)
            left -= len(plain)
            tables[each.name] = _rows(each.name, plain, now)
    losses: dict[str, int] = {}
    for loss in message.losses:
        losses[loss.reason[:64]] = losses.get(loss.reason[:64], 0) + loss.requests
    if sum(losses.values()) > MAX_LOST:
        raise BatchInvalid(f"The batch tells of more than {MAX_LOST} lost requests.")
    known = math.isfinite(message.at) and now - _EARLY <= message.at <= now
    return Batch(message.subject, message.token, message.at if known else now, message.requests, tables, losses)


def parse_head(body: bytes) -> tuple[str, str, int]:
    """Subject, token and number of requests, without looking at the rows. Raises BatchInvalid."""
    message = _parse(body)
    return message.subject, message.token, message.requests


def subject_of(body: bytes) -> str:
    """Who says that it measured a batch. Raises BatchInvalid."""
    return parse_head(body)[0]


def _parse(body: bytes) -> wire.Batch:
    if len(body) > MAX_BYTES:
        raise BatchInvalid(f"The message is larger than {MAX_BYTES} bytes.")
    try:
        message = wire.Batch.FromString(body)
    except DecodeError as error:
        raise BatchInvalid("The message is no batch.") from error
    if not message.subject or not 0 < len(message.token) <= 200:
        raise BatchInvalid("A batch has a subject and a token of at most 200 characters.")
    return message


def _pack(frame: pl.DataFrame) -> bytes:
    rows = io.BytesIO()
    frame.write_ipc_stream(rows)
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(rows.getbuffer())
    return bytes(sink.getvalue())


def _unpack(name: str, rows: bytes, most: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(rows), "zstd") as stream:
            plain: bytes = stream.read(most + 1)
    except (pa.ArrowException, OSError) as error:
        raise BatchInvalid(f"The table {name} cannot be read: {error}") from error
    if len(plain) > most:
        raise BatchInvalid(f"The tables are larger than {MAX_BYTES} bytes.")
    return plain


def _rows(name: str, plain: bytes, now: float) -> pl.DataFrame:
    try:
        check_stream(plain, SCHEMAS[name], MAX_ROWS)
        frame = pl.read_ipc_stream(io.BytesIO(plain))
        frame = frame.select(
            (pl.col(column).cast(kind).fill_null(_empty(kind)) if column not in _ADDED else _added(frame, column, kind))
            for column, kind in SCHEMAS[name].items()
        )
    except StreamRefused as error:
        raise BatchInvalid(f"The table {name} is not read: {error}.") from error
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise BatchInvalid(f"The table {name} cannot be read: {error}") from error
    if sum(frame.select(pl.col(pl.String).str.len_bytes().sum()).row(0)) > MAX_BYTES:  # many may share one buffer
        raise BatchInvalid(f"The texts of the table {name} are longer than {MAX_BYTES} bytes.")
    seconds = pl.col("time").dt.epoch("s")
    frame = frame.filter(seconds.is_between(now - _EARLY, now + _LATE))
    if frame.select(seconds // 3600).n_unique() > MAX_HOURS:
        raise BatchInvalid(f"The table {name} tells of more than {MAX_HOURS} hours.")
    return frame


def _added(frame: pl.DataFrame, column: str, kind: Any) -> pl.Expr:
    if column in frame.columns:
        return pl.col(column).cast(kind).fill_null(_empty(kind))
    return _empty(kind).alias(column)


def _empty(kind: Any) -> pl.Expr:
    if kind == pl.String:
        return pl.lit("")
    return pl.lit(0).cast(kind)
