"""Streams: TCP connections and UDP sessions that go to clusters as they come.

Between sites they travel as CONNECT and CONNECT-UDP streams (RFC 9113, RFC 9298) of the connections that requests use
too. Envoy's proxy filters either tunnel all they forward or nothing. So

1. a stream whose one cluster has only sites as members is tunnelled by its filter;
2. one whose clusters are all local is not;
3. of any other TCP stream, what goes to sites takes a way round: a cluster whose one host is an internal listener of
   this Envoy, which tunnels. A cluster with endpoints here and elsewhere is an aggregate of both.
"""

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.core.v3.address_pb2 import Address, EnvoyInternalAddress
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, Metadata, TransportSocket
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.core.v3.udp_socket_config_pb2 import UdpSocketConfig
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EnvoyEndpoint
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_components_pb2 import Filter, ListenerFilter
from envoy.extensions.clusters.aggregate.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.network.direct_response.v3.config_pb2 import Config as Refusal
from envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2 import Config as StateFilter
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.filters.udp.udp_proxy.session.http_capsule.v3.http_capsule_pb2 import (
    FilterConfig as CapsuleFilter,
)
from envoy.extensions.filters.udp.udp_proxy.v3.route_pb2 import Route as UdpRoute
from envoy.extensions.filters.udp.udp_proxy.v3.udp_proxy_pb2 import UdpProxyConfig
from envoy.extensions.transport_sockets.internal_upstream.v3.internal_upstream_pb2 import InternalUpstreamTransport
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.type.metadata.v3.metadata_pb2 import MetadataKind
from envoy.type.v3.hash_policy_pb2 import HashPolicy
from xds.core.v3.extension_pb2 import TypedExtensionConfig as XdsExtension
from xds.type.matcher.v3.matcher_pb2 import Matcher

from isthmus.compile.intent import Stream
from isthmus.compile.rule import Shape, Share
from isthmus.emit.envoy import name
from isthmus.emit.envoy.access_log import STREAM_FIELDS, emit_stream_log
from isthmus.emit.envoy.forward import emit_subset
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.wire import duration, pack, serialize, struct
from isthmus.model.key import ObjectKey

STREAM_TYPES = tuple(f"type.googleapis.com/{message.DESCRIPTOR.full_name}" for message in (TcpProxy, Refusal))
"""The filters that the configuration of a TCP stream may be of."""
LARGEST_DATAGRAM = 9000
"""Bytes; Envoy by itself cuts datagrams at 1,500."""
_ATTEMPTS = 3
_SITES = (Shape.FABRIC, Shape.UNIFORM)
"""Shapes all of whose members are sites."""
_CLIENT = "isthmus.client"
"""Name of the filter state that takes a client's address along through an internal connection."""
_CLIENT_ADDRESS = "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"


def emit_stream(stream_name: str, stream: Stream, paths: EnvoyPaths) -> bytes:
    """A TCP stream's filter, as an extension configuration: a change of it touches new connections only."""
    config = _tcp_proxy(stream_name, stream, paths) if stream.shares else Refusal()
    return serialize(TypedExtensionConfig(name=stream_name, typed_config=pack(config)))


def _tcp_proxy(stream_name: str, stream: Stream, paths: EnvoyPaths) -> TcpProxy:
    proxy = TcpProxy(
        stat_prefix=name.statistics(stream_name),
        idle_timeout=duration(stream.idle_timeout),
        max_connect_attempts={"value": _ATTEMPTS},
        access_log=emit_stream_log(paths, _fields(stream, "TCP"), _log_name(stream)),
    )
    share = _tunnelled(stream)
    if share is not None:
        proxy.cluster = name.target_cluster(share.cluster, share.shape, share.subset)
        hosted = name.local_cluster(share.cluster)
        proxy.tunneling_config.CopyFrom(_tunnel(_authority(share.cluster), hosted, share.subset, _CLIENT_ADDRESS))
    elif len(stream.shares) == 1:
        (share,) = stream.shares
        proxy.cluster = name.stream_cluster(share.cluster, share.shape, share.subset)
        subset = emit_subset(share)
        if subset is not None:
            proxy.metadata_match.CopyFrom(subset)
    else:
        for share in stream.shares:
            cluster = name.stream_cluster(share.cluster, share.shape, share.subset)
            proxy.weighted_clusters.clusters.add(name=cluster, weight=share.weight, metadata_match=emit_subset(share))
    if any(share.hashes for share in stream.shares):
        proxy.hash_policy.append(HashPolicy(source_ip={}))
    return proxy


