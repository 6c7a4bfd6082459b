"""The action of a route that sends requests to clusters."""

from typing import Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Frozen, Name, Reference
from isthmus.model.value import Duration, HeaderName, Path, PositiveDuration, count_set

RetryCondition = Literal[
    "connect-failure",
    "refused-stream",
    "reset",
    "reset-before-request",
    "gateway-error",
    "5xx",
    "retriable-4xx",
]

Priority = Literal["DEFAULT", "HIGH"]


class WeightedCluster(Frozen):
    """A cluster and its share of the requests."""

    cluster: Reference = Field(description="The Cluster.")
    subset: Name | None = Field(
        None, description="Only endpoints of this subset of the cluster; all endpoints when left out."
    )
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
        if count_set(self, ("header", "cookie", "source_address")) != 1:
            raise ValueError("set exactly one of header, cookie and sourceAddress")
        return self


class Forward(Frozen):
    """Send the request to a cluster, or to several by weight."""

    clusters: tuple[WeightedCluster, ...] = Field(
        min_length=1, max_length=32, description="Where to; by weight when several."
    )
    priority: Priority = Field(
        "DEFAULT", description="Which of the clusters' circuit breakers count these requests; HIGH has its own."
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
