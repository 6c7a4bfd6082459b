"""Records of the access log to calls."""

import polars as pl

from isthmus.interface.histogram import LAST, STEP
from isthmus.interface.usage import Call

MOST = 20_000
"""Calls of one batch that are looked at, evenly chosen; each then stands for more."""
LONGEST = 2_000
"""Bytes of a path, beyond which its query is cut off, and a request whose path is still longer is left out: clients
choose paths, and what is learned of them is kept."""


def parse_calls(records: pl.DataFrame) -> dict[str, list[Call]]:
    """What clients asked for, by virtual host (`NAMESPACE/NAME`), in the order of time."""
    path = pl.col("path")
    bounded = pl.when(path.str.len_bytes() > LONGEST).then(path.str.extract(r"^([^?]*)")).otherwise(path)
    wanted = (
        records.filter((pl.col("log") == "ingress") & (pl.col("virtual_host") != "") & (pl.col("method") != ""))
        .with_columns(path=bounded)
        .filter(path.str.len_bytes() <= LONGEST)
        .sort("time")
    )
    every = -(-wanted.height // MOST)
    if every > 1:
        wanted = wanted.gather_every(every)
    uri = pl.col("client").str.contains("://", literal=True)
    rows = wanted.select(
        "virtual_host",
        "method",
        "path",
        pl.col("code").cast(pl.Int64),
        "client",
        "cluster",
        pl.when(pl.col("credential"))
        .then(pl.lit("header"))
        .when(uri)
        .then(pl.lit("certificate"))
        .otherwise(pl.lit("none")),
        pl.col("time").dt.epoch("us") / 1e6,
        _bucket("total"),
        _bucket("received"),
        _bucket("sent"),
        pl.col("weight").cast(pl.Float64).clip(1.0) * max(1, every),
    )
    found: dict[str, list[Call]] = {}
    for host, *rest in rows.iter_rows():
        found.setdefault(host, []).append(Call._make(rest))
    return found


def _bucket(column: str) -> pl.Expr:
    """As `histogram.bucket_of`, for a column."""
    value = pl.col(column).cast(pl.Float64)
    return pl.when(value >= 1).then((value.log() / STEP).floor().cast(pl.Int64) + 1).otherwise(0).clip(0, LAST)
