"""The GoBGP process and its neighbours: the same for the BGP speaker of a site and the route reflector of a region."""

from isthmus.emit.gobgp.address import LISTEN_ADDRESS, MARKER_ADDRESS, region_address, router_id, session_address
from isthmus.emit.gobgp.path import MEMBERSHIP, VPN
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import AUTONOMOUS_SYSTEM

HOLD_TIME = 15
"""Seconds without a message until a session counts as lost."""

RESTART_TIME = 20
"""Seconds after which a region tells others that it has lost a site: `origin_stale`."""

LONG_LIVED_TIME = 2**24 - 1
"""Seconds for which lost routes are remembered (RFC 9494): the maximum, 194 days. The agents own the timers."""

DEFERRAL_TIME = 10
"""Seconds for which a restarted region waits for its sites before it speaks; sites come back within about six."""

MEMBERSHIP_DEFERRAL_TIME = 60
"""Seconds for which a speaker waits to hear what the other end wants, before it sends anything."""


def emit_site_global(site: int, port: int) -> api.Global:
    """The process of a site that listens on this port of the loopback address."""
    return _global(session_address(site), port)


def emit_region_global(region: int, port: int) -> api.Global:
    """The process of a region that listens on this port of the loopback address."""
    return _global(region_address(region), port)


def emit_site_neighbour(region: int, password: str) -> api.Peer:
    """A region as the neighbour of a site's speaker."""
    return _neighbour(region_address(region), password, client=False, restarting=False)


def emit_reflector_site(site: int, password: str, *, restarting: bool) -> api.Peer:
    """A site as the neighbour of a region's reflector.

    `restarting`: the reflector has lost its routes, and must hear from its sites before it speaks (RFC 4724).
    """
    return _neighbour(session_address(site), password, client=True, restarting=restarting)


def emit_reflector_region(region: int, password: str, *, restarting: bool) -> api.Peer:
    """Another region as the neighbour of a region's reflector.

    It is a client too, although policy keeps its routes from going to third regions: between non-clients, GoBGP 3.10
    forgets to withdraw a route whose place a route from the other end has taken, and both ends then keep a dead one.
    """
    return _neighbour(region_address(region), password, client=True, restarting=restarting)


def emit_marker() -> api.Peer:
    """A neighbour that never connects. Adding it puts an event behind all events so far."""
    return api.Peer(
        conf=api.PeerConf(neighbor_address=MARKER_ADDRESS, peer_asn=AUTONOMOUS_SYSTEM),
        transport=api.Transport(passive_mode=True),
        afi_safis=[api.AfiSafi(config=api.AfiSafiConfig(family=VPN, enabled=True))],
    )


def _global(address: str, port: int) -> api.Global:
    return api.Global(
        asn=AUTONOMOUS_SYSTEM, router_id=router_id(address), listen_port=port, listen_addresses=[LISTEN_ADDRESS]
    )


def _neighbour(address: str, password: str, *, client: bool, restarting: bool) -> api.Peer:
    # Both ends are passive and the tunnel connects to both: GoBGP's own dialling waits for 5 to 10 seconds every time.
    return api.Peer(
        conf=api.PeerConf(neighbor_address=address, peer_asn=AUTONOMOUS_SYSTEM, auth_password=password),
        timers=api.Timers(config=api.TimersConfig(hold_time=HOLD_TIME, keepalive_interval=HOLD_TIME // 3)),
        transport=api.Transport(passive_mode=True),
        route_reflector=api.RouteReflector(route_reflector_client=client),
        graceful_restart=api.GracefulRestart(
            enabled=True,
            restart_time=RESTART_TIME,
            deferral_time=DEFERRAL_TIME,
            notification_enabled=True,
            longlived_enabled=True,
            local_restarting=restarting,
        ),
        afi_safis=[_family(VPN), _family(MEMBERSHIP)],
    )


def _family(family: api.Family) -> api.AfiSafi:
    # Memberships survive a restart as well: without them, a speaker would take its first, empty answer for the whole.
    deferral = MEMBERSHIP_DEFERRAL_TIME if family == MEMBERSHIP else 0
    return api.AfiSafi(
        config=api.AfiSafiConfig(family=family, enabled=True),
        mp_graceful_restart=api.MpGracefulRestart(config=api.MpGracefulRestartConfig(enabled=True)),
        route_target_membership=api.RouteTargetMembership(
            config=api.RouteTargetMembershipConfig(deferral_time=deferral)
        ),
        long_lived_graceful_restart=api.LongLivedGracefulRestart(
            config=api.LongLivedGracefulRestartConfig(enabled=True, restart_time=LONG_LIVED_TIME)
        ),
    )
