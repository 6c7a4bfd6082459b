"""Endpoint assignments: of local clusters from the intent, of clusters of sites from the choice that health makes."""

from collections import defaultdict
from collections.abc import Callable, Iterable

from envoy.config.core.v3.address_pb2 import Address, EnvoyInternalAddress
from envoy.config.core.v3.base_pb2 import Metadata
from envoy.config.core.v3.health_check_pb2 import DEGRADED, DRAINING, HEALTHY, UNHEALTHY
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EnvoyEndpoint
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from isthmus.compile.intent import Cluster, Endpoint, Hosted, Member, Shape, Socket
from isthmus.emit.envoy import name
from isthmus.emit.envoy.cluster import OWN_SITE
from isthmus.emit.envoy.listener import emit_address
from isthmus.emit.envoy.upstream import HASHING
from isthmus.emit.envoy.wire import serialize, struct
from isthmus.health.choice import SiteChoice, SiteState

_STATE = {SiteState.HEALTHY: HEALTHY, SiteState.DEGRADED: DEGRADED, SiteState.DRAINING: DRAINING}
# A place keeps all requests while one host there is healthy: by default Envoy moves some away below 72 %.
_POLICY = ClusterLoadAssignment.Policy(overprovisioning_factor={"value": 100_000})


def emit_hosted_endpoints(
    hosted: Hosted, unhealthy: frozenset[Socket] = frozenset(), unserved: frozenset[str] = frozenset()
) -> bytes:
    """The assignment of a local cluster. `unhealthy`: those that a health check beside its own one found bad.
    `unserved`: subsets that nobody healthy is in, so that their fallback stands in for them."""
    return _hosted(hosted, name.local_cluster(hosted.key), unhealthy, unserved)


def emit_probe_endpoints(hosted: Hosted, index: int) -> bytes:
    """The assignment of the cluster for the health check of this index."""
    return _hosted(hosted, name.probe_cluster(hosted.key, index), frozenset(), frozenset())


def _hosted(hosted: Hosted, cluster_name: str, unhealthy: frozenset[Socket], unserved: frozenset[str]) -> bytes:
    by_priority: dict[int, list[LbEndpoint]] = defaultdict(list) if hosted.endpoints else {0: []}
    for each in hosted.endpoints:
        by_priority[each.priority].append(_endpoint(each, unserved, bad=each.socket in unhealthy))
    return serialize(
        ClusterLoadAssignment(
            cluster_name=cluster_name,
            endpoints=[
                LocalityLbEndpoints(lb_endpoints=hosts, priority=index)
                for index, (_, hosts) in enumerate(sorted(by_priority.items()))
            ],
            policy=_policy(hosted.upstream.panic),
        )
    )


def _policy(panic: int) -> ClusterLoadAssignment.Policy:
    """Envoy thinks of panic only once it believes that a place cannot take all requests: so, with a threshold, exactly
    when fewer hosts are healthy than that."""
    if panic == 0:
        return _POLICY
    return ClusterLoadAssignment.Policy(overprovisioning_factor={"value": 10_000 // panic})


def _endpoint(endpoint: Endpoint, unserved: frozenset[str], *, bad: bool) -> LbEndpoint:
    subsets = [subset for subset in endpoint.subsets if subset not in unserved]
    return LbEndpoint(
        endpoint=EnvoyEndpoint(
            address=emit_address(endpoint.socket),
            hostname=endpoint.host,  # the fabric's routes make it the Host header
            health_check_config={"hostname": endpoint.host} if endpoint.host else None,
        ),
        load_balancing_weight={"value": endpoint.weight},
        health_status=DRAINING if endpoint.drained else UNHEALTHY if bad else 0,
        metadata=Metadata(filter_metadata={name.LB_METADATA: struct({name.SUBSET_KEY: subsets})}) if subsets else None,
    )


def emit_cluster_endpoints(cluster: Cluster, choices: Iterable[SiteChoice], subset: str = "") -> bytes:
    """The assignment of the cluster of sites (`name.sites_cluster`) of any cluster that is not LOCAL, or of one of its
    subsets.

    Sites that are no members, and the own site where it is no host of this cluster, are passed over; the priorities
    that remain close up, as Envoy wants them.
    """
    members = {member.site: member for member in cluster.members}
    shape = cluster.shape.of_subset(subset)
    by_priority: dict[int, list[LbEndpoint]] = defaultdict(list)
    for choice in choices:
        member = members.get(choice.site)
        if member is not None and (not member.own or shape is Shape.UNIFORM):
            by_priority[choice.priority].append(_site(cluster, shape, member, choice))
    if cluster.load_balancing in HASHING:  # a table depends on the order, and must be the same at every ingress site
        for hosts in by_priority.values():
            hosts.sort(key=lambda host: str(host.endpoint.hostname))
    localities = [
        LocalityLbEndpoints(lb_endpoints=hosts, priority=index)
        for index, (_, hosts) in enumerate(sorted(by_priority.items()))
    ]
    return serialize(
        ClusterLoadAssignment(
            cluster_name=str(name.sites_cluster(cluster.key, cluster.shape, subset)),
            endpoints=localities,
            policy=_POLICY,
        )
    )


def emit_assignments(cluster: Cluster, choices: Callable[[str], Iterable[SiteChoice]]) -> dict[str, bytes]:
    """The assignments of a cluster's sites and of each subset's, by name. `choices`: by subset, "" for
    all endpoints."""
    if cluster.shape is Shape.LOCAL:
        return {}
    return {
        str(name.sites_cluster(cluster.key, cluster.shape, subset)): emit_cluster_endpoints(
            cluster, choices(subset), subset
        )
        for subset in ("", *cluster.subsets)
    }


def _site(cluster: Cluster, shape: Shape, member: Member, choice: SiteChoice) -> LbEndpoint:
    """A site is one host, whatever the number of its addresses: a connection tries them in turn."""
    metadata = {name.LB_METADATA: struct({"hash_key": member.site})}
    if member.own:
        metadata["envoy.transport_socket_match"] = struct({OWN_SITE: True})
        address = Address(
            envoy_internal_address=EnvoyInternalAddress(
                server_listener_name=name.OWN_LISTENER, endpoint_id=name.local_cluster(cluster.key)
            )
        )
        endpoint = EnvoyEndpoint(address=address, hostname=member.dns_name)
    else:
        endpoint = EnvoyEndpoint(
            address=emit_address(member.fabric[0]),
            hostname=member.dns_name,
            additional_addresses=[
                EnvoyEndpoint.AdditionalAddress(address=emit_address(socket)) for socket in member.fabric[1:]
            ],
        )
    if shape is Shape.LOCAL_FIRST:
        metadata[name.METADATA] = struct({"cluster": name.local_cluster(cluster.key)})
    return LbEndpoint(
        endpoint=endpoint,
        load_balancing_weight={"value": max(1, choice.weight)},
        health_status=_STATE[choice.state],
        metadata=Metadata(filter_metadata=metadata),
    )
