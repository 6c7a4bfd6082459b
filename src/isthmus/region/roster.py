"""Who belongs to a region: its sites and the other regions, read from manifests and Region objects. Pure."""

import contextlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from isthmus.engine.gobgp.reflector import ReflectorConfig
from isthmus.identity import Identity, NameInvalid, Role, parse_identity
from isthmus.model import Region
from isthmus.model.key import parse_key
from isthmus.model.stored import parse_stored
from isthmus.protocol import State


@dataclass(frozen=True, slots=True)
class RegionPlace:
    """A region as others reach it; `number` names it in BGP."""

    name: str
    number: int
    address: str
    port: int
    bgp_port: int


@dataclass(frozen=True, slots=True)
class SitePlace:
    """A site of the region: its number in BGP, and the numbers of the clusters whose routes it may hear."""

    number: int
    clusters: frozenset[int]


@dataclass(slots=True)
class Roster:
    """What the region `identity` knows of its neighbours. `own` is None until its own object is known.

    `sites` are by subject, `others` by name. Each `learn_` takes one new thing, however many neighbours there are,
    and returns whether that changed anything.
    """

    identity: Identity
    own: RegionPlace | None = None
    others: dict[str, RegionPlace] = field(default_factory=dict)
    sites: dict[str, SitePlace] = field(default_factory=dict)

    def learn_site(self, state: State) -> bool:
        """A manifest of a site: a neighbour when it names this region and has a number."""
        place = None
        if self.identity.name in state.regions and state.site_number:
            place = SitePlace(state.site_number, frozenset(state.import_clusters))
        if self.sites.get(state.subject) == place:
            return False
        if place is None:
            del self.sites[state.subject]
        else:
            self.sites[state.subject] = place
        return True

    def learn_regions(self, regions: Iterable[Region], unreadable: Collection[str] = ()) -> bool:
        """All Region objects of the deployment; those without a number yet are left out. `unreadable`: names of others
        that there are, of which nothing is learned: what was known of them still holds."""
        known = {name: place for name, place in self.others.items() if name in unreadable}
        places = known | {place.name: place for region in regions if (place := _place(region)) is not None}
        before = (self.own, self.others)
        self.own = places.pop(self.identity.name, self.own)
        self.others = places
        return before != (self.own, self.others)

    @property
    def reflector(self) -> ReflectorConfig:
        """The neighbours of the route reflector."""
        return ReflectorConfig(
            sites={site.number: site.clusters for site in self.sites.values()},
            regions=frozenset(other.number for other in self.others.values()),
        )

    @property
    def dialled(self) -> tuple[RegionPlace, ...]:
        """The regions that this one dials for BGP: of two regions, the one whose name comes first dials."""
        return tuple(self.others[name] for name in sorted(self.others) if name > self.identity.name)

    def neighbour(self, uri: str) -> RegionPlace | SitePlace | None:
        """Whose BGP session comes with this certificate name; None for everybody who is no neighbour."""
        try:
            identity = parse_identity(uri)
        except NameInvalid:
            return None
        if (identity.trust_domain, identity.tenant) != (self.identity.trust_domain, self.identity.tenant):
            return None
        if identity.role is Role.REGION:
            return self.others.get(identity.name)
        return self.sites.get(identity.subject)


def parse_regions(envelopes: Mapping[str, bytes]) -> tuple[list[Region], set[str]]:
    """The Region objects among some envelopes by key text, as far as this release understands them, and the names of
    those that it does not."""
    regions, unreadable = [], set()
    for text, body in envelopes.items():
        with contextlib.suppress(ValueError):
            key = parse_key(text)
            if key.kind == "Region":
                found = parse_stored(key, body)
                if isinstance(found, Region):
                    regions.append(found)
                else:
                    unreadable.add(key.name)
    return regions, unreadable


def _place(region: Region) -> RegionPlace | None:
    number = region.system.number
    if number is None:
        return None
    spec = region.spec
    return RegionPlace(region.metadata.name, number, spec.address, spec.port, spec.bgp_port)
