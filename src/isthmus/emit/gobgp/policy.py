"""Who may say what: the policies of a region's reflector. What no policy accepts is refused.

- *Import, per site*: only prefixes of the site's own number. The route is marked as first-hand, and preferred.
- *Import, per region*: any endpoint route; the mark is taken off. Were it preferred to the site's own (whose neighbour
  address is higher), two regions that hear from the site at once would each take the other's route and take back their
  own, lose both, begin anew, and go on like that for as long as they keep step.
- *Export, per site*: only route targets of clusters that its manifest imports.
- *Export, per region*: only first-hand routes, so that no route travels over two regions and none can circle.
- *Memberships* (which clusters somebody uses): taken from everybody, for the reflector to know what to send to whom.
  Handed out are the reflector's own, which name all clusters that its sites use, and to sites also those of other
  regions. So a site announces what somebody uses, and learns only that somebody does.

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
"""The community of endpoint routes that a region has from the site itself."""

RELAYED = "64512:2"
"""The community of memberships that a region has from another region."""

_FROM_SITE, _FROM_REGION = 200, 100
"""Local preference: the higher one is the best route."""

_NEVER = "rt:^$"  # a set without patterns is refused
_MAX_PATTERN = 6000


@dataclass(frozen=True, slots=True)
class ReflectorPolicy:
    """One policy with the sets that it alone uses, all under its name. `direction`: IMPORT or EXPORT of the API."""

    name: str
    direction: api.PolicyDirection
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
    """What holds for every neighbour: the reflector's own memberships."""
    own = api.Conditions(afi_safi_in=[MEMBERSHIP], route_type=api.Conditions.ROUTE_TYPE_LOCAL)
    return (_policy("own-import", api.IMPORT, [], own), _policy("own-export", api.EXPORT, [], own))


def emit_site_policies(space: RouteSpace, site: int, clusters: Collection[int]) -> tuple[ReflectorPolicy, ...]:
    """What a site may say, and what it may hear: the clusters (by number) that its manifest imports."""
    neighbour = _neighbours(session_address(site))
    prefix = api.Prefix(ip_prefix=str(space.site_network(site)), mask_length_min=128, mask_length_max=128)
    wanted = sorted(set(clusters))
    digest = hashlib.sha256(",".join(map(str, wanted)).encode()).hexdigest()[:16]
    return (
        _policy(
            f"site-{site}-import-{_FROM_SITE}",
            api.IMPORT,
            [neighbour, api.DefinedSet(defined_type=api.PREFIX, prefixes=[prefix])],
            api.Conditions(afi_safi_in=[VPN], neighbor_set=_ANY, prefix_set=_ANY),
            api.Conditions(afi_safi_in=[MEMBERSHIP], neighbor_set=_ANY),
            actions=(_mark(_add(FIRST_HAND), _FROM_SITE), _mark(_remove(RELAYED))),
        ),
        _policy(
            f"site-{site}-export-{digest}",
            api.EXPORT,
            [
                neighbour,
                api.DefinedSet(defined_type=api.EXT_COMMUNITY, list=list(_patterns(space, wanted))),
                api.DefinedSet(defined_type=api.COMMUNITY, list=[f"^{RELAYED}$"]),
            ],
            api.Conditions(afi_safi_in=[VPN], neighbor_set=_ANY, ext_community_set=_ANY),
            api.Conditions(afi_safi_in=[MEMBERSHIP], neighbor_set=_ANY, community_set=_ANY),
        ),
    )


def emit_region_policies(region: int) -> tuple[ReflectorPolicy, ...]:
    """What another region may say and hear."""
    neighbour = _neighbours(region_address(region))
    return (
        _policy(
            f"region-{region}-import-{_FROM_REGION}",
            api.IMPORT,
            [neighbour],
            api.Conditions(afi_safi_in=[VPN], neighbor_set=_ANY),
            api.Conditions(afi_safi_in=[MEMBERSHIP], neighbor_set=_ANY),
            actions=(_mark(_remove(FIRST_HAND), _FROM_REGION), _mark(_add(RELAYED))),
        ),
        _policy(
            f"region-{region}-export",
            api.EXPORT,
            [neighbour, api.DefinedSet(defined_type=api.COMMUNITY, list=[f"^{FIRST_HAND}$"])],
            api.Conditions(afi_safi_in=[VPN], neighbor_set=_ANY, community_set=_ANY),
        ),
    )


_ANY = api.MatchSet(type=api.MatchSet.ANY)  # of the policy's own set of that type


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


def _neighbours(address: str) -> api.DefinedSet:
    return api.DefinedSet(defined_type=api.NEIGHBOR, list=[f"{address}/32"])


def _add(community: str) -> api.CommunityAction:
    return api.CommunityAction(type=api.CommunityAction.ADD, communities=[community])


def _remove(community: str) -> api.CommunityAction:
    return api.CommunityAction(type=api.CommunityAction.REMOVE, communities=[f"^{community}$"])


def _mark(community: api.CommunityAction, preference: int | None = None) -> api.Actions:
    local_pref = None if preference is None else api.LocalPrefAction(value=preference)
    return api.Actions(community=community, local_pref=local_pref)


def _policy(
    name: str,
    direction: api.PolicyDirection,
    sets: Iterable[api.DefinedSet],
    *conditions: api.Conditions,
    actions: tuple[api.Actions, ...] = (),
) -> ReflectorPolicy:
    """Accepts what meets one of the conditions; `actions` has what else is done, one for each condition."""
    named = []
    for unnamed in sets:
        defined_set = api.DefinedSet()
        defined_set.CopyFrom(unnamed)
        defined_set.name = name
        named.append(defined_set)
    statements = []
    for index, unbound in enumerate(conditions):
        condition = api.Conditions()
        condition.CopyFrom(unbound)
        for field in ("prefix_set", "neighbor_set", "community_set", "ext_community_set"):
            if condition.HasField(field):
                getattr(condition, field).name = name
        action = api.Actions(route_action=api.ACCEPT)
        if actions:
            action.MergeFrom(actions[index])
        statements.append(api.Statement(name=f"{name}-{index}", conditions=condition, actions=action))
    return ReflectorPolicy(name, direction, tuple(named), api.Policy(name=name, statements=statements))
