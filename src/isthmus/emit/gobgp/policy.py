"""Who may say what: the policies of a region's reflector. What no policy accepts is refused.

- *Import, per site*: only prefixes of the site's own number. The route is marked as first-hand.
- *Import, per region*: any endpoint route; the mark is taken off.
- *Export, per site*: only route targets of clusters that its manifest imports.
- *Export, per region*: only first-hand routes, so that no route travels over two regions and none can circle.
- *Memberships*: taken from everybody; handed out is the reflector's own, which asks for everything. Nobody learns what
  others use.

A policy is never changed: its name says what it holds, and a new one takes its place. (GoBGP 3.10 stops with a panic
when a pattern is added to a set of extended communities that is in use.)
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from isthmus.emit.gobgp.address import region_address, session_address
from isthmus.emit.gobgp.path import MEMBERSHIP, VPN
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import RouteSpace

FIRST_HAND = "64512:1"
"""The community of routes that a region has from the site itself."""

_NEVER = "rt:^$"  # a set without patterns is refused
_MAX_PATTERN = 6000


@dataclass(frozen=True, slots=True)
class ReflectorPolicy:
    """One policy with the sets that it alone uses, all under its name. `direction`: as the neighbour set sees it."""

    name: str
    direction: "api.PolicyDirection"
    defined_sets: tuple[api.DefinedSet, ...]
    policy: api.Policy

    @property
    def assignment(self) -> api.PolicyAssignment:
        """What puts the policy into force, and refuses what none accepts."""
        return api.PolicyAssignment(
            name="global",
            direction=self.direction,
            policies=[api.Policy(name=self.name)],
            default_action=api.REJECT,
        )


def emit_common_policies() -> tuple[ReflectorPolicy, ...]:
    """What holds for every neighbour."""
    return (
        _policy("membership-import", api.IMPORT, api.Conditions(afi_safi_in=[MEMBERSHIP])),
        _policy(
            "membership-export",
            api.EXPORT,
            api.Conditions(afi_safi_in=[MEMBERSHIP], route_type=api.Conditions.ROUTE_TYPE_LOCAL),
        ),
    )


def emit_site_policies(space: RouteSpace, site: int, clusters: Collection[int]) -> tuple[ReflectorPolicy, ...]:
    """What a site may say, and what it may hear: the clusters (by number) that its manifest imports."""
    address = session_address(site)
    own = api.Prefix(ip_prefix=str(space.site_network(site)), mask_length_min=128, mask_length_max=128)
    wanted = sorted(set(clusters))
    digest = hashlib.sha256(",".join(map(str, wanted)).encode()).hexdigest()[:16]
    return (
        _policy(
            f"site-{site}-import",
            api.IMPORT,
            api.Conditions(afi_safi_in=[VPN]),
            neighbour=address,
            prefix=own,
            community=api.CommunityAction(type=api.CommunityAction.ADD, communities=[FIRST_HAND]),
        ),
        _policy(
            f"site-{site}-export-{digest}",
            api.EXPORT,
            api.Conditions(afi_safi_in=[VPN]),
            neighbour=address,
            targets=list(_patterns(space, wanted)),
        ),
    )


def emit_region_policies(region: int) -> tuple[ReflectorPolicy, ...]:
    """What another region may say and hear."""
    address = region_address(region)
    return (
        _policy(
            f"region-{region}-import",
            api.IMPORT,
            api.Conditions(afi_safi_in=[VPN]),
            neighbour=address,
            community=api.CommunityAction(type=api.CommunityAction.REMOVE, communities=[f"^{FIRST_HAND}$"]),
        ),
        _policy(
            f"region-{region}-export",
            api.EXPORT,
            api.Conditions(afi_safi_in=[VPN]),
            neighbour=address,
            marks=[f"^{FIRST_HAND}$"],
        ),
    )


def _patterns(space: RouteSpace, clusters: list[int]) -> Iterable[str]:
    """Few long patterns: GoBGP tries the patterns of a set one after the other."""
    if not clusters:
        yield _NEVER
    pattern = ""
    for cluster in clusters:
        pattern = f"{pattern}|{cluster}" if pattern else str(cluster)
        if len(pattern) > _MAX_PATTERN or cluster == clusters[-1]:
            yield f"rt:^{space.asn}:({pattern})$"
            pattern = ""


def _policy(
    name: str,
    direction: "api.PolicyDirection",
    conditions: api.Conditions,
    *,
    neighbour: str = "",
    prefix: api.Prefix | None = None,
    targets: list[str] | None = None,
    marks: list[str] | None = None,
    community: api.CommunityAction | None = None,
) -> ReflectorPolicy:
    sets = []
    if neighbour:
        sets.append(api.DefinedSet(defined_type=api.NEIGHBOR, name=name, list=[f"{neighbour}/32"]))
        conditions.neighbor_set.name = name
    if prefix is not None:
        sets.append(api.DefinedSet(defined_type=api.PREFIX, name=name, prefixes=[prefix]))
        conditions.prefix_set.name = name
    if targets is not None:
        sets.append(api.DefinedSet(defined_type=api.EXT_COMMUNITY, name=name, list=targets))
        conditions.ext_community_set.name = name
    if marks is not None:
        sets.append(api.DefinedSet(defined_type=api.COMMUNITY, name=name, list=marks))
        conditions.community_set.name = name
    actions = api.Actions(route_action=api.ACCEPT, community=community)
    statement = api.Statement(name=name, conditions=conditions, actions=actions)
    return ReflectorPolicy(name, direction, tuple(sets), api.Policy(name=name, statements=[statement]))
