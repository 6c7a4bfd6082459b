"""Which sites a `where` means, over a fixed set of objects, remembered as it is asked."""

from collections.abc import Mapping
from functools import cached_property

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.key import ObjectKey
from isthmus.model.label import matches
from isthmus.model.object import Object
from isthmus.model.site import Site
from isthmus.model.virtual_site import VirtualSite
from isthmus.model.where import Where


class SiteSelection:
    """Resolves `where` against the sites and virtual sites of a set of objects that does not change meanwhile."""

    def __init__(self, objects: Mapping[ObjectKey, Object]) -> None:
        self._objects = objects
        self._members: dict[ObjectKey, tuple[Site, ...]] = {}
        self._sockets: dict[ObjectKey, frozenset[str]] = {}

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

    def sockets(self, policy: AdvertisePolicy) -> frozenset[str]:
        """`Site NAME ADDRESS port PORT` for everywhere that a policy advertises."""
        if policy.key not in self._sockets:
            spec = policy.spec
            self._sockets[policy.key] = frozenset(
                f"Site {site.metadata.name} {address} port {spec.port}"
                for site in self.sites(spec.where, policy.metadata.tenant)
                for address in ((spec.address,) if spec.address else site.spec.network_addresses(spec.where.network))
            )
        return self._sockets[policy.key]
