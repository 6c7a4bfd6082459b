"""HealthCheck: how the site of an endpoint finds out whether it works."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Object, Spec
from isthmus.model.value import HeaderName, HeaderValue, Path, PositiveDuration, count_set


def _check_statuses(value: int | str) -> int | str:
    status_range(value)
    return int(value) if str(value).isdecimal() else value  # one way to write a code, in quotes or not


def status_range(value: int | str) -> tuple[int, int]:
    """First and last status code of `200` or `200-299`.

    Raises:
        ValueError: not a status code (100 to 599) or a rising range of two.
    """
    first, dash, last = str(value).partition("-")
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal() and 100 <= int(first) <= int(last) <= 599):
        raise ValueError(f"{value!r} is not a status code or range; write 200 or 200-299")
    return int(first), int(last)


def _check_hex(value: str) -> str:
    try:
        bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"{value!r} is not hexadecimal: write two digits per byte, such as 0a ff") from None
    return value


class Payload(Frozen):
    """Bytes, written as text or in hexadecimal. Exactly one."""

    text: Annotated[str, Field(min_length=1, max_length=4096)] | None = Field(None, description="Text, as UTF-8.")
    hex: Annotated[str, Field(min_length=2, max_length=8192), AfterValidator(_check_hex)] | None = Field(
        None, description="Two hexadecimal digits per byte; spaces between bytes are allowed."
    )

    @check_whole
    def _one(self) -> Self:
        if (self.text is None) == (self.hex is None):
            raise ValueError("set exactly one of text and hex")
        return self

    def payload(self) -> bytes:
        """The bytes."""
        return self.text.encode() if self.text is not None else bytes.fromhex(self.hex or "")


class ProbeHeader(Frozen):
    """A header that the probe sends."""

    name: HeaderName = Field(description="Header name, any case.")
    value: HeaderValue = Field(description="Its value, as it stands.")


class HttpHealthCheck(Frozen):
    """Ask for a path over HTTP, in the cluster's protocol."""

    path: Path = Field("/", description="Path to ask for.")
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] = Field("GET", description="Method.")
    host: HeaderValue | None = Field(None, description="Host header; the cluster's name when left out.")
    headers: tuple[ProbeHeader, ...] = Field((), max_length=32, description="Further headers.")
    expected_statuses: tuple[Annotated[int | str, AfterValidator(_check_statuses)], ...] = Field(
        (200,), min_length=1, description="Status codes, or ranges such as `200-299`, that count as healthy."
    )
    expected_body: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        None, description="Text that the body must contain, within its first 64 KiB; any body when left out."
    )

    @check_whole
    def _body(self) -> Self:
        if self.method == "HEAD" and self.expected_body is not None:
            raise ValueError("an answer to HEAD has no body; remove expectedBody, or use GET")
        return self


class TcpHealthCheck(Frozen):
    """Open a TCP connection; healthy when it opens, and answers as expected."""

    send: Payload | None = Field(None, description="Sent once the connection is open; nothing when left out.")
    expect: tuple[Payload, ...] = Field(
        (), max_length=8, description="The answer must contain these, in this order; no answer is needed when empty."
    )


class GrpcHealthCheck(Frozen):
    """Ask the standard service `grpc.health.v1.Health`. The cluster must speak HTTP/2."""

    service: Annotated[str, Field(max_length=256)] = Field(
        "", description="Service to ask about; the server as a whole when empty."
    )
    authority: HeaderValue | None = Field(None, description="The :authority header; the cluster's name when left out.")


class UdpHealthCheck(Frozen):
    """Send a datagram; healthy when the answer to it is as expected. Probed by the site agent, for Envoy cannot."""

    send: Payload = Field(description="Payload of the datagram.")
    expect: Payload | None = Field(None, description="The answer must contain it; any answer will do when left out.")


class HealthCheckSpec(Spec):
    """Exactly one kind of probe, and its timing."""

    alternatives: ClassVar[tuple[str, ...]] = ("http", "tcp", "grpc", "udp")

    http: HttpHealthCheck | None = Field(None, description="Probe by HTTP.")
    tcp: TcpHealthCheck | None = Field(None, description="Probe by TCP connection; write `tcp: {}` for that alone.")
    grpc: GrpcHealthCheck | None = Field(None, description="Probe by gRPC; write `grpc: {}` for the server as a whole.")
    udp: UdpHealthCheck | None = Field(None, description="Probe by UDP datagram.")
    interval: PositiveDuration = Field("15s", description="Time between probes.")
    no_traffic_interval: PositiveDuration | None = Field(
        None,
        description="Time between probes of a cluster that has had no request yet; as `interval` when left out. "
        "Not for `udp`.",
    )
    timeout: PositiveDuration = Field("3s", description="Limit of one probe.")
    unhealthy_threshold: int = Field(1, ge=1, le=16, description="Failed probes in a row until unhealthy.")
    healthy_threshold: int = Field(
        3, ge=1, le=16, description="Passed probes in a row until healthy again; the first probe decides at once."
    )
    jitter_percent: int = Field(30, ge=0, le=50, description="Random part of the interval, so that probes spread.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, self.alternatives) != 1:
            raise ValueError("set exactly one of http, tcp, grpc and udp")
        return self


class HealthCheck(Object):
    """A probe that clusters name."""

    plural: ClassVar[str] = "healthchecks"

    kind: Literal["HealthCheck"] = "HealthCheck"
    spec: HealthCheckSpec
