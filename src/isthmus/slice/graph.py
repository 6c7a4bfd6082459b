"""The links between objects that decide who needs what.

    Site <--member-- VirtualSite | Network | Edge               (Edge: all sites that face the public internet)
    AdvertisePolicy --advertises--> Site | VirtualSite | Network | Edge         (where clients enter)
    VirtualHost --names--> AdvertisePolicy
    VirtualHost --uses--> Route --uses--> Cluster --uses--> Endpoint, HealthCheck
    Endpoint --places--> Site | VirtualSite                     (where applications run)
    ServiceDiscovery, TelemetryReceiver --employed--> Site | VirtualSite   (where a registry or receiver is used)
    Site --connects--> Region
    any of them --secured--> Certificate, Secret, TrustedAuthority

An object that does not exist may be linked to, but links to nothing itself.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.key import SHARED_NAMESPACE, ObjectKey
from isthmus.model.label import matches
from isthmus.model.object import Object
from isthmus.model.region import Region
from isthmus.model.site import Site
from isthmus.model.virtual_site import VirtualSite
from isthmus.slice.nearness import nearest_regions
from isthmus.slice.relation import Relation

SECURING = frozenset(("Certificate", "Secret", "TrustedAuthority"))
"""Kinds that go only where what refers to them is enforced: not along the whole chain of ingress."""
_T = TypeVar("_T")
_PLACES = ("Site", "VirtualSite")
_LINKING = (
    "AdvertisePolicy", "Endpoint", "ServiceDiscovery", "TelemetryReceiver", "VirtualHost", "Route", "Cluster",
    "HealthCheck",
)  # fmt: skip


class Graph:
    """The links, kept current. `update` is one edit; the relations remember the state before it."""

    def __init__(self) -> None:
        self.objects: dict[ObjectKey, Object] = {}
        self.advertises = Relation()
        self.names = Relation()
        self.uses = Relation()
        self.places = Relation()
        self.employed = Relation()
        self.member = Relation()
        self.connects = Relation()
        self.secured = Relation()
        self.regions: dict[ObjectKey, tuple[str, ...]] = {}
        self.region_objects: dict[ObjectKey, Region] = {}
        self._sites: dict[ObjectKey, Site] = {}
        self._groups: dict[ObjectKey, VirtualSite] = {}

    @property
    def relations(self) -> tuple[Relation, ...]:
        """All of them."""
        links = (self.advertises, self.names, self.uses, self.places, self.employed)
        return (*links, self.member, self.connects, self.secured)

    @property
    def sites(self) -> Mapping[ObjectKey, Site]:
        """The sites that exist."""
        return self._sites

    def update(self, changes: Mapping[ObjectKey, Object | None]) -> None:
        """Put objects in place of what they were; None removes one.

        1. Objects and the links that they write down.
        2. Memberships: of changed sites in every group, of every site in changed groups.
        3. The regions of changed sites, or of every site of a tenant whose regions changed.
        """
        for relation in self.relations:
            relation.begin()
        sites: list[ObjectKey] = []
        groups: list[ObjectKey] = []
        tenants: set[str] = set()
        for key, obj in changes.items():
            self._put(key, obj)
            if key.kind == "Site":
                sites.append(key)
            elif key.kind == "VirtualSite":
                groups.append(key)
            elif key.kind == "Region":
                tenants.add(key.tenant)
        self._regroup(sites, groups)
        reconnect = {key for key in self._sites if key.tenant in tenants} if tenants else set()
        self._reconnect(reconnect.union(sites))

    def _put(self, key: ObjectKey, obj: Object | None) -> None:
        if obj is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = obj
        targets = _targets(obj) if obj is not None else []
        self.secured.replace(key, [target for target in targets if target.kind in SECURING])
        targets = [target for target in targets if target.kind not in SECURING]
        match key.kind:
            case "AdvertisePolicy":
                self.advertises.replace(key, [_entrance(obj)] if isinstance(obj, AdvertisePolicy) else ())
            case "Endpoint":
                self.places.replace(key, [t for t in targets if t.kind in _PLACES])
            case "ServiceDiscovery" | "TelemetryReceiver":
                self.employed.replace(key, [t for t in targets if t.kind in _PLACES])
            case "VirtualHost":
                self.names.replace(key, [t for t in targets if t.kind == "AdvertisePolicy"])
                self.uses.replace(key, [t for t in targets if t.kind == "Route"])
            case "Route" | "Cluster":
                self.uses.replace(key, targets)
            case "Site":
                _keep(self._sites, key, obj if isinstance(obj, Site) else None)
            case "Region":
                _keep(self.region_objects, key, obj if isinstance(obj, Region) else None)
            case "VirtualSite":
                _keep(self._groups, key, obj if isinstance(obj, VirtualSite) else None)

    def _regroup(self, sites: Iterable[ObjectKey], groups: Iterable[ObjectKey]) -> None:
        for site in sites:
            self._join_networks(site, self._sites.get(site))
            for group, owner in self._groups.items():
                if group.tenant == site.tenant:
                    self._set_member(group, owner, site, self._sites.get(site))
        for group in groups:
            found = self._groups.get(group)
            for site in set(self.member.right(group)) | (set(self._sites) if found else set()):
                if site.tenant == group.tenant:
                    self._set_member(group, found, site, self._sites.get(site))

    def _join_networks(self, key: ObjectKey, site: Site | None) -> None:
        wanted = set(_entrances(site)) if site is not None else set()
        joined = {group for group in self.member.left(key) if group.kind != "VirtualSite"}
        for group in joined - wanted:
            self.member.discard(group, key)
        for group in wanted - joined:
            self.member.add(group, key)

    def _set_member(self, group: ObjectKey, owner: VirtualSite | None, key: ObjectKey, site: Site | None) -> None:
        belongs = owner is not None and site is not None and matches(owner.spec.selector, site.metadata.labels)
        if belongs != self.member.holds(group, key):
            (self.member.add if belongs else self.member.discard)(group, key)

    def _reconnect(self, sites: Iterable[ObjectKey]) -> None:
        for key in sites:
            site = self._sites.get(key)
            names = nearest_regions(site, self.region_objects.values()) if site is not None else ()
            self.connects.replace(key, [ObjectKey(key.tenant, "Region", "", name) for name in names])
            _keep(self.regions, key, names if site is not None else None)


def _keep(table: dict[ObjectKey, _T], key: ObjectKey, value: _T | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _entrance(policy: AdvertisePolicy) -> ObjectKey:
    """The site, or the group of sites, where a policy advertises."""
    where, tenant = policy.spec.where, policy.metadata.tenant
    if where.site is not None:
        return ObjectKey(tenant, "Site", "", where.site)
    if where.virtual_site is not None:
        return ObjectKey(tenant, "VirtualSite", "", where.virtual_site)
    return ObjectKey(tenant, "Edge", "", "") if where.public else ObjectKey(tenant, "Network", "", where.interfaces)


def _entrances(site: Site) -> Iterator[ObjectKey]:
    """The groups, other than virtual sites, that a site belongs to: its networks, and those that face the internet."""
    tenant = site.metadata.tenant
    for interface in site.spec.interfaces:
        yield ObjectKey(tenant, "Network", "", interface.network)
    if site.spec.edge:
        yield ObjectKey(tenant, "Edge", "", "")


def _targets(obj: Object) -> list[ObjectKey]:
    """What an object links to, without references that its namespace may not make."""
    if obj.kind not in _LINKING:
        return []
    allowed = (obj.metadata.namespace, "", SHARED_NAMESPACE)
    return [use.target for use in obj.uses() if use.target.namespace in allowed]