def _log_name(stream: Stream) -> str:
    """Says in the log, which has no field for it, whose connections these are."""
    return name.route(stream.key, stream.route) if stream.route is not None else name.path(stream.key)


def _tunnelled(stream: Stream) -> Share | None:
    """The one share of a stream that its own filter tunnels."""
    return stream.shares[0] if len(stream.shares) == 1 and stream.shares[0].shape in _SITES else None


def _tunnel(authority: str, hosted: str, subset: str, client: str) -> TcpProxy.TunnelingConfig:
    """Each argument is a format string; a header whose value comes out empty is left out. The client's address goes
    along as it does with requests."""
    headers = {
        name.CLUSTER_HEADER: hosted,
        name.SUBSET_HEADER: subset,
        name.HASH_HEADER: client,
        "x-forwarded-for": client,
    }
    return TcpProxy.TunnelingConfig(
        hostname=authority, headers_to_add=[_header(key, value) for key, value in headers.items() if value]
    )


def _header(key: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )


def _authority(cluster: ObjectKey) -> str:
    """CONNECT must name a host and a port. Nobody resolves it: the egress site looks at the cluster header."""
    return f"{cluster.name}.{cluster.namespace}:1"


def emit_udp_filter(stream_name: str, stream: Stream, paths: EnvoyPaths) -> ListenerFilter:
    """A UDP stream's filter. Without a cluster there is no route, and datagrams are dropped."""
    config = _udp_proxy(stream_name, stream, paths)
    return ListenerFilter(name="envoy.filters.udp_listener.udp_proxy", typed_config=pack(config))


def _udp_proxy(stream_name: str, stream: Stream, paths: EnvoyPaths) -> UdpProxyConfig:
    proxy = UdpProxyConfig(
        stat_prefix=name.statistics(stream_name),
        idle_timeout=duration(stream.idle_timeout),
        upstream_socket_config=UdpSocketConfig(max_rx_datagram_size={"value": LARGEST_DATAGRAM}),
        access_log=emit_stream_log(paths, _fields(stream, "UDP"), _log_name(stream)),
        matcher=Matcher(),
    )
    for share in stream.shares[:1]:
        route = pack(UdpRoute(cluster=name.target_cluster(share.cluster, share.shape)))
        proxy.matcher.on_no_match.action.CopyFrom(XdsExtension(name="route", typed_config=route))
        if share.hashes:
            proxy.hash_policies.append(UdpProxyConfig.HashPolicy(source_ip=True))
        if share.shape in _SITES:
            proxy.session_filters.add(name="envoy.filters.udp.session.http_capsule", typed_config=pack(CapsuleFilter()))
            headers = (
                (name.CLUSTER_HEADER, name.local_cluster(share.cluster)),
                (name.HASH_HEADER, _CLIENT_ADDRESS),
                ("x-forwarded-for", _CLIENT_ADDRESS),
            )
            proxy.tunneling_config.CopyFrom(
                UdpProxyConfig.UdpTunnelingConfig(
                    proxy_host=f"{share.cluster.name}.{share.cluster.namespace}",
                    target_host=f"{share.cluster.name}.{share.cluster.namespace}",
                    default_target_port=1,
                    retry_options={"max_connect_attempts": {"value": _ATTEMPTS}},
                    headers_to_add=[_header(*pair) for pair in headers],
                    buffer_options={},
                )
            )
    return proxy


def _fields(stream: Stream, protocol: str) -> dict[str, str]:
    route = {"route": name.route(stream.key, stream.route)} if stream.route is not None else {}
    return {**STREAM_FIELDS, "protocol": protocol, **route}


def emit_client_state() -> Filter:
    """Remembers the client's address for what this Envoy makes of the connection by way of an internal listener."""
    return _state(_CLIENT, "envoy.hashable_string", _CLIENT_ADDRESS, shared=True)


