"""The route of one healthy endpoint of one cluster, as sites exchange it."""

from dataclasses import dataclass
from typing import NamedTuple

MAX_NUMBER = 2**32 - 1
"""Largest site or cluster number."""
MAX_ENDPOINT = 2**48 - 1
"""Largest endpoint number: the host part of the prefix."""
MAX_WEIGHT = 1_000_000
"""Largest weight of one endpoint: the sum over the endpoints of a site stays within Envoy's 32 bits."""
MAX_TIME = 2**63 - 1
"""Largest change time, in milliseconds since the Unix epoch."""


MAX_SUBSETS = 32
"""Most subsets that one endpoint belongs to."""


class EndpointKey(NamedTuple):
    """What a route is about: at most one route exists per key."""

    site: int
    endpoint: int


@dataclass(frozen=True, slots=True)
class EndpointRoute:
    """One endpoint of one cluster that its own site has found healthy.

    `site` and `cluster` are the numbers that the console allocated, `endpoint` the number that the site allocated to
    the pair of cluster and endpoint, `changed_at` the time of the last change in milliseconds since the Unix epoch.
    `draining`: finish what is there, send nothing new. `subsets`: the marks, at most
    MAX_SUBSETS, of the subsets that the endpoint belongs to.
    Raises ValueError when a value is out of range.
    """

    site: int
    endpoint: int
    cluster: int
    weight: int
    changed_at: int
    draining: bool = False
    subsets: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("site", self.site, 1, MAX_NUMBER),
            ("endpoint", self.endpoint, 1, MAX_ENDPOINT),
            ("cluster", self.cluster, 1, MAX_NUMBER),
            ("weight", self.weight, 0, MAX_WEIGHT),
            ("changed_at", self.changed_at, 0, MAX_TIME),
        ):
            if not low <= value <= high:
                raise ValueError(f"{name} {value} is not within {low}..{high}")
        if self.subsets:
            self._check_subsets()

    def _check_subsets(self) -> None:
        if len(self.subsets) > MAX_SUBSETS:
            raise ValueError(f"{len(self.subsets)} subsets are more than {MAX_SUBSETS}")
        for subset in self.subsets:
            if not 1 <= subset <= MAX_NUMBER:
                raise ValueError(f"subset {subset} is not within 1..{MAX_NUMBER}")

    @property
    def key(self) -> EndpointKey:
        """The site and endpoint that the route is about."""
        return EndpointKey(self.site, self.endpoint)
