"""Route: which requests of a virtual host, and what happens to them."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.error_page import MediaType
from isthmus.model.forward import Forward, RegexRewrite
from isthmus.model.header_edit import RequestHeaderEdits, ResponseHeaderEdits
from isthmus.model.http_option import (
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
from isthmus.model.match import Match
from isthmus.model.object import Frozen, Object, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Path, count_set


class Redirect(Frozen):
    """Answer with a redirect; what is left out stays as the client sent it."""

    scheme: Literal["http", "https"] | None = Field(None, description="Scheme of the new address.")
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = Field(
        None, description="Host of the new address."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="Port of the new address.")
    path: Path | None = Field(None, description="Replaces the whole path.")
    prefix: Path | None = Field(None, description="Replaces the matched prefix.")
    regex: RegexRewrite | None = Field(None, description="Changes the path by a regular expression.")
    strip_query: bool = Field(False, description="Leave the query out of the new address.")
    code: Literal[301, 302, 303, 307, 308] = Field(301, description="Status code.")

    @check_whole
    def _path(self) -> Self:
        if count_set(self, ("path", "prefix", "regex")) > 1:
            raise ValueError("set at most one of path, prefix and regex")
        if count_set(self, ("scheme", "host", "port", "path", "prefix", "regex")) == 0:
            raise ValueError("a redirect that changes nothing loops; set scheme, host, port, path, prefix or regex")
        return self


class DirectResponse(Frozen):
    """Answer without asking any endpoint."""

    status: int = Field(ge=200, le=599, description="HTTP status code.")
    body: str = Field("", max_length=4096, description="Body.")
    content_type: MediaType = Field("text/plain", description="Content-Type of the body.")


class RouteSpec(Spec):
    """Match, and exactly one action."""

    alternatives: ClassVar[tuple[str, ...]] = ("forward", "redirect", "direct_response")

    match: tuple[Match, ...] = Field((), max_length=32, description="Any one of these; every request when empty.")
    forward: Forward | None = Field(None, description="Action: send to clusters.")
    redirect: Redirect | None = Field(None, description="Action: redirect the client.")
    direct_response: DirectResponse | None = Field(None, description="Action: answer here.")
    request_headers: RequestHeadersOption = RequestHeaderEdits()
    response_headers: ResponseHeadersOption = ResponseHeaderEdits()
    cors: CorsOption = None
    csrf: CsrfOption = None
    fault: FaultOption = None
    compression: CompressionOption = None
    max_request_bytes: MaxRequestBytesOption = None
    error_pages: ErrorPagesOption = ()
    grpc_web: GrpcWebOption = None

    @check_whole
    def _one_action(self) -> Self:
        if count_set(self, self.alternatives) != 1:
            raise ValueError("set exactly one of forward, redirect and directResponse")
        needs_literal = (self.forward is not None and self.forward.prefix_rewrite is not None) or (
            self.redirect is not None and self.redirect.prefix is not None
        )
        if needs_literal and any(m.path is not None and m.path.regex is not None for m in self.match):
            raise ValueError("a prefix cannot be replaced where a regex matched; match by prefix or exact path")
        return self

    @check_whole
    def _sensible(self) -> Self:
        edited = any(header.name == "content-type" for header in self.response_headers.set)
        if edited and self.direct_response is not None and self.direct_response.body:
            raise ValueError("the body's Content-Type is directResponse.contentType")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The clusters, then those that get copies."""
        if self.forward is not None:
            for index, entry in enumerate(self.forward.clusters):
                yield Use(
                    f"spec.forward.clusters[{index}].cluster", resolve(entry.cluster, "Cluster", tenant, namespace)
                )
            for index, mirror in enumerate(self.forward.mirrors):
                yield Use(
                    f"spec.forward.mirrors[{index}].cluster", resolve(mirror.cluster, "Cluster", tenant, namespace)
                )


class Route(Object):
    """One rule of application routing."""

    plural: ClassVar[str] = "routes"

    kind: Literal["Route"] = "Route"
    spec: RouteSpec
