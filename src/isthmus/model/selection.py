"""Which sites a `where` means, over a fixed set of objects, remembered as it is asked."""

from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from isthmus.model.advertise_policy import AdvertisePolicy, AdvertiseWhere
from isthmus.model.key import ObjectKey
from isthmus.model.label import matches
from isthmus.model.object import Object
from isthmus.model.site import Site
from isthmus.model.virtual_site import VirtualSite
from isthmus.model.where import Where


class SiteSocket(NamedTuple):
    """An address and port of one site. `transport`: `tcp` or `udp`."""

    site: str
    address: str
    port: int
    transport: str

    def __str__(self) -> str:
        kind = "UDP port" if self.transport == "udp" else "port"
        return f"Site {self.site} {self.address} {kind} {self.port}"


class SiteSelection:
    """Resolves `where` against the sites and virtual sites of a set of objects that does not change meanwhile."""

    def __init__(self, objects: Mapping[ObjectKey, Object]) -> None:
        self._objects = objects
        self._members: dict[ObjectKey, tuple[Site, ...]] = {}
        self._networks: dict[tuple[str, str | None], tuple[Site, ...]] = {}
        self._sockets: dict[tuple[ObjectKey, str], frozenset[SiteSocket]] = {}

    @cached_property
    def _sites(self) -> list[Site]:
        """Every site by key; collected when a virtual site is first asked for."""
        return sorted((obj for obj in self._objects.values() if isinstance(obj, Site)), key=lambda site: site.key)

    def sites(self, where: Where, tenant: str) -> tuple[Site, ...]:
        """The existing sites that `where` means, by name."""
        if where.site is not None:
            site = self._objects.get(ObjectKey(tenant, "Site", "", where.site))
            return (site,) if isinstance(site, Site) else ()
        key = ObjectKey(tenant, "VirtualSite", "", where.virtual_site or "")
        if key not in self._members:
            group = self._objects.get(key)
            self._members[key] = (
                tuple(
                    s
                    for s in self._sites
                    if s.metadata.tenant == tenant and matches(group.spec.selector, s.metadata.labels)
                )
                if isinstance(group, VirtualSite)
                else ()
            )
        return self._members[key]

    def advertised(self, where: AdvertiseWhere, tenant: str) -> tuple[Site, ...]:
        """The existing sites where a policy advertises."""
        if where.site is not None or where.virtual_site is not None:
            return self.sites(Where(site=where.site, virtual_site=where.virtual_site), tenant)
        key = (tenant, where.network)
        if key not in self._networks:
            self._networks[key] = tuple(
                site
                for site in self._sites
                if site.metadata.tenant == tenant
                and (site.spec.edge if where.public else site.spec.network_addresses(where.interfaces))
            )
        return self._networks[key]

    def sockets(self, policy: AdvertisePolicy, transport: str) -> frozenset[SiteSocket]:
        """Everywhere that a policy advertises virtual hosts of a transport."""
        key = (policy.key, transport)
        if key not in self._sockets:
            spec = policy.spec
            self._sockets[key] = frozenset(
                SiteSocket(site.metadata.name, address, spec.port, transport)
                for site in self.advertised(spec.where, policy.metadata.tenant)
                for address in ((spec.address,) if spec.address else site.spec.network_addresses(spec.where.interfaces))
            )
        return self._sockets[key]
