"""Endpoint routes as routes of BGP's VPNv6 family, and back.

- The prefix is a /128: the deployment's /48 (RFC 4193: `fd` and 40 bits of hash), 32 bits of site number, 48 bits of
  endpoint number.
- The route distinguisher is `asn:site`, the one route target `asn:cluster`, both of type 0 (two-octet AS).
- Large communities (RFC 8092) `asn:function:value` carry the rest. Functions that are not known are ignored, so that
  a newer site may add some. Each has one value: subsets have a function each, in `_SUBSETS`, for a function with
  two values is refused by releases that know nothing of subsets.
"""

import hashlib
import ipaddress
from dataclasses import dataclass

from isthmus.health.route import MAX_ENDPOINT, MAX_NUMBER, MAX_SUBSETS, EndpointKey, EndpointRoute

AUTONOMOUS_SYSTEM = 64512
"""The private AS number that every site and region of a deployment shares (iBGP)."""

_WEIGHT = 1
_CHANGED_HIGH = 2
_CHANGED_LOW = 3
_FLAGS = 4
_SUBSET = 5
"""One subset, or 0: no longer announced, still read."""
_SUBSETS = range(16, 16 + MAX_SUBSETS)

_DRAINING = 1

_SITE_SHIFT = 48
_DEPLOYMENT_SHIFT = 80


class RouteError(Exception):
    """A route that is not a well-formed endpoint route of this deployment: whoever announced it is at fault."""


@dataclass(frozen=True, slots=True)
class VpnRoute:
    """A route of the VPNv6 family, as far as it matters here.

    `distinguisher` and `targets` are pairs of AS number and assigned number; `communities` are large communities.
    """

    prefix: str
    length: int
    distinguisher: tuple[int, int]
    targets: tuple[tuple[int, int], ...] = ()
    communities: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class RouteSpace:
    """Where the routes of one deployment live: its /48 as an integer of 48 bits, and its AS number."""

    deployment: int
    asn: int = AUTONOMOUS_SYSTEM

    @classmethod
    def of(cls, trust_domain: str) -> "RouteSpace":
        """The space of the deployment with this trust domain: `fd` and the first 40 bits of the SHA-256 of its name."""
        return cls(0xFD << 40 | int.from_bytes(hashlib.sha256(trust_domain.encode()).digest()[:5]))

    def site_network(self, site: int) -> ipaddress.IPv6Network:
        """The /80 that the endpoints of a site lie in."""
        return ipaddress.IPv6Network((self.deployment << _DEPLOYMENT_SHIFT | site << _SITE_SHIFT, 80))

    def address(self, key: EndpointKey) -> ipaddress.IPv6Address:
        """The address whose /128 is the route of an endpoint."""
        return ipaddress.IPv6Address(self.deployment << _DEPLOYMENT_SHIFT | key.site << _SITE_SHIFT | key.endpoint)


def encode_key(space: RouteSpace, key: EndpointKey) -> VpnRoute:
    """The route of an endpoint without what it says: enough to withdraw it."""
    return VpnRoute(str(space.address(key)), 128, (space.asn, key.site))


def encode_route(space: RouteSpace, route: EndpointRoute) -> VpnRoute:
    """An endpoint route as a VPNv6 route."""
    values = (
        (_WEIGHT, route.weight),
        (_CHANGED_HIGH, route.changed_at >> 32),
        (_CHANGED_LOW, route.changed_at & 0xFFFFFFFF),
        (_FLAGS, _DRAINING if route.draining else 0),
        *enumerate(sorted(route.subsets), start=_SUBSETS.start),
    )
    return VpnRoute(
        prefix=str(space.address(route.key)),
        length=128,
        distinguisher=(space.asn, route.site),
        targets=((space.asn, route.cluster),),
        communities=tuple((space.asn, function, value) for function, value in values),
    )


def decode_key(space: RouteSpace, route: VpnRoute) -> EndpointKey:
    """Which endpoint a VPNv6 route is about.

    Raises RouteError when it is not an endpoint of this deployment, or when prefix and distinguisher name different
    sites.
    """
    try:
        address = int(ipaddress.IPv6Address(route.prefix))
    except ValueError as error:
        raise RouteError(f"{route.prefix!r} is not an IPv6 address") from error
    if route.length != 128:
        raise RouteError(f"the prefix length is {route.length}, not 128")
    if address >> _DEPLOYMENT_SHIFT != space.deployment:
        raise RouteError(f"{route.prefix} is outside this deployment's /48")
    key = EndpointKey(address >> _SITE_SHIFT & MAX_NUMBER, address & MAX_ENDPOINT)
    if route.distinguisher != (space.asn, key.site):
        raise RouteError(f"distinguisher {route.distinguisher} does not name site {key.site}")
    return key


def decode_route(space: RouteSpace, route: VpnRoute) -> EndpointRoute:
    """The endpoint route that a VPNv6 route is. Raises RouteError when it is none."""
    key = decode_key(space, route)
    if len(route.targets) != 1:
        raise RouteError(f"{len(route.targets)} route targets, not one")
    asn, cluster = route.targets[0]
    if asn != space.asn:
        raise RouteError(f"route target {asn}:{cluster} is not of AS {space.asn}")
    values: dict[int, int] = {}
    for admin, function, value in route.communities:
        if admin == space.asn and values.setdefault(function, value) != value:
            raise RouteError(f"function {function} has two values")
    missing = [
        name for function, name in ((_WEIGHT, "weight"), (_CHANGED_LOW, "change time")) if function not in values
    ]
    if missing:
        raise RouteError(f"no {' and no '.join(missing)}")
    try:
        return EndpointRoute(
            site=key.site,
            endpoint=key.endpoint,
            cluster=cluster,
            weight=values[_WEIGHT],
            changed_at=values.get(_CHANGED_HIGH, 0) << 32 | values[_CHANGED_LOW],
            draining=bool(values.get(_FLAGS, 0) & _DRAINING),
            subsets=frozenset(
                value for function, value in values.items() if value and (function == _SUBSET or function in _SUBSETS)
            ),
        )
    except ValueError as error:
        raise RouteError(str(error)) from error
