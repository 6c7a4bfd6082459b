"""VirtualHost: what clients ask for, by domain, and where it leads."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from isthmus.model.check import check_whole
from isthmus.model.header_edit import RequestHeaderEdits, ResponseHeaderEdits
from isthmus.model.http_option import (
    HTTP_OPTIONS,
    CompressionOption,
    CorsOption,
    CsrfOption,
    ErrorPagesOption,
    FaultOption,
    GrpcWebOption,
    MaxRequestBytesOption,
    RequestHeadersOption,
    ResponseHeadersOption,
)
from isthmus.model.object import Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.tls import DownstreamTls
from isthmus.model.value import Domain

Proxy = Literal["HTTP", "HTTPS", "TCP", "TCP_SNI", "UDP", "SMA"]
STREAMS = ("TCP", "TCP_SNI", "UDP", "SMA")
"""Proxy types that are not looked into: a connection or session goes on as it comes."""
BY_DOMAIN = ("HTTP", "HTTPS", "TCP_SNI")
"""Proxy types whose virtual hosts on one socket are told apart by domain."""


def family_of(proxy: str) -> Literal["HTTP", "TLS", "stream"]:
    """What a proxy type makes of a socket: virtual hosts of one family share it, but for streams."""
    if proxy == "HTTP":
        return "HTTP"
    return "TLS" if proxy in ("HTTPS", "TCP_SNI") else "stream"


def transport_of(proxy: str) -> Literal["tcp", "udp"]:
    """What a proxy type listens on."""
    return "udp" if proxy == "UDP" else "tcp"


class VirtualHostSpec(Spec):
    """A reverse proxy for some domains."""

    proxy: Proxy = Field(
        "HTTP",
        description="`HTTP`: requests are routed. `HTTPS`: TLS is terminated, then the same. `TCP`: each connection "
        "goes on as it comes. `TCP_SNI`: each TLS connection goes on as it comes, still encrypted, by the server name "
        "it asks for. `UDP`: each session of datagrams goes on as it comes. `SMA`: TCP on the network `internal`, for "
        "access to services of the sites themselves such as a store of secrets.",
    )
    domains: tuple[Domain, ...] = Field(
        (),
        validate_default=True,
        max_length=64,
        description="`shop.example`, `*.shop.example` or `*`; `:port` for a Host header with that port. Requests and "
        "server names (SNI) are told apart by it; with TCP, UDP and SMA it only gives the address a name.",
    )
    routes: tuple[Reference, ...] = Field(
        (),
        validate_default=True,
        max_length=256,
        description="Route objects, tried in this order; the first match wins. With TCP, TCP_SNI, UDP and SMA exactly "
        "one, which forwards and matches everything.",
    )
    advertise_policies: tuple[Reference, ...] = Field(
        (), max_length=64, description="Where clients reach it; nowhere when empty."
    )
    request_headers: RequestHeadersOption = RequestHeaderEdits()
    response_headers: ResponseHeadersOption = ResponseHeaderEdits()
    cors: CorsOption = None
    csrf: CsrfOption = None
    fault: FaultOption = None
    compression: CompressionOption = None
    max_request_bytes: MaxRequestBytesOption = None
    error_pages: ErrorPagesOption = ()
    grpc_web: GrpcWebOption = None

    tls: DownstreamTls | None = Field(
        None, description="How TLS is terminated, with type HTTPS; where an advertise policy says it too, that holds."
    )

    @check_whole
    def _terminates(self) -> Self:
        if self.tls is not None and self.proxy != "HTTPS":
            raise ValueError(f"a virtual host of type {self.proxy} terminates no TLS; set proxy to HTTPS or remove tls")
        return self

    @field_validator("domains")
    @classmethod
    def _named(cls, domains: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        proxy = info.data.get("proxy")
        if not domains and proxy in BY_DOMAIN:
            raise ValueError(f"a virtual host of type {proxy} needs domains; write '*' for all")
        return domains

    @field_validator("routes")
    @classmethod
    def _one_route(cls, routes: tuple[Reference, ...], info: ValidationInfo) -> tuple[Reference, ...]:
        proxy = info.data.get("proxy")
        if len(routes) != 1 and proxy in STREAMS:
            raise ValueError(f"a virtual host of type {proxy} has exactly one route; nothing tells several apart")
        return routes

    @check_whole
    def _distinct(self) -> Self:
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("the same domain stands twice in domains")
        return self

    @check_whole
    def _http_alone(self) -> Self:
        if self.proxy in STREAMS:
            for name in HTTP_OPTIONS:
                info = VirtualHostSpec.model_fields[name]
                if getattr(self, name) != info.default:
                    raise ValueError(f"{info.alias} is for HTTP: nothing looks into {self.proxy}; remove it")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Routes, then advertise policies, then what TLS needs."""
        for index, reference in enumerate(self.routes):
            yield Use(f"spec.routes[{index}]", resolve(reference, "Route", tenant, namespace))
        for index, reference in enumerate(self.advertise_policies):
            yield Use(f"spec.advertisePolicies[{index}]", resolve(reference, "AdvertisePolicy", tenant, namespace))
        if self.tls is not None:
            yield from self.tls.uses(tenant, namespace, "spec.tls")


class VirtualHost(Object):
    """A load balancer for one service, or an API gateway to several."""

    plural: ClassVar[str] = "virtualhosts"

    kind: Literal["VirtualHost"] = "VirtualHost"
    spec: VirtualHostSpec
