"""Measured round-trip times to other sites, kept steady: what is used changes only when the network does."""

from dataclasses import dataclass, field

SMOOTHING = 0.25
"""Weight of a new measurement in the average."""
SLACK = 0.2
"""Part of the time in use by which the average must differ from it for another time to be used."""
SLACK_FLOOR = 2.0
"""Milliseconds by which it must differ at least: below, the clock and the scheduler speak, not the network."""


@dataclass(slots=True)
class _Measure:
    average: float
    used: float


@dataclass(slots=True)
class RoundTrips:
    """By site. The rules:

    1. The first measurement is used as it is.
    2. Later ones go into an exponential average, and count as one and a half times the average at most: one packet
       that was lost and sent again makes no way longer.
    3. The time in use becomes the average when the two differ by more than SLACK of it and by more than SLACK_FLOOR.
    """

    _measures: dict[str, _Measure] = field(default_factory=dict)

    def measure(self, site: str, milliseconds: float) -> bool:
        """Take in a measurement. True if the time in use has changed."""
        known = self._measures.get(site)
        if known is None:
            self._measures[site] = _Measure(milliseconds, milliseconds)
            return True
        sample = min(milliseconds, max(1.5 * known.average, SLACK_FLOOR))
        known.average += SMOOTHING * (sample - known.average)
        if abs(known.average - known.used) <= max(SLACK * known.used, SLACK_FLOOR):
            return False
        known.used = known.average
        return True

    def used(self, site: str) -> float | None:
        """Milliseconds in use; None before the first measurement."""
        known = self._measures.get(site)
        return None if known is None else round(known.used, 3)

    def retain(self, sites: frozenset[str]) -> None:
        """Forget the others."""
        self._measures = {site: measure for site, measure in self._measures.items() if site in sites}
