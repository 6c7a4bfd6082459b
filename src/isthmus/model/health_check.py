"""HealthCheck: how the site of an endpoint finds out whether it works."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from isthmus.model.object import Frozen, Object, Spec
from isthmus.model.value import HeaderValue, Path, PositiveDuration


def _check_statuses(value: int | str) -> int | str:
    status_range(value)
    return value


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


class HttpHealthCheck(Frozen):
    """Ask for a path over HTTP/1.1."""

    path: Path = Field("/", description="Path to ask for.")
    host: HeaderValue | None = Field(None, description="Host header; the cluster's name when left out.")
    expected_statuses: tuple[Annotated[int | str, AfterValidator(_check_statuses)], ...] = Field(
        (200,), min_length=1, description="Status codes, or ranges such as `200-299`, that count as healthy."
    )


class TcpHealthCheck(Frozen):
    """Open a TCP connection; healthy when it opens."""


class HealthCheckSpec(Spec):
    """Exactly one kind of probe, and its timing."""

    http: HttpHealthCheck | None = Field(None, description="Probe by HTTP.")
    tcp: TcpHealthCheck | None = Field(None, description="Probe by TCP connection; write `tcp: {}`.")
    interval: PositiveDuration = Field("15s", description="Time between probes.")
    timeout: PositiveDuration = Field("3s", description="Limit of one probe.")
    unhealthy_threshold: int = Field(1, ge=1, le=16, description="Failed probes in a row until unhealthy.")
    healthy_threshold: int = Field(
        3, ge=1, le=16, description="Passed probes in a row until healthy again; the first probe decides at once."
    )
    jitter_percent: int = Field(30, ge=0, le=50, description="Random part of the interval, so that probes spread.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.http is None) == (self.tcp is None):
            raise ValueError("set exactly one of http and tcp")
        return self


class HealthCheck(Object):
    """A probe that clusters name."""

    plural: ClassVar[str] = "healthchecks"

    kind: Literal["HealthCheck"] = "HealthCheck"
    spec: HealthCheckSpec
