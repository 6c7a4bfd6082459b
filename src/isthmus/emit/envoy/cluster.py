"""Clusters, in the three shapes that Envoy can run.

*Local*: the endpoints as they are. *Fabric*: other sites, HTTP/2 over mTLS. An aggregate puts the first before the
second. *Uniform*: all sites over HTTP/2, the own one through an internal listener. One cluster cannot mix endpoints and
sites, because plaintext HTTP/1 and ALPN do not go together.
"""

from typing import Any

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.core.v3.address_pb2 import Address, EnvoyInternalAddress
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, TransportSocket
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, KeepaliveSettings
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EnvoyEndpoint
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.clusters.aggregate.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation, Mutations
from envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.transport_sockets.internal_upstream.v3.internal_upstream_pb2 import InternalUpstreamTransport
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.intent import Cluster, Hosted, Shape
from isthmus.compile.upstream import Limits, Outliers
from isthmus.emit.envoy import name
from isthmus.emit.envoy.health_check import emit_health_check
from isthmus.emit.envoy.http import FABRIC_WINDOW
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.source import ADS
from isthmus.emit.envoy.tls import emit_dialling_socket, emit_endpoint_socket
from isthmus.emit.envoy.upstream import (
    HASHING,
    POLICY,
    emit_breakers,
    emit_connections,
    emit_keepalive,
    emit_outliers,
    emit_proxy_protocol,
    set_upstream,
)
from isthmus.emit.envoy.wire import duration, pack, serialize, struct

OWN_SITE = "own"
"""Key of the endpoint metadata that marks the own site."""
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def emit_hosted_cluster(hosted: Hosted, paths: EnvoyPaths) -> bytes:
    """The endpoints of a cluster at this site."""
    cluster = _cluster(name.local_cluster(hosted.key), POLICY[hosted.load_balancing])
    cluster.connect_timeout.CopyFrom(duration(hosted.connect_timeout))
    cluster.ignore_health_on_host_removal = True
    if hosted.health_checks and hosted.health_checks[0].udp is None:
        # Envoy runs one health check per cluster; the others have clusters of their own.
        cluster.health_checks.append(emit_health_check(hosted.health_checks[0], hosted.protocol, paths))
        cluster.common_lb_config.ignore_new_hosts_until_first_hc = True
    upstream = hosted.upstream
    set_upstream(cluster, upstream, hosted.load_balancing)
    _connect(cluster, hosted)
    if hosted.subsets:
        cluster.lb_subset_config.CopyFrom(_subsets(hosted.fallback))
    hashing = hosted.load_balancing in HASHING
    connections = emit_connections(upstream.pool)
    if hashing or connections is not None or hosted.protocol != "HTTP1":
        options = _application(hosted.protocol, _FORGET_HASH if hashing else None)
        if connections is not None:
            options.common_http_protocol_options.CopyFrom(connections)
        cluster.typed_extension_protocol_options[_OPTIONS].CopyFrom(pack(options))
    return serialize(cluster)


def emit_probe_cluster(hosted: Hosted, index: int, paths: EnvoyPaths) -> bytes:
    """The endpoints once more, for the health check of this index alone. No request ever comes here."""
    cluster = _cluster(name.probe_cluster(hosted.key, index), EnvoyCluster.ROUND_ROBIN)
    cluster.connect_timeout.CopyFrom(duration(hosted.connect_timeout))
    cluster.ignore_health_on_host_removal = True
    cluster.health_checks.append(emit_health_check(hosted.health_checks[index], hosted.protocol, paths))
    _connect(cluster, hosted)
    if hosted.protocol != "HTTP1":  # or Envoy refuses a gRPC check
        cluster.typed_extension_protocol_options[_OPTIONS].CopyFrom(pack(_application(hosted.protocol, None)))
    return serialize(cluster)