def _state(key: str, factory: str, text: str, *, shared: bool = False) -> Filter:
    value = FilterStateValue(
        object_key=key,
        factory_key=factory,
        format_string=SubstitutionFormatString(text_format_source={"inline_string": text}),
        shared_with_upstream=FilterStateValue.ONCE if shared else FilterStateValue.NONE,
    )
    return Filter(
        name="envoy.filters.network.set_filter_state", typed_config=pack(StateFilter(on_new_connection=[value]))
    )


def emit_tunnel_filters() -> list[Filter]:
    """The filters of the internal listener. What is to be tunnelled where stands in the metadata of the host that was
    dialled, so that one listener does for all clusters and never changes."""
    client = f"%FILTER_STATE({_CLIENT}:PLAIN)%"
    proxy = TcpProxy(
        stat_prefix="tunnel",
        cluster="",
        idle_timeout={},
        max_connect_attempts={"value": _ATTEMPTS},
        hash_policy=[HashPolicy(filter_state=HashPolicy.FilterState(key=_CLIENT))],
        tunneling_config=_tunnel(_metadata("authority"), _metadata("hosted"), _metadata("subset"), client),
    )
    return [
        _state("envoy.tcp_proxy.cluster", "envoy.tcp_proxy.cluster", _metadata("cluster")),
        Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy)),
    ]


def _metadata(key: str) -> str:
    return f"%DYNAMIC_METADATA({name.METADATA}:{key})%"


def emit_stream_clusters(stream: Stream) -> list[tuple[str, bytes]]:
    """The clusters of a TCP stream's way round."""
    if _tunnelled(stream) is not None:
        return []
    found = []
    for share in stream.shares:
        if share.shape is not Shape.LOCAL:
            found.append((name.tunnel_cluster(share.cluster, share.subset), _tunnel_cluster(share)))
        if share.shape is Shape.LOCAL_FIRST:
            found.append((name.stream_cluster(share.cluster, share.shape), _aggregate(share)))
    return found


def _tunnel_cluster(share: Share) -> bytes:
    cluster_name = name.tunnel_cluster(share.cluster, share.subset)
    facts = {
        "cluster": str(name.sites_cluster(share.cluster, share.shape, share.subset)),
        "hosted": name.local_cluster(share.cluster),
        "authority": _authority(share.cluster),
        **({"subset": share.subset} if share.subset else {}),
    }
    address = Address(
        envoy_internal_address=EnvoyInternalAddress(server_listener_name=name.TUNNEL_LISTENER, endpoint_id=cluster_name)
    )
    host = LbEndpoint(
        endpoint=EnvoyEndpoint(address=address),
        metadata=Metadata(filter_metadata={name.METADATA: struct(facts)}),
    )
    return serialize(
        EnvoyCluster(
            name=cluster_name,
            type=EnvoyCluster.STATIC,
            load_assignment=ClusterLoadAssignment(
                cluster_name=cluster_name, endpoints=[LocalityLbEndpoints(lb_endpoints=[host])]
            ),
            circuit_breakers=_BREAKERS,
            transport_socket=TransportSocket(
                name="envoy.transport_sockets.internal_upstream", typed_config=pack(_INTERNAL)
            ),
        )
    )


def _aggregate(share: Share) -> bytes:
    members = [name.local_cluster(share.cluster), name.tunnel_cluster(share.cluster)]
    return serialize(
        EnvoyCluster(
            name=name.stream_cluster(share.cluster, share.shape),
            cluster_type=EnvoyCluster.CustomClusterType(
                name="envoy.clusters.aggregate", typed_config=pack(ClusterConfig(clusters=members))
            ),
            lb_policy=EnvoyCluster.CLUSTER_PROVIDED,
            circuit_breakers=_BREAKERS,
            connect_timeout=duration(5_000),
        )
    )


_INTERNAL = InternalUpstreamTransport(
    passthrough_metadata=[
        InternalUpstreamTransport.MetadataValueSource(kind=MetadataKind(host=MetadataKind.Host()), name=name.METADATA)
    ],
    transport_socket=TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer())),
)
_BREAKERS = CircuitBreakers(
    thresholds=[CircuitBreakers.Thresholds(max_connections={"value": 65_536}, max_pending_requests={"value": 65_536})]
)
