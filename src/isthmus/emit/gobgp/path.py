"""Endpoint routes and route target memberships as GoBGP's paths, and back."""

import functools
from typing import TypeVar

from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError, Message

from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import RouteError, RouteSpace, VpnRoute, decode_key, decode_route, encode_key, encode_route
from isthmus.health.route import EndpointKey, EndpointRoute

M = TypeVar("M", bound=Message)

_TYPE_PREFIX = "type.googleapis.com/apipb."
_ROUTE_TARGET = 2  # sub-type of extended communities (RFC 4360)
_NO_LABEL = 0
_SELF = "0.0.0.0"  # noqa: S104 - to GoBGP, the next hop that means the speaker itself
_LLGR_STALE = 0xFFFF0006  # RFC 9494

VPN = api.Family(afi=api.Family.AFI_IP6, safi=api.Family.SAFI_MPLS_VPN)
MEMBERSHIP = api.Family(afi=api.Family.AFI_IP, safi=api.Family.SAFI_ROUTE_TARGET_CONSTRAINTS)


def emit_announcement(space: RouteSpace, route: EndpointRoute) -> api.Path:
    """The path that announces an endpoint."""
    vpn = encode_route(space, route)
    targets = [_target(asn, number) for asn, number in vpn.targets]
    communities = [api.LargeCommunity(global_admin=a, local_data1=f, local_data2=v) for a, f, v in vpn.communities]
    return api.Path(
        family=VPN,
        nlri=_nlri(vpn),
        pattrs=[
            _pack(api.OriginAttribute(origin=0)),
            # Nobody forwards packets to it; it only has to be there, and to be the same from every session.
            _pack(api.NextHopAttribute(next_hop=_next_hop(space, route.site))),
            _pack(api.ExtendedCommunitiesAttribute(communities=targets)),
            _pack(api.LargeCommunitiesAttribute(communities=communities)),
        ],
    )


def emit_withdrawal(space: RouteSpace, key: EndpointKey) -> api.Path:
    """The path that withdraws an endpoint."""
    return api.Path(family=VPN, nlri=_nlri(encode_key(space, key)), is_withdraw=True)


def emit_membership(space: RouteSpace, cluster: int, *, leave: bool = False) -> api.Path:
    """Joins (or leaves) a cluster: route target constraint (RFC 4684), by which a region sends its routes."""
    nlri = api.RouteTargetMembershipNLRI(asn=space.asn, rt=_target(space.asn, cluster))
    return api.Path(family=MEMBERSHIP, nlri=_pack(nlri), pattrs=_membership_attributes(), is_withdraw=leave)


def parse_route(space: RouteSpace, path: api.Path) -> EndpointRoute:
    """The endpoint that a path announces. Raises RouteError when it is not an endpoint route of this deployment."""
    targets: list[tuple[int, int]] = []
    communities: list[tuple[int, int, int]] = []
    for attribute in path.pattrs:
        name = attribute.type_url.removeprefix(_TYPE_PREFIX)
        if name == "ExtendedCommunitiesAttribute":
            for community in _unpack(attribute, api.ExtendedCommunitiesAttribute()).communities:
                targets += _parse_target(community)
        elif name == "LargeCommunitiesAttribute":
            large = _unpack(attribute, api.LargeCommunitiesAttribute()).communities
            communities = [(c.global_admin, c.local_data1, c.local_data2) for c in large]
    prefix, length, distinguisher = _parse_nlri(path)
    return decode_route(space, VpnRoute(prefix, length, distinguisher, tuple(targets), tuple(communities)))


def parse_key(space: RouteSpace, path: api.Path) -> EndpointKey:
    """The endpoint that a path, also a withdrawal, is about. Raises RouteError as `parse_route`."""
    return decode_key(space, VpnRoute(*_parse_nlri(path)))


def parse_membership(path: api.Path) -> int:
    """The cluster that a membership joins. Raises RouteError when it is none."""
    nlri = _unpack(path.nlri, api.RouteTargetMembershipNLRI())
    targets = _parse_target(nlri.rt)
    if not targets:
        raise RouteError("not a membership of a route target")
    return int(targets[0][1])


def is_own(path: api.Path) -> bool:
    """Whether the speaker itself originates the path."""
    return path.neighbor_ip in ("", "<nil>")


def is_endpoint_family(path: api.Path) -> bool:
    """Whether the path is of the family that endpoint routes travel in."""
    return bool(path.family == VPN)


def is_origin_stale(path: api.Path) -> bool:
    """Whether the region that sent the path has lost the session to the site that announced it."""
    for attribute in path.pattrs:
        if attribute.type_url == f"{_TYPE_PREFIX}CommunitiesAttribute":
            return _LLGR_STALE in _unpack(attribute, api.CommunitiesAttribute()).communities
    return False


@functools.lru_cache(maxsize=8)
def _next_hop(space: RouteSpace, site: int) -> str:
    return str(space.site_network(site).network_address)


def _membership_attributes() -> list[Any]:
    return [_pack(api.OriginAttribute(origin=0)), _pack(api.NextHopAttribute(next_hop=_SELF))]


def _nlri(route: VpnRoute) -> Any:
    asn, assigned = route.distinguisher
    return _pack(
        api.LabeledVPNIPAddressPrefix(
            labels=[_NO_LABEL],
            rd=_pack(api.RouteDistinguisherTwoOctetASN(admin=asn, assigned=assigned)),
            prefix_len=route.length,
            prefix=route.prefix,
        )
    )


def _parse_nlri(path: api.Path) -> tuple[str, int, tuple[int, int]]:
    nlri = _unpack(path.nlri, api.LabeledVPNIPAddressPrefix())
    distinguisher = _unpack(nlri.rd, api.RouteDistinguisherTwoOctetASN())
    return nlri.prefix, nlri.prefix_len, (distinguisher.admin, distinguisher.assigned)


def _target(asn: int, number: int) -> Any:
    return _pack(
        api.TwoOctetAsSpecificExtended(is_transitive=True, sub_type=_ROUTE_TARGET, asn=asn, local_admin=number)
    )


def _parse_target(community: Any) -> list[tuple[int, int]]:
    if community.type_url != f"{_TYPE_PREFIX}TwoOctetAsSpecificExtended":
        return []
    value = _unpack(community, api.TwoOctetAsSpecificExtended())
    return [(value.asn, value.local_admin)] if value.is_transitive and value.sub_type == _ROUTE_TARGET else []


def _pack(message: Message) -> Any:
    return Any(type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}", value=message.SerializeToString())


def _unpack(packed: Any, message: M) -> M:
    if packed.type_url != f"type.googleapis.com/{message.DESCRIPTOR.full_name}":
        raise RouteError(f"{packed.type_url or 'nothing'} where {message.DESCRIPTOR.full_name} belongs")
    try:
        message.ParseFromString(packed.value)
    except DecodeError as error:
        raise RouteError(f"malformed {message.DESCRIPTOR.full_name}") from error
    return message
