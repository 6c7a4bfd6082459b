"""Records to the two tables of one second: counters by what happened, and latencies by bucket."""

import polars as pl

from isthmus.telemetry.decoder import bucket_expression

KEY = ("log", "namespace", "virtual_host", "route", "cluster", "subset", "peer", "endpoint", "client")
"""What signals are told apart by, beside time, tenant and site."""
PARTS = ("total", "own", "upstream")
"""Latencies of a record, each in microseconds."""
MANY_CLIENTS = 200
"""Clients of one batch that are told apart; the rest of them is one."""
OTHER = "other"

_SUMS = ("received", "sent", "total", "own", "upstream")


def signals_of(records: pl.DataFrame) -> pl.DataFrame:
    """Counters: for each second, key, status and class of failure the number of records, retries, bytes, and sums of
    latencies. A record counts in the second in which it ended."""
    return (
        _timed(records)
        .group_by("time", *KEY, "code", "error")
        .agg(
            requests=pl.len().cast(pl.UInt64),
            retries=pl.col("attempts").cast(pl.Int64).sub(1).clip(0).sum().cast(pl.UInt64),
            **{f"{name}_sum" if name in PARTS else name: pl.col(name).cast(pl.UInt64).sum() for name in _SUMS},
        )
        .sort("time", *KEY)
    )


def latencies_of(records: pl.DataFrame) -> pl.DataFrame:
    """Latencies: for each second, key, part and bucket the number of records."""
    timed = _timed(records)
    parts = [
        timed.group_by("time", *KEY, bucket_expression(part).alias("bucket"))
        .agg(requests=pl.len().cast(pl.UInt64))
        .with_columns(part=pl.lit(part))
        for part in PARTS
    ]
    return pl.concat(parts).select("time", *KEY, "part", "bucket", "requests").sort("time", *KEY, "part", "bucket")


def few_clients(records: pl.DataFrame) -> pl.DataFrame:
    """The records with the rarest clients named alike, if there are too many: the store's memory is bounded by that."""
    clients = records.get_column("client").value_counts(sort=True)
    if clients.height <= MANY_CLIENTS:
        return records
    kept = clients.get_column("client").head(MANY_CLIENTS)
    return records.with_columns(
        client=pl.when(pl.col("client").is_in(kept.implode())).then("client").otherwise(pl.lit(OTHER))
    )


def _timed(records: pl.DataFrame) -> pl.DataFrame:
    end = pl.col("time") + pl.duration(microseconds=pl.col("total"))
    return records.with_columns(time=end.dt.truncate("1s"))
