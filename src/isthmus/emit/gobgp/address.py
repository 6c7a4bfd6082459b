"""Which loopback address stands for whom. All are local to one machine and lie in 127/8, which Linux answers to as a
whole.

GoBGP knows a neighbour by its address alone, so that the source address of a connection says whose session it is.
The ends of the tunnels connect from these addresses; nothing else may (TCP MD5 signatures keep other local users out).
"""

import ipaddress

LISTEN_ADDRESS = "127.0.0.1"
"""Where every GoBGP listens, on a port of its own: two deployments on one machine differ in the port."""

_SITES = int(ipaddress.IPv4Address("127.64.0.0"))
_SITES_BITS = 22
_REGIONS = int(ipaddress.IPv4Address("127.32.0.0"))
_REGIONS_BITS = 16
MARKER_ADDRESS = "127.16.0.1"
"""A neighbour that never connects: its appearance in GoBGP's events proves that all earlier events have been seen."""


def session_address(site: int) -> str:
    """The address that the session of a site comes from at a region. Raises ValueError beyond 4,194,303 sites."""
    return _address(_SITES, _SITES_BITS, "site", site)


def region_address(region: int) -> str:
    """The address that the session of a region comes from, at a site or another region. ValueError beyond 65,535."""
    return _address(_REGIONS, _REGIONS_BITS, "region", region)


def router_id(address: str) -> str:
    """The BGP identifier of the speaker behind an address: unique in a deployment, as routes carry it."""
    return "10." + address.partition(".")[2]


def _address(base: int, bits: int, kind: str, number: int) -> str:
    if not 1 <= number < 1 << bits:
        raise ValueError(f"{kind} number {number} is not within 1..{(1 << bits) - 1}")
    return str(ipaddress.IPv4Address(base + number))
