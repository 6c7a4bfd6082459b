"""Distributions as counts in buckets that grow by a fixed ratio: of bounded size, and to merge is to add."""

import math
from collections.abc import Sequence

BASE = 1.1
"""Each bucket's end, relative to its start: a quantile is right within 5 %."""
STEP = math.log(BASE)
LAST = 300
"""The last bucket; it takes all that is greater (2.6e12)."""


def bucket_of(value: float) -> int:
    """The bucket of a number; 0 for all below 1."""
    return min(LAST, int(math.log(value) / STEP) + 1) if value >= 1 else 0


class Histogram:
    """Numbers from 0. Holds one cell for each bucket from the least to the greatest that was seen, 301 at most."""

    __slots__ = ("cells", "first")

    def __init__(self, first: int = 0, cells: Sequence[float] = ()) -> None:
        self.first = first
        self.cells = list(cells)

    def add(self, bucket: int, weight: float = 1.0) -> None:
        """Count a number of a bucket, as `bucket_of` gives it, so many times."""
        place = bucket - self.first
        cells = self.cells
        if 0 <= place < len(cells):
            cells[place] += weight
        elif not cells:
            self.first, self.cells = bucket, [weight]
        elif place < 0:
            self.cells = [weight, *([0.0] * (-place - 1)), *cells]
            self.first = bucket
        else:
            cells.extend([0.0] * (place - len(cells)))
            cells.append(weight)

    def merge(self, other: "Histogram") -> None:
        """Add another's counts."""
        for place, weight in enumerate(other.cells):
            if weight:
                self.add(other.first + place, weight)

    @property
    def total(self) -> float:
        """How much was counted."""
        return math.fsum(self.cells)

    def quantile(self, share: float) -> float | None:
        """The number that `share` of all did not exceed; None of nothing."""
        total = self.total
        if total <= 0:
            return None
        seen = 0.0
        for place, weight in enumerate(self.cells):
            seen += weight
            if seen >= share * total:
                return _middle(self.first + place)
        return _middle(self.first + len(self.cells) - 1)

    @property
    def mean(self) -> float | None:
        """The mean, right as the quantiles are; None of nothing."""
        total = self.total
        return sum(middle * weight for middle, weight in self.points()) / total if total > 0 else None

    def points(self) -> list[tuple[float, float]]:
        """The middle of each bucket that is not empty, and its count."""
        return [(_middle(self.first + place), weight) for place, weight in enumerate(self.cells) if weight]


def _middle(bucket: int) -> float:
    return math.exp((bucket - 0.5) * STEP) if bucket > 0 else 0.0