def _connect(cluster: EnvoyCluster, hosted: Hosted) -> None:
    """How endpoints are dialled, by requests and by probes alike: TLS, and before it the PROXY protocol."""
    if hosted.tls is not None:
        cluster.transport_socket.CopyFrom(emit_endpoint_socket(hosted.tls, hosted.protocol))
    version = hosted.upstream.proxy_protocol
    if version != "NONE":
        inner = cluster.transport_socket if hosted.tls is not None else None
        cluster.transport_socket.CopyFrom(emit_proxy_protocol(version, inner))


def emit_sites_cluster(cluster: Cluster, subset: str = "") -> bytes:
    """The cluster whose members are the sites of a subset (all endpoints when empty), for every shape but LOCAL."""
    uniform = cluster.shape.of_subset(subset) is Shape.UNIFORM
    policy = _AMONG_SITES.get(cluster.load_balancing, cluster.load_balancing)
    message = _cluster(str(name.sites_cluster(cluster.key, cluster.shape, subset)), POLICY[policy])
    message.connect_timeout.CopyFrom(duration(1_000))
    message.circuit_breakers.CopyFrom(_tries(cluster))
    message.transport_socket.CopyFrom(_DIALLING)
    if uniform:
        message.transport_socket_matches.append(_OWN_SOCKET)
    # Health checks of endpoints are the business of their own site. What is left to find out here, and quickly, is
    # whether a site can be reached: pings over idle and busy connections, and failures that no application caused.
    message.typed_extension_protocol_options[_OPTIONS].CopyFrom(pack(_http2()))
    message.outlier_detection.CopyFrom(_SITE_OUTLIERS)
    message.upstream_connection_options.CopyFrom(_KEEPALIVE)
    return serialize(message)


def _tries(cluster: Cluster) -> CircuitBreakers:
    """Wide, but for tries after a failure: ingress makes these. Other limits are egress's, who sees all requests."""
    default, high = cluster.retries
    return emit_breakers(Limits(retries=default), Limits(retries=high))


def emit_own_cluster() -> bytes:
    """The own site as one host, asked as other sites are."""
    address = Address(envoy_internal_address=EnvoyInternalAddress(server_listener_name=name.OWN_LISTENER))
    host = LbEndpoint(endpoint=EnvoyEndpoint(address=address))
    message = EnvoyCluster(
        name=name.OWN_CLUSTER,
        type=EnvoyCluster.STATIC,
        connect_timeout=duration(1_000),
        circuit_breakers=_BREAKERS,
        transport_socket=_OWN_SOCKET.transport_socket,
        load_assignment=ClusterLoadAssignment(
            cluster_name=name.OWN_CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[host])]
        ),
    )
    message.typed_extension_protocol_options[_OPTIONS].CopyFrom(pack(_http2()))
    return serialize(message)


def emit_aggregate_cluster(cluster: Cluster) -> bytes:
    """Local endpoints first, then other sites. The filters of the cluster that a route names run, never a member's: so
    the header for the egress site is added here, and only to requests for hosts with the metadata to fill it."""
    members = [name.local_cluster(cluster.key), name.fabric_cluster(cluster.key)]
    message = EnvoyCluster(
        name=name.target_cluster(cluster.key, cluster.shape),
        cluster_type=EnvoyCluster.CustomClusterType(
            name="envoy.clusters.aggregate", typed_config=pack(ClusterConfig(clusters=members))
        ),
        lb_policy=EnvoyCluster.CLUSTER_PROVIDED,
        circuit_breakers=_tries(cluster),
        connect_timeout=duration(cluster.connect_timeout),
    )
    message.typed_extension_protocol_options[_OPTIONS].CopyFrom(pack(_application("HTTP1", _NAME_CLUSTER)))
    return serialize(message)


