"""Records as JSON documents: what a log receiver gets by HTTP, in a file and by syslog.

The fields are those of the API's records. `time` is RFC 3339 in UTC; `total`, `own` and `upstream` are milliseconds.
"""

import io
from collections.abc import Iterator

import polars as pl

from isthmus.telemetry.flag import CLIENT_ERRORS
from isthmus.telemetry.sampling import Sampling, sample
from isthmus.telemetry.setting import Choice

MOST_RECORDS = 5_000
"""Records of one body."""
_TIMES = ("total", "own", "upstream")


def choose(records: pl.DataFrame, choice: Choice, seconds: float) -> pl.DataFrame:
    """The records that a receiver is sent, of all that came in so many seconds; oldest first."""
    found = records if choice.fabric else records.filter(pl.col("log") == "ingress")
    if choice.namespaces is not None:
        found = found.filter(pl.col("namespace").is_in(choice.namespaces))
    if choice.virtual_hosts is not None:
        found = found.filter(pl.col("virtual_host").is_in(choice.virtual_hosts))
    if choice.errors_only:
        found = found.filter(pl.col("error") != "")
    return sample(found, Sampling(choice.share, choice.per_second), seconds).sort("time")


def slices_of(records: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The records in parts that fit one body each."""
    return iter(records.iter_slices(MOST_RECORDS))


def documents_of(records: pl.DataFrame, tenant: str, site: str) -> pl.DataFrame:
    """One column per field, as receivers name them."""
    named = records.select(
        pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        pl.lit(tenant).alias("tenant"),
        pl.lit(site).alias("site"),
        *(pl.col(name) for name in records.columns if name not in ("time", *_TIMES)),
        *(pl.col(name).cast(pl.Float64) / 1000 for name in _TIMES),
    )
    return named.rename({name: _camel(name) for name in named.columns})


def emit_lines(documents: pl.DataFrame) -> bytes:
    """NDJSON: one document per line."""
    body = io.BytesIO()
    documents.write_ndjson(body)
    return body.getvalue()


def emit_array(documents: pl.DataFrame) -> bytes:
    """One JSON array."""
    return b"[" + emit_lines(documents).rstrip(b"\n").replace(b"\n", b",") + b"]"  # a text's own line end is escaped


def severity_of(error: str) -> int:
    """How bad a class of failure is, as syslog says it (RFC 5424, table 2): 6 informational, 4 warning when the client
    brought it about, 3 error."""
    if not error:
        return 6
    return 4 if error in CLIENT_ERRORS else 3


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
