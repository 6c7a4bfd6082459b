"""How this site uses the endpoints of a cluster that it hosts. Durations are in milliseconds."""

from dataclasses import dataclass

from isthmus.model.cluster import ClusterSpec
from isthmus.model.upstream import Limits as LimitsSpec
from isthmus.model.value import milliseconds


@dataclass(frozen=True, slots=True)
class Limits:
    """What the endpoints take at most at a time."""

    connections: int = 65_536
    pending: int = 65_536
    requests: int = 65_536
    retries: int = 65_536


@dataclass(frozen=True, slots=True)
class Outliers:
    """What takes an endpoint out. None: such failures do not count.

    Attributes:
        success_rate: least endpoints, least requests, standard deviations.
    """

    consecutive_5xx: int | None = None
    gateway_failures: int | None = None
    local_failures: int | None = 5
    success_rate: tuple[int, int, float] | None = None
    interval: int = 1_000
    ejection: int = 5_000
    longest: int = 30_000
    percent: int = 100


@dataclass(frozen=True, slots=True)
class Pool:
    """Connections.

    Attributes:
        idle: 0: never closed.
        keepalive: idle time, interval (both in seconds), probes.
    """

    requests: int | None = None
    idle: int = 3_600_000
    longest: int | None = None
    keepalive: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Upstream:
    """Everything about endpoints but which they are and whether they are healthy.

    Attributes:
        choices: of LEAST_REQUEST. ring: least and greatest size of RING_HASH. table: size of MAGLEV.
        slow_start: window, aggression, least percentage.
        panic: percent of healthy endpoints below which all are used.
        proxy_protocol: NONE, V1 or V2.
    """

    default: Limits = Limits()
    high: Limits = Limits()
    outliers: Outliers = Outliers()
    pool: Pool = Pool()
    choices: int | None = None
    ring: tuple[int, int] | None = None
    table: int | None = None
    slow_start: tuple[int, float, int] | None = None
    panic: int = 0
    proxy_protocol: str = "NONE"


USUAL = Upstream()
"""What a cluster that says nothing has."""


def compile_upstream(spec: ClusterSpec) -> Upstream:
    """The settings of a cluster."""
    slow, ring = spec.slow_start, spec.ring_hash
    return Upstream(
        default=_limits(spec.circuit_breakers.default),
        high=_limits(spec.circuit_breakers.high),
        outliers=_outliers(spec),
        pool=_pool(spec),
        choices=spec.least_request.choice_count if spec.least_request else None,
        ring=(ring.minimum_ring_size, ring.maximum_ring_size) if ring else None,
        table=spec.maglev.table_size if spec.maglev else None,
        slow_start=(milliseconds(slow.window), slow.aggression, slow.min_weight_percent) if slow else None,
        panic=spec.panic_threshold,
        proxy_protocol=spec.proxy_protocol,
    )


def _limits(limits: LimitsSpec) -> Limits:
    return Limits(limits.max_connections, limits.max_pending_requests, limits.max_requests, limits.max_retries)


def _outliers(spec: ClusterSpec) -> Outliers:
    detection = spec.outlier_detection
    rate = detection.success_rate
    return Outliers(
        consecutive_5xx=detection.consecutive_5xx,
        gateway_failures=detection.consecutive_gateway_failures,
        local_failures=detection.consecutive_local_failures,
        success_rate=(rate.minimum_endpoints, rate.request_volume, rate.deviations) if rate else None,
        interval=milliseconds(detection.interval),
        ejection=milliseconds(detection.base_ejection_time),
        longest=milliseconds(detection.max_ejection_time),
        percent=detection.max_ejection_percent,
    )


def _pool(spec: ClusterSpec) -> Pool:
    pool = spec.connection_pool
    keepalive = pool.tcp_keepalive
    return Pool(
        requests=pool.max_requests_per_connection,
        idle=milliseconds(pool.idle_timeout),
        longest=milliseconds(pool.max_connection_duration) if pool.max_connection_duration else None,
        keepalive=(milliseconds(keepalive.time) // 1000, milliseconds(keepalive.interval) // 1000, keepalive.probes)
        if keepalive
        else None,
    )
