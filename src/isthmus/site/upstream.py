"""Where a site's regions are: from its objects, or from what it was told when it joined."""

from __future__ import annotations

from isthmus.engine.gobgp.tunnel import Target
from isthmus.identity import Identity, Membership, Role
from isthmus.model.key import ObjectKey
from isthmus.model.region import Region as RegionObject
from isthmus.protocol import State, Upstream
from isthmus.site.bgp import Region
from isthmus.site.inventory import Inventory


def plan_upstreams(
    membership: Membership, trust_domain: str, inventory: Inventory, state: State | None
) -> list[Upstream]:
    """The streams to hold, best region first.

    The manifest's order counts. A site without a manifest, or whose manifest names no region that exists, dials the
    regions of its joining: without any stream it could never hear of a better one.
    """
    tenant = membership.subject.partition("/")[0]
    found = []
    for name, region in _regions(tenant, inventory, state):
        spec = region.spec
        found.append(Upstream(name, spec.address, spec.port, _identity(trust_domain, tenant, name).dns_name))
    if found:
        return found
    return [
        Upstream(each.name, each.address, each.port, _identity(trust_domain, tenant, each.name).dns_name)
        for each in membership.regions
    ]


def plan_regions(trust_domain: str, inventory: Inventory, state: State) -> list[Region]:
    """The BGP sessions to hold: regions that the console has given a number."""
    tenant = state.subject.partition("/")[0]
    return [
        Region(
            name,
            region.system.number,
            Target(region.spec.address, region.spec.bgp_port, _identity(trust_domain, tenant, name).dns_name),
        )
        for name, region in _regions(tenant, inventory, state)
        if region.system.number
    ]


def _regions(tenant: str, inventory: Inventory, state: State | None) -> list[tuple[str, RegionObject]]:
    found = []
    for name in state.regions if state is not None else ():
        version = inventory.wanted.get(ObjectKey(tenant, "Region", "", name))
        if version is not None and isinstance(version.object, RegionObject):
            found.append((name, version.object))
    return found


def _identity(trust_domain: str, tenant: str, name: str) -> Identity:
    return Identity(trust_domain, Role.REGION, tenant, name)
