"""Tables that would take far more room than their messages are refused before they are read."""

from __future__ import annotations

import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from isthmus.generated import stream_pb2 as wire
from isthmus.telemetry.batch import MAX_ROWS, SCHEMAS, Batch, BatchInvalid, emit_batch, parse_batch

NOW = datetime.now(UTC)


def table(**columns: Any) -> pa.Table:
    rows = len(next(iter(columns.values())))
    plain = {"time": pa.array([NOW] * rows, pa.timestamp("us", "UTC"))}
    plain |= {name: pa.array(["x"] * rows) for name in ("name", "label")} | {"value": pa.array([1.0] * rows)}
    return pa.table({**plain, **columns})


def message(rows: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(**options)) as stream:
        stream.write_table(rows)
    squeezed = pa.BufferOutputStream()
    with pa.CompressedOutputStream(squeezed, "zstd") as stream:
        stream.write(sink.getvalue())
    batch = wire.Batch(subject="default/site/ams", token="1", at=time.time(), requests=1)
    batch.tables.add(name="gauge", rows=squeezed.getvalue().to_pybytes(), count=rows.num_rows)
    return batch.SerializeToString()


def test_a_plain_table_is_read() -> None:
    parsed = parse_batch(message(table(value=pa.array([1.0, 2.0]))), time.time())
    assert parsed.tables["gauge"]["value"].to_list() == [1.0, 2.0]
    assert parsed.tables["gauge"].schema == pl.Schema(SCHEMAS["gauge"])


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (message(pa.table({"name": pa.nulls(50_000_000)})), "more than"),
        (message(table(name=pa.nulls(10))), "type null"),
        (message(table(label=pa.array([True] * 10))), "type bool"),
        (message(table(name=pa.array(["x"] * 10).dictionary_encode())), "compressed"),
        (message(table(name=pa.array(["x" * 1000] * 1000)), compression="zstd"), "compressed"),
        (message(table(value=pa.array([1.0] * (MAX_ROWS + 1)))), "more than"),
    ],
    ids=["rows of nothing", "nulls", "bits", "dictionary", "compressed", "rows"],
)
def test_what_stands_for_more_than_it_is_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(BatchInvalid, match=why):
        parse_batch(body, time.time())


def test_texts_that_share_a_buffer_count_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("isthmus.telemetry.batch.MAX_BYTES", 100_000)
    shared = pl.DataFrame({"name": ["y" * 60_000]}).select(pl.col("name").repeat_by(50).explode())
    body = message(table(name=pa.array(shared["name"].to_list(), pa.string())).slice(0, 1))
    assert parse_batch(body, time.time()).tables["gauge"].height == 1
    frame = shared.with_columns(time=pl.lit(NOW), label=pl.lit("x"), value=pl.lit(1.0)).select(list(SCHEMAS["gauge"]))
    with pytest.raises(BatchInvalid, match=r"longer|larger"):
        parse_batch(emit_batch(Batch("default/site/ams", "1", time.time(), 1, {"gauge": frame})), time.time())


def test_a_batch_of_very_many_hours_is_refused() -> None:
    times = [NOW - timedelta(hours=hour) for hour in range(60)]
    body = message(table(value=pa.array([1.0] * 60)).set_column(0, "time", pa.array(times, pa.timestamp("us", "UTC"))))
    with pytest.raises(BatchInvalid, match="hours"):
        parse_batch(body, time.time())
