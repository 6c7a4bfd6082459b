"""The store's tables, in ClickHouse's SQL: the same for the embedded store and for a server.

Sites tell of single seconds. Materialized views add those up to minutes and hours as they arrive, so a question over a
month reads as few rows as one over an hour. Tokens make a batch that comes twice count once, in the views too: that
needs a deduplication window on every table that a batch reaches.
"""

from collections.abc import Iterator

from isthmus.telemetry.batch import SCHEMAS
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.rollup import KEY

WINDOW = 10_000
"""Batches that are remembered by their tokens."""

REMEMBERED = 100_000
"""Batches whose names the console knows, so that none is kept twice."""
_REMEMBERED_DAYS = 0.5

STEPS = (("", 1), ("_1m", 60), ("_1h", 3600))
"""Suffix of a roll-up's table, and the seconds of its rows."""

_TYPES = {
    "time": "DateTime('UTC')",
    "code": "UInt16",
    "bucket": "UInt16",
    "attempts": "UInt16",
    "total": "UInt32",
    "own": "UInt32",
    "upstream": "UInt32",
    "value": "Float64",
    "credential": "Bool",
    "weight": "Float32",
    "trace_id": "String",
}
_ADDED = ("credential", "weight", "trace_id")
"""Columns of `record` that a store of an earlier release lacks."""
_WIDE = ("client_address", "path", "request_id", "user_agent", "authority", "details", "sni")
"""Texts of which there are many different ones."""
_NUMBERS = ("requests", "retries", "received", "sent", "total_sum", "own_sum", "upstream_sum")
_SIGNAL_KEY = ("tenant", "site", *KEY, "code", "error")
_LATENCY_KEY = ("tenant", "site", *KEY, "part", "bucket")


def columns_of(table: str) -> dict[str, str]:
    """Columns of a table that batches come to, with their types."""
    found = {"tenant": "LowCardinality(String)", "site": "LowCardinality(String)"}
    for name in SCHEMAS[table]:
        if name == "time" and table == "record":
            found[name] = "DateTime64(6, 'UTC')"
        elif name in _NUMBERS:
            found[name] = "UInt64"
        else:
            found[name] = _TYPES.get(name) or ("String" if name in _WIDE else "LowCardinality(String)")
    if table == "record":
        found["received"] = found["sent"] = "UInt64"
    return found


def emit_schema(retention: Retention, engine: str = "") -> Iterator[str]:
    """Statements that make what is missing; each may be said again at every start.

    `engine` is a prefix of the table engines: "Replicated" on a cluster whose macros say shard and replica. Only the
    plain form is tested here.
    """
    yield _table(
        "record", columns_of("record"), engine + "MergeTree", "toDate(time)", "tenant, time", retention.records
    )
    for name in _ADDED:
        yield f"ALTER TABLE record ADD COLUMN IF NOT EXISTS `{name}` {_TYPES[name]}"
    yield (
        "CREATE TABLE IF NOT EXISTS interface (tenant LowCardinality(String), virtual_host String, "
        f"time DateTime('UTC'), body String) ENGINE = {engine}ReplacingMergeTree(time) ORDER BY (tenant, virtual_host) "
        f"TTL time + toIntervalSecond({round(retention.endpoints * 86_400)})"
    )
    yield _table(
        "gauge", columns_of("gauge"), engine + "MergeTree", "toDate(time)", "tenant, name, time", retention.minutes
    )
    loss = {
        "tenant": "LowCardinality(String)",
        "site": "LowCardinality(String)",
        "role": "LowCardinality(String)",
        "time": "DateTime('UTC')",
        "reason": "LowCardinality(String)",
        "requests": "UInt64",
    }
    yield _table("loss", loss, engine + "MergeTree", "toYYYYMM(time)", "tenant, time", retention.hours)
    taken = {name: loss[name] for name in ("tenant", "site")} | {"name": "String", "time": "DateTime('UTC')"}
    yield _table("taken", taken, engine + "MergeTree", "toStartOfHour(time)", "time", _REMEMBERED_DAYS)
    days = {"": retention.seconds, "_1m": retention.minutes, "_1h": retention.hours}
    parts = {"": "toStartOfHour(time)", "_1m": "toDate(time)", "_1h": "toYYYYMM(time)"}
    for table, key in (("signal", _SIGNAL_KEY), ("latency", _LATENCY_KEY)):
        columns = columns_of(table)
        order = ", ".join(("tenant", "time", *(name for name in key if name != "tenant")))
        for suffix, seconds in STEPS:
            kind = "MergeTree" if not suffix else "SummingMergeTree"
            yield _table(f"{table}{suffix}", columns, engine + kind, parts[suffix], order, days[suffix])
            if suffix:
                yield _view(table, suffix, seconds, columns, key)


def _table(name: str, columns: dict[str, str], engine: str, partition: str, order: str, days: float) -> str:
    body = ", ".join(f"`{column}` {kind}" for column, kind in columns.items())
    return (
        f"CREATE TABLE IF NOT EXISTS {name} ({body}) ENGINE = {engine} PARTITION BY {partition} ORDER BY ({order}) "
        f"TTL toDateTime(time) + toIntervalSecond({round(days * 86_400)}) "
        f"SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = {WINDOW}"
    )


def _view(table: str, suffix: str, seconds: int, columns: dict[str, str], key: tuple[str, ...]) -> str:
    start = f"toStartOfInterval(time, toIntervalSecond({seconds}))"
    sums = ", ".join(f"sum({name}) AS {name}" for name in columns if name in _NUMBERS)
    names = ", ".join(key)
    numbers = ", ".join(name for name in columns if name in _NUMBERS)
    # the inner name must not shadow the column that is rounded
    added = f"SELECT {start} AS t, {names}, {sums} FROM {table} GROUP BY t, {names}"  # noqa: S608 - our own names
    target = f"{table}{suffix}"
    rounded = f"SELECT t AS time, {names}, {numbers} FROM ({added})"  # noqa: S608
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {target}_view TO {target} AS {rounded}"
