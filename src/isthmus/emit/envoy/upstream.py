"""How a site uses the endpoints of a cluster: algorithms, limits, connections, and what takes an endpoint out."""

from functools import lru_cache
from typing import Any

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster as EnvoyCluster
from envoy.config.cluster.v3.cluster_pb2 import UpstreamConnectionOptions
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.address_pb2 import TcpKeepalive
from envoy.config.core.v3.base_pb2 import HIGH, TransportSocket
from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions as ConnectionOptions
from envoy.config.core.v3.proxy_protocol_pb2 import ProxyProtocolConfig
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer

from isthmus.compile.upstream import Limits, Outliers, Pool, Upstream
from isthmus.emit.envoy.wire import duration, pack

POLICY = {
    "ROUND_ROBIN": EnvoyCluster.ROUND_ROBIN,
    "LEAST_REQUEST": EnvoyCluster.LEAST_REQUEST,
    "RANDOM": EnvoyCluster.RANDOM,
    "RING_HASH": EnvoyCluster.RING_HASH,
    "MAGLEV": EnvoyCluster.MAGLEV,
}
HASHING = ("RING_HASH", "MAGLEV")


def set_upstream(cluster: EnvoyCluster, upstream: Upstream, load_balancing: str) -> None:
    """Give a cluster of endpoints these settings. What is as Envoy has it anyway is not said."""
    _set_algorithm(cluster, upstream, load_balancing)
    cluster.circuit_breakers.CopyFrom(emit_breakers(upstream.default, upstream.high))
    cluster.outlier_detection.CopyFrom(emit_outliers(upstream.outliers))
    cluster.common_lb_config.healthy_panic_threshold.value = upstream.panic
    if upstream.pool.keepalive is not None:
        cluster.upstream_connection_options.CopyFrom(emit_keepalive(*upstream.pool.keepalive))


def _set_algorithm(cluster: EnvoyCluster, upstream: Upstream, load_balancing: str) -> None:
    slow = _slow_start(upstream) if upstream.slow_start else None
    if load_balancing == "ROUND_ROBIN" and slow is not None:
        cluster.round_robin_lb_config.slow_start_config.CopyFrom(slow)
    elif load_balancing == "LEAST_REQUEST":
        if slow is not None:
            cluster.least_request_lb_config.slow_start_config.CopyFrom(slow)
        if upstream.choices is not None:
            cluster.least_request_lb_config.choice_count.value = upstream.choices
    elif load_balancing == "RING_HASH" and upstream.ring is not None:
        least, greatest = upstream.ring
        cluster.ring_hash_lb_config.minimum_ring_size.value = least
        cluster.ring_hash_lb_config.maximum_ring_size.value = greatest
    elif load_balancing == "MAGLEV" and upstream.table is not None:
        cluster.maglev_lb_config.table_size.value = upstream.table


def _slow_start(upstream: Upstream) -> EnvoyCluster.SlowStartConfig:
    window, aggression, least = upstream.slow_start or (0, 1.0, 10)
    return EnvoyCluster.SlowStartConfig(
        slow_start_window=duration(window),
        aggression={"default_value": aggression, "runtime_key": "isthmus.slow_start_aggression"},
        min_weight_percent={"value": least},
    )


@lru_cache(maxsize=256)
def emit_breakers(default: Limits, high: Limits) -> CircuitBreakers:
    """Limits for both priorities; Envoy's own would be 1,024. The message is shared: copy it before a change."""
    return CircuitBreakers(thresholds=[_thresholds(default), _thresholds(high, priority=HIGH)])


def _thresholds(limits: Limits, **more: Any) -> CircuitBreakers.Thresholds:
    return CircuitBreakers.Thresholds(
        max_connections={"value": limits.connections},
        max_pending_requests={"value": limits.pending},
        max_requests={"value": limits.requests},
        max_retries={"value": limits.retries},
        **more,
    )


@lru_cache(maxsize=256)
def emit_outliers(outliers: Outliers) -> OutlierDetection:
    """By default only failures to reach a host count: an application's 5xx is its answer, not the host's failure. The
    message is shared: copy it before a change."""
    message = OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure={"value": outliers.local_failures or 5},
        enforcing_consecutive_local_origin_failure={"value": 100 if outliers.local_failures else 0},
        enforcing_local_origin_success_rate={"value": 0},
        enforcing_consecutive_5xx={"value": 100 if outliers.consecutive_5xx else 0},
        enforcing_consecutive_gateway_failure={"value": 100 if outliers.gateway_failures else 0},
        enforcing_success_rate={"value": 100 if outliers.success_rate else 0},
        interval=duration(outliers.interval),
        base_ejection_time=duration(outliers.ejection),
        max_ejection_time=duration(outliers.longest),
        max_ejection_percent={"value": outliers.percent},
    )
    if outliers.consecutive_5xx:
        message.consecutive_5xx.value = outliers.consecutive_5xx
    if outliers.gateway_failures:
        message.consecutive_gateway_failure.value = outliers.gateway_failures
    if outliers.success_rate is not None:
        hosts, volume, deviations = outliers.success_rate
        message.success_rate_minimum_hosts.value = hosts
        message.success_rate_request_volume.value = volume
        message.success_rate_stdev_factor.value = round(1000 * deviations)
    return message


def emit_keepalive(time: int, interval: int, probes: int) -> UpstreamConnectionOptions:
    """TCP keepalive; times in seconds."""
    return UpstreamConnectionOptions(
        tcp_keepalive=TcpKeepalive(
            keepalive_probes={"value": probes}, keepalive_time={"value": time}, keepalive_interval={"value": interval}
        )
    )


def emit_connections(pool: Pool) -> ConnectionOptions | None:
    """The options of HTTP connections; None when they are as Envoy has them anyway."""
    if pool == Pool(keepalive=pool.keepalive):
        return None
    options = ConnectionOptions(idle_timeout=duration(pool.idle))
    if pool.requests is not None:
        options.max_requests_per_connection.value = pool.requests
    if pool.longest is not None:
        options.max_connection_duration.CopyFrom(duration(pool.longest))
    return options


def emit_proxy_protocol(version: str, inner: TransportSocket | None = None) -> TransportSocket:
    """The transport socket that says the client's address first. `inner`: what then follows; plain TCP when None."""
    if inner is None:
        inner = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer()))
    config = ProxyProtocolUpstreamTransport(
        config=ProxyProtocolConfig(version=ProxyProtocolConfig.V1 if version == "V1" else ProxyProtocolConfig.V2),
        transport_socket=inner,
    )
    return TransportSocket(name="envoy.transport_sockets.upstream_proxy_protocol", typed_config=pack(config))
