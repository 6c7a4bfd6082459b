"""How many of the streams to regions are up, and of the BGP sessions inside them live: of a site, of each region."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from isthmus.console.web.shape import number
from isthmus.console.web.state import PlaceState
from isthmus.model.key import ObjectKey

RegionsOf = Callable[[ObjectKey], Iterable[str]]


@dataclass(slots=True)
class Reach:
    """`total` streams there should be, `up` of them are, and inside of `live` a BGP session is."""

    total: int = 0
    up: int = 0
    live: int = 0

    @property
    def level(self) -> str:
        """`bad` when a stream is down, `warn` when a session is."""
        if not self.total:
            return "idle"
        return "bad" if self.up < self.total else "warn" if self.live < self.total else "good"

    @property
    def streams(self) -> str:
        """`2 of 3`."""
        return f"{number(self.up)} of {number(self.total)}"

    @property
    def sessions(self) -> str:
        """`2 of 3`."""
        return f"{number(self.live)} of {number(self.total)}"

    @property
    def words(self) -> str:
        """Both, for whoever cannot see colours."""
        return f"{self.streams} streams up, {self.sessions} BGP sessions live"

    def add(self, up: bool, session: str | None) -> None:
        """Count a stream. No session outlives its stream."""
        self.total += 1
        if up:
            self.up += 1
            self.live += session == "live"


def reach_of(regions_of: RegionsOf, site: PlaceState) -> Reach:
    """Of one site; of none before it has joined."""
    reach = Reach()
    for region in regions_of(site.key) if site.level != "idle" else ():
        reach.add(region in site.via, site.brief.sessions.get(region))
    return reach


def reach_regions(regions_of: RegionsOf, sites: Iterable[PlaceState]) -> Mapping[str, Reach]:
    """Of every region that a site should connect to, by name."""
    found: dict[str, Reach] = {}
    for site in sites:
        if site.level == "idle":
            continue
        via, sessions = site.via, site.brief.sessions
        for region in regions_of(site.key):
            reach = found.get(region)
            if reach is None:
                reach = found[region] = Reach()
            reach.add(region in via, sessions.get(region))
    return found
