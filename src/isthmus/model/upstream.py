"""How a site uses the endpoints of a cluster: algorithms, limits, connections, and what takes an endpoint out."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen
from isthmus.model.value import Duration, PositiveDuration, milliseconds

ProxyProtocol = Literal["NONE", "V1", "V2"]
_LARGEST_RING = 8_388_608
_LARGEST_TABLE = 5_000_011
_LARGEST = 4_294_967_295


def _check_seconds(value: str) -> str:
    if milliseconds(value) % 1000:
        raise ValueError(f"{value!r} is not a whole number of seconds, in which the kernel counts here")
    return value


def _check_prime(value: int) -> int:
    if any(value % factor == 0 for factor in range(2, int(value**0.5) + 1)):
        raise ValueError(f"{value} is not a prime number; the nearest usual ones are 65537 and 655373")
    return value


Seconds = Annotated[PositiveDuration, AfterValidator(_check_seconds)]
Limit = Annotated[int, Field(ge=0, le=_LARGEST)]


class LeastRequest(Frozen):
    """Settings of LEAST_REQUEST."""

    choice_count: int = Field(
        2, ge=2, le=100, description="Endpoints looked at, at random; the least busy of them takes the request."
    )


class RingHash(Frozen):
    """Settings of RING_HASH."""

    minimum_ring_size: int = Field(1024, ge=1, le=_LARGEST_RING, description="Least entries in the ring of one site.")
    maximum_ring_size: int = Field(
        _LARGEST_RING, ge=1, le=_LARGEST_RING, description="Most entries; larger rings share more evenly."
    )

    @check_whole
    def _rising(self) -> Self:
        if self.minimum_ring_size > self.maximum_ring_size:
            raise ValueError("minimumRingSize is greater than maximumRingSize")
        return self


class Maglev(Frozen):
    """Settings of MAGLEV."""

    table_size: Annotated[int, AfterValidator(_check_prime)] = Field(
        65_537, ge=2, le=_LARGEST_TABLE, description="Entries of the table, a prime number well above the endpoints'."
    )


class Limits(Frozen):
    """What the endpoints of one site take at most at a time; more is refused at once with 503."""

    max_connections: Limit = Field(
        65_536, description="Connections to the endpoints of one site. Requests beyond wait for one to be free."
    )
    max_pending_requests: Limit = Field(65_536, description="Requests that wait for a connection.")
    max_requests: Limit = Field(65_536, description="Requests in progress.")
    max_retries: Limit = Field(
        65_536, description="Tries after a failure in progress, held by each ingress site: that is where they are made."
    )


class CircuitBreakers(Frozen):
    """Limits by priority of the route: each priority counts for itself."""

    default: Limits = Field(Limits(), description="For routes of the priority DEFAULT.")
    high: Limits = Field(Limits(), description="For routes of the priority HIGH.")


class SuccessRate(Frozen):
    """Takes out endpoints whose share of good answers is far below that of the others of their site."""

    minimum_endpoints: int = Field(5, ge=1, le=1000, description="Compare only among at least this many.")
    request_volume: int = Field(100, ge=1, le=_LARGEST, description="Count only endpoints with this many per interval.")
    deviations: float = Field(1.9, ge=0, le=100, description="Standard deviations below the mean that are too far.")


class OutlierDetection(Frozen):
    """Takes endpoints that fail requests out for a while. Failures in a row; null: such failures do not count."""

    consecutive_5xx: Annotated[int, Field(ge=1, le=_LARGEST)] | None = Field(
        None, alias="consecutive5xx", description="Answers of 500 to 599 in a row: the application's own too."
    )
    consecutive_gateway_failures: Annotated[int, Field(ge=1, le=_LARGEST)] | None = Field(
        None, description="Answers of 502, 503 or 504 in a row."
    )
    consecutive_local_failures: Annotated[int, Field(ge=1, le=_LARGEST)] | None = Field(
        5, description="Times in a row that an endpoint cannot be reached, resets the connection, or times out."
    )
    success_rate: SuccessRate | None = Field(None, description="Compare endpoints with each other; not when left out.")
    interval: PositiveDuration = Field("1s", description="Time between looks at endpoints that were taken out.")
    base_ejection_time: PositiveDuration = Field(
        "5s", description="How long an endpoint stays out, times the number of times in a row."
    )
    max_ejection_time: PositiveDuration = Field("30s", description="Longest time that an endpoint stays out.")
    max_ejection_percent: int = Field(100, ge=0, le=100, description="Most endpoints of a site that are out at a time.")

    @check_whole
    def _rising(self) -> Self:
        if milliseconds(self.base_ejection_time) > milliseconds(self.max_ejection_time):
            raise ValueError("baseEjectionTime is longer than maxEjectionTime")
        return self


class TcpKeepalive(Frozen):
    """Probes of idle TCP connections by the kernel."""

    time: Seconds = Field("30s", description="Idle time until the first probe.")
    interval: Seconds = Field("10s", description="Time between probes.")
    probes: int = Field(3, ge=1, le=127, description="Unanswered probes until the connection is closed.")


class ConnectionPool(Frozen):
    """Connections from a site to its endpoints. How many there may be is a matter of `circuitBreakers`."""

    max_requests_per_connection: Annotated[int, Field(ge=1, le=_LARGEST)] | None = Field(
        None, description="A connection is closed after this many requests; 1 switches keep-alive off."
    )
    idle_timeout: Duration = Field("1h", description="A connection without requests is closed after this; 0s: never.")
    max_connection_duration: PositiveDuration | None = Field(
        None, description="A connection takes no new requests after this; no limit when left out."
    )
    tcp_keepalive: TcpKeepalive | None = Field(None, description="Off when left out.")


class SlowStart(Frozen):
    """An endpoint that has become healthy takes a rising share of the requests at first."""

    window: PositiveDuration = Field(description="How long the share rises.")
    aggression: float = Field(1.0, gt=0, le=100, description="1: evenly; more: slowly at first.")
    min_weight_percent: int = Field(10, ge=1, le=100, description="Share to begin with, of the usual one.")
