"""From the results of single probes to a verdict, as Envoy's own health checks do it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Standing:
    """What probes have made of a host. `healthy`: None before the first. `against`: results in a row that disagree."""

    healthy: bool | None = None
    against: int = 0


# 1. The first result decides.
# 2. A result that agrees with the verdict ends the count of those that disagree.
# 3. The verdict turns once as many in a row disagree as the threshold of the other verdict asks for.
def judge(standing: Standing, passed: bool, *, healthy_threshold: int, unhealthy_threshold: int) -> Standing:
    """The standing after one more probe. It is another verdict exactly if `healthy` differs."""
    if standing.healthy is None or standing.healthy == passed:
        return Standing(passed)
    against = standing.against + 1
    if against >= (healthy_threshold if passed else unhealthy_threshold):
        return Standing(passed)
    return Standing(standing.healthy, against)
