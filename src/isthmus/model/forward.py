"""The action of a route that sends requests to clusters."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Name, Reference
from isthmus.model.value import (
    Duration,
    HeaderName,
    Path,
    Percent,
    PositiveDuration,
    Regex,
    check_cookie_name,
    check_substitution,
    check_text,
    count_set,
    milliseconds,
)

RetryCondition = Literal[
    "connect-failure",
    "refused-stream",
    "reset",
    "reset-before-request",
    "gateway-error",
    "5xx",
    "retriable-4xx",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
]

Priority = Literal["DEFAULT", "HIGH"]


class WeightedCluster(Frozen):
    """A cluster and its share of the requests."""

    cluster: Reference = Field(description="The Cluster.")
    subset: Name | None = Field(
        None, description="Only endpoints of this subset of the cluster; all endpoints when left out."
    )
    weight: int = Field(1, ge=0, le=1_000_000, description="Share of requests, relative to the sum of the weights.")


class RateLimitedRetry(Frozen):
    """Wait as long as a response header says, where a response has it."""

    header: HeaderName = Field("retry-after", description="Response header with the time to wait.")
    format: Literal["seconds", "timestamp"] = Field("seconds", description="Seconds to wait, or a Unix time.")
    longest: PositiveDuration = Field("5m", description="Where it says more, the ordinary back-off is used.")


class RetryPolicy(Frozen):
    """When and how often a request is tried again."""

    attempts: int = Field(2, ge=0, le=10, description="Tries after the first; 0 switches retries off.")
    on: tuple[RetryCondition, ...] = Field(
        ("connect-failure", "refused-stream"),
        description="Conditions, as Envoy names them. A request that reached no application is always tried again.",
    )
    status_codes: tuple[Annotated[int, Field(ge=400, le=599)], ...] = Field(
        (), max_length=32, description="Also on these answers (Envoy's `retriable-status-codes`)."
    )
    elsewhere: bool = Field(
        True,
        description="A try goes to a host that was not tried yet: another site if there is one, otherwise another "
        "endpoint. false: to any, the same among them.",
    )
    per_try_timeout: PositiveDuration | None = Field(
        None, description="Limit of one try; the route's timeout when left out."
    )
    per_try_idle_timeout: PositiveDuration | None = Field(
        None, description="Limit of one try without a byte in either direction; none when left out."
    )
    back_off: PositiveDuration = Field("25ms", description="Base of the jittered exponential back-off between tries.")
    max_back_off: PositiveDuration | None = Field(
        None, description="Longest back-off; ten times the base when left out."
    )
    rate_limited: RateLimitedRetry | None = Field(None, description="Obey a header such as Retry-After.")

    @check_whole
    def _order(self) -> Self:
        if self.max_back_off is not None and milliseconds(self.max_back_off) < milliseconds(self.back_off):
            raise ValueError("maxBackOff is shorter than backOff")
        return self


class HashPolicy(Frozen):
    """What RING_HASH and MAGLEV clusters hash. Exactly one of header, cookie, sourceAddress and queryParameter."""

    header: HeaderName | None = Field(None, description="Value of this request header.")
    cookie: str | None = Field(None, min_length=1, description="Value of this cookie.")
    source_address: Literal[True] | None = Field(None, description="The client's IP address.")
    query_parameter: Annotated[str, Field(pattern=r"^[-A-Za-z0-9_.~]+$")] | None = Field(
        None, description="First value of this query parameter."
    )
    ttl: Duration | None = Field(
        None,
        description="Cookie only: a client without it gets one that lives this long, and its first request goes "
        "where the following ones will. 0s: until the browser closes. When left out, no cookie is made.",
    )
    path: Path | None = Field(None, description="Path of the cookie that is made; `/` when left out.")
    terminal: bool = Field(False, description="If the request has this one, the following policies are not looked at.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("header", "cookie", "source_address", "query_parameter")) != 1:
            raise ValueError("set exactly one of header, cookie, sourceAddress and queryParameter")
        if self.cookie is None and (self.ttl is not None or self.path is not None):
            raise ValueError("ttl and path are for cookies")
        if self.ttl is None and self.path is not None:
            raise ValueError("path is for a cookie that is made; set ttl")
        if self.ttl is not None and self.cookie is not None:
            check_cookie_name(self.cookie)
        if self.path is not None and any(character in self.path for character in "%;"):
            raise ValueError("the cookie's path cannot have '%' or ';'")
        return self


class RegexRewrite(Frozen):
    """Replace what a regular expression finds in the path, every time it does. The query stays."""

    pattern: Regex = Field(description="RE2.")
    substitution: Annotated[str, Field(max_length=1024), AfterValidator(check_text)] = Field(
        description="The new text; `\\1` to `\\9` are the pattern's groups, `\\0` all that it found."
    )

    @check_whole
    def _groups(self) -> Self:
        check_substitution(self.pattern, self.substitution)
        return self


class HostRewrite(Frozen):
    """Another Host header for the application. Exactly one of literal and header."""

    literal: Annotated[str, Field(max_length=255, pattern=r"^[A-Za-z0-9._:\[\]-]+$")] | None = Field(
        None, description="This host, with a port if the application wants one."
    )
    header: HeaderName | None = Field(
        None, description="The value of this request header; the Host header stays where there is none."
    )

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("literal", "header")) != 1:
            raise ValueError("set exactly one of literal and header")
        return self


class Mirror(Frozen):
    """Send a copy of the request to another cluster too. Its answer is thrown away; the client never waits for it."""

    cluster: Reference = Field(description="The Cluster that gets the copy, at this site or another.")
    subset: Name | None = Field(
        None, description="Only endpoints of this subset of the cluster get copies; all endpoints when left out."
    )
    percent: Percent = Field(100, description="Share of the requests that are copied.")
    shadow_host: bool = Field(False, description="Add `-shadow` to the copy's Host header, as Envoy itself does.")


class Forward(Frozen):
    """Send the request to a cluster, or to several by weight."""

    clusters: tuple[WeightedCluster, ...] = Field(
        min_length=1, max_length=32, description="Where to; by weight when several."
    )
    priority: Priority = Field(
        "DEFAULT", description="Which of the clusters' circuit breakers count these requests; HIGH has its own."
    )
    prefix_rewrite: Path | None = Field(None, description="Replaces the matched prefix, or the matched exact path.")
    regex_rewrite: RegexRewrite | None = Field(None, description="Changes the path by a regular expression.")
    host_rewrite: HostRewrite | None = Field(None, description="Changes the Host header.")
    timeout: Duration = Field("30s", description="Limit until the response is complete; 0s: none.")
    idle_timeout: Duration | None = Field(
        None,
        description="Limit without a byte in either direction; 0s: none. When left out 5 minutes, of TCP connections "
        "an hour, of UDP sessions a minute.",
    )
    retry: RetryPolicy = Field(RetryPolicy(), description="Tries after a failure.")
    hash_policy: tuple[HashPolicy, ...] = Field(
        (), max_length=4, description="For RING_HASH and MAGLEV; the client's address when empty."
    )
    mirrors: tuple[Mirror, ...] = Field((), max_length=4, description="Clusters that get a copy of the requests.")
    websocket: bool = Field(True, description="Clients may switch to WebSocket; false: such requests get 403.")

    @check_whole
    def _weights(self) -> Self:
        if sum(entry.weight for entry in self.clusters) == 0:
            raise ValueError("the weights add up to 0; give at least one cluster a weight")
        return self

    @check_whole
    def _consistent(self) -> Self:
        if self.prefix_rewrite is not None and self.regex_rewrite is not None:
            raise ValueError("set at most one of prefixRewrite and regexRewrite")
        if sum(policy.ttl is not None for policy in self.hash_policy) > 1:
            raise ValueError("at most one cookie of the hash policies can be made; leave out ttl of the others")
        return self
