"""Which records are kept whole. The signals count every one; failures are always kept."""

from dataclasses import dataclass

import polars as pl

_RANGE = 0x10000


@dataclass(frozen=True, slots=True)
class Sampling:
    """A rule.

    Attributes:
        share: of the records that are no failures, 0 to 1.
        per_second: at most about so many of these in a second; the share becomes smaller above that.
        slow: microseconds from which on a record is kept like a failure; 0 for never.
    """

    share: float = 1.0
    per_second: int = 1000
    slow: int = 1_000_000


def sample(records: pl.DataFrame, rule: Sampling, seconds: float) -> pl.DataFrame:
    """The records to keep, of a batch that took so many seconds, with the weight that makes up for those left out.

    The choice looks at the request's identifier, so that all sites keep the same requests.
    """
    always = pl.col("error") != ""
    if rule.slow:
        always |= pl.col("total") >= rule.slow
    ordinary = records.height - int(records.select(always.sum()).item())
    room = rule.per_second * max(seconds, 1.0)
    share = min(rule.share, room / ordinary if ordinary else 1.0)
    if share >= 1.0:
        return records
    place = pl.col("request_id").str.tail(4).str.to_integer(base=16, strict=False).fill_null(0)
    kept = max(1, int(share * _RANGE)) if share > 0 else 0
    weighed = records.with_columns(weight=pl.when(always).then(1.0).otherwise(_RANGE / max(1, kept)).cast(pl.Float32))
    return weighed.filter(always | (place < kept))
