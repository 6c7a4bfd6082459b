"""Cluster: a set of endpoints with common settings."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import PositiveDuration

LoadBalancing = Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"]
EndpointSelection = Literal["LOCAL_ONLY", "LOCAL_PREFERRED", "DISTRIBUTED"]


class ClusterSpec(Spec):
    """Endpoints and how one is chosen."""

    endpoints: tuple[Reference, ...] = Field(min_length=1, max_length=1000, description="Endpoint objects.")
    load_balancing: LoadBalancing = Field("ROUND_ROBIN", description="Algorithm that chooses among equals.")
    endpoint_selection: EndpointSelection = Field(
        "DISTRIBUTED",
        description="`LOCAL_ONLY`: endpoints of the ingress site. `LOCAL_PREFERRED`: those while healthy, then the "
        "next site by distance. `DISTRIBUTED`: all healthy endpoints everywhere, by weight.",
    )
    health_checks: tuple[Reference, ...] = Field(
        (),
        max_length=4,
        description="HealthCheck objects, all of which must pass; endpoints count as healthy when empty.",
    )
    connect_timeout: PositiveDuration = Field("2s", description="Limit for a new TCP connection to an endpoint.")
    stale_after: PositiveDuration | None = Field(
        None,
        description="How long remote endpoints stay in use after the control plane is lost; for ever when left out.",
    )

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.endpoints)) != len(self.endpoints):
            raise ValueError("the same endpoint stands twice in endpoints; use the endpoint's weight")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Endpoints, then health checks."""
        for index, reference in enumerate(self.endpoints):
            yield Use(f"spec.endpoints[{index}]", resolve(reference, "Endpoint", tenant, namespace))
        for index, reference in enumerate(self.health_checks):
            yield Use(f"spec.healthChecks[{index}]", resolve(reference, "HealthCheck", tenant, namespace))


class Cluster(Object):
    """What a route sends requests to."""

    plural: ClassVar[str] = "clusters"

    kind: Literal["Cluster"] = "Cluster"
    spec: ClusterSpec