def _subsets(fallback: str | None) -> EnvoyCluster.LbSubsetConfig:
    """Requests that name no subset go to any endpoint; those that name one without endpoints by the fallback."""
    selector = EnvoyCluster.LbSubsetConfig.LbSubsetSelector
    policy = selector.NO_FALLBACK
    if fallback is not None:
        policy = selector.DEFAULT_SUBSET if fallback else selector.ANY_ENDPOINT
    return EnvoyCluster.LbSubsetConfig(
        fallback_policy=EnvoyCluster.LbSubsetConfig.ANY_ENDPOINT,
        default_subset=struct({name.SUBSET_KEY: fallback}) if fallback else None,
        subset_selectors=[selector(keys=[name.SUBSET_KEY], fallback_policy=policy)],
        list_as_any=True,
    )


def _cluster(cluster_name: str, policy: Any) -> EnvoyCluster:
    return EnvoyCluster(
        name=cluster_name,
        type=EnvoyCluster.EDS,
        eds_cluster_config=EnvoyCluster.EdsClusterConfig(eds_config=ADS),
        lb_policy=policy,
        # Requests are never sent to hosts that are known to be bad, however few the good ones are.
        common_lb_config=EnvoyCluster.CommonLbConfig(healthy_panic_threshold={"value": 0.0}),
        circuit_breakers=_BREAKERS,
    )


def _http2() -> HttpProtocolOptions:
    options = Http2ProtocolOptions(
        connection_keepalive=KeepaliveSettings(interval=duration(500), timeout=duration(1_000)),
        allow_connect=True,
        **FABRIC_WINDOW,
    )
    return HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptions.ExplicitHttpConfig(http2_protocol_options=options)
    )


def _application(protocol: str, mutation: Mutation | None) -> HttpProtocolOptions:
    """What an application speaks, with at most one change to the headers once the host is chosen."""
    options = HttpProtocolOptions()
    if protocol == "AUTO":
        options.auto_config.CopyFrom(
            HttpProtocolOptions.AutoHttpConfig(http_protocol_options={}, http2_protocol_options=_STREAMS)
        )
    elif protocol == "HTTP2":
        options.explicit_http_config.http2_protocol_options.CopyFrom(_STREAMS)
    else:
        options.explicit_http_config.http_protocol_options.SetInParent()
    if mutation is not None:
        config = HeaderMutation(mutations=Mutations(request_mutations=[mutation]))
        options.http_filters.extend(
            (HttpFilter(name="envoy.filters.http.header_mutation", typed_config=pack(config)), _CODEC)
        )
    return options


_STREAMS = Http2ProtocolOptions(allow_connect=True)
"""WebSocket to an HTTP/2 application is a CONNECT stream (RFC 8441)."""
_NAME_CLUSTER = Mutation(
    append=HeaderValueOption(
        header=HeaderValue(key=name.CLUSTER_HEADER, value=f"%UPSTREAM_METADATA({name.METADATA}:cluster)%"),
        append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
)
_FORGET_HASH = Mutation(remove_on_match=Mutation.RemoveOnMatch(key_matcher=StringMatcher(prefix=name.HASH_HEADER)))
_BREAKERS = emit_breakers(Limits(), Limits())
"""Wide enough that ingress never refuses what egress would take: the limits are egress's."""
_SITE_OUTLIERS = emit_outliers(Outliers(local_failures=2, ejection=1_000, longest=5_000))
_AMONG_SITES = {"RANDOM": "ROUND_ROBIN", "RING_HASH": "MAGLEV"}
"""Algorithms that do not do among sites what is asked for, and those that do, while endpoints of the chosen site are
chosen as asked. RANDOM would ignore the sites' weights. With a ring, sites exchange keys when another one is lost: its
size goes by weight, so the others' parts are laid out anew."""
_KEEPALIVE = emit_keepalive(10, 5, 3)
_DIALLING = emit_dialling_socket()
_OWN_SOCKET = EnvoyCluster.TransportSocketMatch(
    name=OWN_SITE,
    match=struct({OWN_SITE: True}),
    transport_socket=TransportSocket(
        name="envoy.transport_sockets.internal_upstream",
        typed_config=pack(
            InternalUpstreamTransport(
                transport_socket=TransportSocket(
                    name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer())
                )
            )
        ),
    ),
)
_CODEC = HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec()))
