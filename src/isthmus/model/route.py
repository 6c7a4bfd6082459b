"""Route: which requests of a virtual host, and what happens to them."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Frozen, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Duration, HeaderName, Path, PositiveDuration, Regex

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
RetryCondition = Literal[
    "connect-failure",
    "refused-stream",
    "reset",
    "reset-before-request",
    "gateway-error",
    "5xx",
    "retriable-4xx",
]


def _count_set(part: Frozen, names: tuple[str, ...]) -> int:
    return sum(getattr(part, name) is not None for name in names)


class PathMatch(Frozen):
    """Exactly one way to match the path, without the query."""

    exact: Path | None = Field(None, description="The whole path.")
    prefix: Path | None = Field(None, description="The path starts with this text, character by character.")
    regex: Regex | None = Field(None, description="RE2; must match the whole path.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if _count_set(self, ("exact", "prefix", "regex")) != 1:
            raise ValueError("set exactly one of exact, prefix and regex")
        return self


class _ValueMatch(Frozen):
    exact: str | None = Field(None, description="The whole value.")
    prefix: str | None = Field(None, min_length=1, description="The value starts with this text.")
    regex: Regex | None = Field(None, description="RE2; must match the whole value.")
    present: bool | None = Field(None, description="true: it is there, with any value; false: it is not there.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if _count_set(self, ("exact", "prefix", "regex", "present")) != 1:
            raise ValueError("set exactly one of exact, prefix, regex and present")
        return self


class HeaderMatch(_ValueMatch):
    """One condition on a request header."""

    name: HeaderName = Field(description="Header name, any case.")
    invert: bool = Field(False, description="Match when the condition does not hold.")


class QueryParameterMatch(_ValueMatch):
    """One condition on a query parameter."""

    name: str = Field(min_length=1, description="Parameter name, case-sensitive.")


class Match(Frozen):
    """Conditions on a request, all of which must hold. An empty match accepts every request."""

    path: PathMatch | None = Field(None, description="Any path when left out.")
    methods: tuple[Method, ...] = Field((), description="Any of these; every method when empty.")
    headers: tuple[HeaderMatch, ...] = Field((), description="All of these.")
    query_parameters: tuple[QueryParameterMatch, ...] = Field((), description="All of these.")


class WeightedCluster(Frozen):
    """A cluster and its share of the requests."""

    cluster: Reference = Field(description="The Cluster.")
    weight: int = Field(1, ge=0, le=1_000_000, description="Share of requests, relative to the sum of the weights.")


class RetryPolicy(Frozen):
    """When and how often a request is tried again, on another endpoint or site if there is one."""

    attempts: int = Field(2, ge=0, le=10, description="Tries after the first; 0 switches retries off.")
    on: tuple[RetryCondition, ...] = Field(
        ("connect-failure", "refused-stream"),
        description="Conditions, as Envoy names them. A request that reached no application is always tried again.",
    )
    per_try_timeout: PositiveDuration | None = Field(
        None, description="Limit of one try; the route's timeout when left out."
    )
    back_off: PositiveDuration = Field("25ms", description="Base of the jittered exponential back-off between tries.")


class HashPolicy(Frozen):
    """What RING_HASH and MAGLEV clusters hash. Exactly one."""

    header: HeaderName | None = Field(None, description="Value of this request header.")
    cookie: str | None = Field(None, min_length=1, description="Value of this cookie.")
    source_address: Literal[True] | None = Field(None, description="The client's IP address.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if _count_set(self, ("header", "cookie", "source_address")) != 1:
            raise ValueError("set exactly one of header, cookie and sourceAddress")
        return self


class Forward(Frozen):
    """Send the request to a cluster, or to several by weight."""

    clusters: tuple[WeightedCluster, ...] = Field(
        min_length=1, max_length=32, description="Where to; by weight when several."
    )
    prefix_rewrite: Path | None = Field(None, description="Replaces the matched prefix, or the matched exact path.")
    timeout: Duration = Field("30s", description="Limit until the response is complete; 0s: none.")
    retry: RetryPolicy = Field(RetryPolicy(), description="Tries after a failure.")
    hash_policy: tuple[HashPolicy, ...] = Field(
        (), description="For RING_HASH and MAGLEV; the client's address when empty."
    )

    @model_validator(mode="after")
    def _weights(self) -> Self:
        if sum(entry.weight for entry in self.clusters) == 0:
            raise ValueError("the weights add up to 0; give at least one cluster a weight")
        return self


class Redirect(Frozen):
    """Answer with a redirect; what is left out stays as the client sent it."""

    scheme: Literal["http", "https"] | None = Field(None, description="Scheme of the new address.")
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$")] | None = Field(
        None, description="Host of the new address."
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(None, description="Port of the new address.")
    path: Path | None = Field(None, description="Replaces the whole path.")
    prefix: Path | None = Field(None, description="Replaces the matched prefix.")
    code: Literal[301, 302, 303, 307, 308] = Field(301, description="Status code.")

    @model_validator(mode="after")
    def _path(self) -> Self:
        if self.path is not None and self.prefix is not None:
            raise ValueError("set at most one of path and prefix")
        if _count_set(self, ("scheme", "host", "port", "path", "prefix")) == 0:
            raise ValueError("a redirect that changes nothing loops; set scheme, host, port, path or prefix")
        return self


class DirectResponse(Frozen):
    """Answer without asking any endpoint."""

    status: int = Field(ge=200, le=599, description="HTTP status code.")
    body: str = Field("", max_length=4096, description="Body, sent as text/plain.")


class RouteSpec(Spec):
    """Match, and exactly one action."""

    match: tuple[Match, ...] = Field((), max_length=32, description="Any one of these; every request when empty.")
    forward: Forward | None = Field(None, description="Action: send to clusters.")
    redirect: Redirect | None = Field(None, description="Action: redirect the client.")
    direct_response: DirectResponse | None = Field(None, description="Action: answer here.")

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if _count_set(self, ("forward", "redirect", "direct_response")) != 1:
            raise ValueError("set exactly one of forward, redirect and directResponse")
        needs_literal = (self.forward is not None and self.forward.prefix_rewrite is not None) or (
            self.redirect is not None and self.redirect.prefix is not None
        )
        if needs_literal and any(m.path is not None and m.path.regex is not None for m in self.match):
            raise ValueError("a prefix cannot be replaced where a regex matched; match by prefix or exact path")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The clusters."""
        if self.forward is not None:
            for index, entry in enumerate(self.forward.clusters):
                yield Use(
                    f"spec.forward.clusters[{index}].cluster", resolve(entry.cluster, "Cluster", tenant, namespace)
                )


class Route(Object):
    """One rule of application routing."""

    plural: ClassVar[str] = "routes"

    kind: Literal["Route"] = "Route"
    spec: RouteSpec
