"""Latencies as counts in buckets that grow by 5 %: a quantile is right within 2.5 %, and to merge is to add."""

import math
from collections.abc import Iterable

BASE = 1.05
"""Each bucket's end, relative to its start."""
STEP = math.log(BASE)


def bucket_of(microseconds: int) -> int:
    """The bucket of a duration; 0 for less than one microsecond."""
    return int(math.log(microseconds) / STEP) + 1 if microseconds > 0 else 0


def middle_of(bucket: int) -> float:
    """The duration, in microseconds, that stands for a bucket: the middle of it by ratio."""
    return math.exp((bucket - 0.5) * STEP) if bucket > 0 else 0.0


def quantile_of(counts: Iterable[tuple[int, float]], share: float) -> float | None:
    """The duration, in microseconds, that `share` of all records did not exceed; None without records.

    `counts` are (bucket, number of records), in any order, a bucket possibly more than once.
    """
    ordered = sorted(counts)
    total = sum(number for _, number in ordered)
    if total <= 0:
        return None
    seen, wanted = 0.0, share * total
    for bucket, number in ordered:
        seen += number
        if seen >= wanted:
            return middle_of(bucket)
    return middle_of(ordered[-1][0])
