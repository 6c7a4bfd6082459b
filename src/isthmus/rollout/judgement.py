"""Whether a canary is worse than the stable version, from what both answered in the same time."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Verdicts(StrEnum):
    """What the samples say."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """Too few requests to say."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Requests of one share of a route. `failed`: status 5xx or none at all; latencies in milliseconds, None when
    nothing was answered."""

    requests: int
    failed: int
    p50: float | None = None
    p90: float | None = None

    @property
    def error_rate(self) -> float:
        """The part that failed, 0 to 1."""
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """When a canary counts as worse.

    Attributes:
        least_requests: requests that the canary must have had.
        error_margin: how much higher its error rate may be, 0 to 1.
        latency_ratio: how many times the stable version's its median and its 90th percentile may be.
        latency_floor: milliseconds by which a latency must be higher to count at all.
        certainty: standard deviations by which an error rate must exceed the margin; 2.33: one chance in a hundred.
    """

    least_requests: int = 50
    error_margin: float = 0.01
    latency_ratio: float = 1.5
    latency_floor: float = 5.0
    certainty: float = 2.33


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict and, for people, why."""

    verdict: Verdicts
    reason: str


# The judgement, in order:
#
# 1. Every request of the canary failed, and there were at least ten: BAD, however few are asked for. A version that
#    does not work at all should not need its full share of victims.
# 2. Fewer requests than asked for: UNKNOWN.
# 3. The error rate is above the stable version's by more than the margin, and that is not chance (a one-sided test of
#    two proportions): BAD. Without requests of the stable version (the last step, at 100 %) its rate counts as 0.
# 4. The median or the 90th percentile is above `latency_ratio` times the stable version's, and by more than the floor:
#    BAD. Higher percentiles are left out: of a hundred requests they say nothing.
# 5. Otherwise: GOOD.
def judge(canary: Sample, stable: Sample, limits: Limits) -> Verdict:
    """Compare two samples of the same time."""
    if canary.requests >= 10 and canary.failed == canary.requests:
        return Verdict(Verdicts.BAD, f"all {canary.requests} requests failed")
    if canary.requests < limits.least_requests:
        return Verdict(Verdicts.UNKNOWN, f"{canary.requests} of {limits.least_requests} requests")
    if _exceeds(canary, stable, limits):
        return Verdict(
            Verdicts.BAD,
            f"{canary.error_rate:.1%} of {canary.requests} requests failed, {stable.error_rate:.1%} of the stable "
            f"version's {stable.requests}",
        )
    for name, mine, other in (("median", canary.p50, stable.p50), ("90th percentile", canary.p90, stable.p90)):
        if mine is None or other is None:
            continue
        if mine > other * limits.latency_ratio and mine - other > limits.latency_floor:
            return Verdict(Verdicts.BAD, f"the {name} is {mine:.0f} ms, the stable version's {other:.0f} ms")
    return Verdict(Verdicts.GOOD, f"{canary.requests} requests, {canary.error_rate:.1%} failed")


def _exceeds(canary: Sample, stable: Sample, limits: Limits) -> bool:
    """Agresti and Caffo's interval (2000): one success and one failure are added to each sample, so that samples
    without any failure have a deviation, too."""
    difference = canary.error_rate - stable.error_rate - limits.error_margin
    if difference <= 0:
        return False
    variance = 0.0
    for sample in (canary, stable):
        if sample.requests:
            rate = (sample.failed + 1) / (sample.requests + 2)
            variance += rate * (1 - rate) / (sample.requests + 2)
    return difference > limits.certainty * math.sqrt(variance)
