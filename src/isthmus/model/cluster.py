"""Cluster: a set of endpoints with common settings."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.object import Name, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.subset import MAX_SUBSETS, Fallback, Subset, subset_mark
from isthmus.model.tls import UpstreamTls
from isthmus.model.upstream import (
    CircuitBreakers,
    ConnectionPool,
    LeastRequest,
    Maglev,
    OutlierDetection,
    ProxyProtocol,
    RingHash,
    SlowStart,
)
from isthmus.model.value import PositiveDuration
from isthmus.model.where import Where

LoadBalancing = Literal["ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV"]
HASHING = ("RING_HASH", "MAGLEV")
"""Algorithms that hash something of the request."""
Protocol = Literal["HTTP1", "HTTP2", "AUTO"]
Nearness = Literal["LOCATION", "ROUND_TRIP"]
EndpointSelection = Literal["LOCAL_ONLY", "LOCAL_PREFERRED", "DISTRIBUTED"]


class ClusterSpec(Spec):
    """Endpoints and how one is chosen."""

    endpoints: tuple[Reference, ...] = Field(min_length=1, max_length=1000, description="Endpoint objects.")
    load_balancing: LoadBalancing = Field("ROUND_ROBIN", description="Algorithm that chooses among equals.")
    least_request: LeastRequest | None = Field(None, description="For LEAST_REQUEST.")
    ring_hash: RingHash | None = Field(
        None, description="For RING_HASH among the endpoints of a site. Among sites MAGLEV's table does its work."
    )
    maglev: Maglev | None = Field(None, description="For MAGLEV among the endpoints of a site.")
    slow_start: SlowStart | None = Field(None, description="For ROUND_ROBIN and LEAST_REQUEST; off when left out.")
    endpoint_selection: EndpointSelection = Field(
        "DISTRIBUTED",
        description="`LOCAL_ONLY`: endpoints of the ingress site. `LOCAL_PREFERRED`: those while healthy, then the "
        "next site by distance. `DISTRIBUTED`: all healthy endpoints everywhere, by weight.",
    )
    site_preferences: tuple[Where, ...] = Field(
        (),
        max_length=32,
        description="Sites, or groups of them, in the order in which they are used; those not named come last. With "
        "`DISTRIBUTED`, the sites of one entry share the requests by weight, and the next entry is used only while "
        "none of them is healthy. With `LOCAL_PREFERRED`, the ingress site comes first; within an entry the nearer.",
    )
    nearness: Nearness = Field(
        "LOCATION",
        description="What makes a site near for `LOCAL_PREFERRED`. `LOCATION`: the distance on the map. `ROUND_TRIP`: "
        "the round-trip time, as the ingress Site has it in `roundTrips`, or else as it measures it; sites without "
        "one come after those that have one, by distance.",
    )
    protocol: Protocol = Field(
        "HTTP1",
        description="What endpoints speak. `HTTP2`: HTTP/2 from the first byte, as gRPC servers without TLS expect. "
        "`AUTO`: the better of both that an endpoint offers in the TLS handshake (ALPN).",
    )
    health_checks: tuple[Reference, ...] = Field(
        (),
        max_length=4,
        description="HealthCheck objects, all of which must pass; endpoints count as healthy when empty.",
    )
    subsets: tuple[Subset, ...] = Field(
        (),
        max_length=MAX_SUBSETS,
        description="Groups of the endpoints that routes can ask for by name: versions, canaries, hardware.",
    )
    subset_fallback: Fallback = Field(
        "NONE",
        description="Where a request for a subset goes when no endpoint of it is healthy anywhere. `NONE`: it fails "
        "with 503. `ANY`: to any endpoint. `DEFAULT`: to the subset that `defaultSubset` names.",
    )
    default_subset: Name | None = Field(None, description="The subset for `subsetFallback: DEFAULT`.")
    connect_timeout: PositiveDuration = Field("2s", description="Limit for a new TCP connection to an endpoint.")
    circuit_breakers: CircuitBreakers = Field(
        CircuitBreakers(), description="Limits on what the endpoints of one site take, held by that site."
    )
    outlier_detection: OutlierDetection = Field(
        OutlierDetection(), description="Takes endpoints that fail requests out for a while, beside health checks."
    )
    connection_pool: ConnectionPool = Field(ConnectionPool(), description="Connections from a site to its endpoints.")
    panic_threshold: int = Field(
        0,
        ge=0,
        le=100,
        description="When fewer than this percentage of a site's endpoints are healthy, it uses all of them; 0: never.",
    )
    proxy_protocol: ProxyProtocol = Field(
        "NONE",
        description="Tell endpoints the client's address in front of each connection (PROXY protocol). Needs "
        "`endpointSelection: LOCAL_ONLY`.",
    )
    tls: UpstreamTls | None = Field(
        None, description="TLS of the connections to endpoints, health checks too; plain connections when left out."
    )
    stale_after: PositiveDuration | None = Field(
        None,
        description="How long remote endpoints stay in use after the control plane is lost; for ever when left out.",
    )

    @check_whole
    def _distinct(self) -> Self:
        if len(set(self.endpoints)) != len(self.endpoints):
            raise ValueError("the same endpoint stands twice in endpoints; use the endpoint's weight")
        return self

    @check_whole
    def _order(self) -> Self:
        if self.endpoint_selection == "LOCAL_ONLY" and (self.site_preferences or self.nearness != "LOCATION"):
            raise ValueError("LOCAL_ONLY uses no other site; remove sitePreferences and nearness")
        if self.endpoint_selection == "DISTRIBUTED" and self.nearness != "LOCATION":
            raise ValueError("DISTRIBUTED goes by weight, not by nearness; use LOCAL_PREFERRED, or remove nearness")
        if len(set(self.site_preferences)) != len(self.site_preferences):
            raise ValueError("the same entry stands twice in sitePreferences")
        return self

    @check_whole
    def _algorithm(self) -> Self:
        for field, value, algorithms in (
            ("leastRequest", self.least_request, ("LEAST_REQUEST",)),
            ("ringHash", self.ring_hash, ("RING_HASH",)),
            ("maglev", self.maglev, ("MAGLEV",)),
        ):
            if value is not None and self.load_balancing not in algorithms:
                raise ValueError(f"{field} is for loadBalancing {algorithms[0]}, not {self.load_balancing}; remove it")
        if self.slow_start is not None and self.load_balancing not in ("ROUND_ROBIN", "LEAST_REQUEST"):
            raise ValueError(
                f"{self.load_balancing} ignores slowStart: it does not choose by weights that may rise; "
                "use ROUND_ROBIN or LEAST_REQUEST, or remove slowStart"
            )
        return self

    @check_whole
    def _addressed(self) -> Self:
        if self.proxy_protocol != "NONE" and self.endpoint_selection != "LOCAL_ONLY":
            raise ValueError(
                "proxyProtocol needs endpointSelection LOCAL_ONLY: connections between sites are shared by "
                "clients, so the endpoint's site does not see one client's; it is in x-forwarded-for there"
            )
        return self

    @check_whole
    def _negotiates(self) -> Self:
        if self.protocol == "AUTO" and self.tls is None:
            raise ValueError("protocol AUTO is agreed on in the TLS handshake; set tls, or protocol HTTP1 or HTTP2")
        return self

    @check_whole
    def _subsets(self) -> Self:
        names = [subset.name for subset in self.subsets]
        if len({subset_mark(name) for name in names}) != len(names):
            raise ValueError("two subsets have the same name, or names with the same hash; rename one")
        if (self.subset_fallback == "DEFAULT") != (self.default_subset is not None):
            raise ValueError("subsetFallback DEFAULT and defaultSubset go together; set both or none")
        if self.default_subset is not None and self.default_subset not in names:
            raise ValueError(f"defaultSubset {self.default_subset} is not among the subsets")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Endpoints, then health checks, then sites and virtual sites, then what TLS needs."""
        for index, reference in enumerate(self.endpoints):
            yield Use(f"spec.endpoints[{index}]", resolve(reference, "Endpoint", tenant, namespace))
        for index, reference in enumerate(self.health_checks):
            yield Use(f"spec.healthChecks[{index}]", resolve(reference, "HealthCheck", tenant, namespace))
        for index, where in enumerate(self.site_preferences):
            yield from where.uses(tenant, f"spec.sitePreferences[{index}]")
        if self.tls is not None:
            yield from self.tls.uses(tenant, namespace, "spec.tls")


class Cluster(Object):
    """What a route sends requests to."""

    plural: ClassVar[str] = "clusters"

    kind: Literal["Cluster"] = "Cluster"
    spec: ClusterSpec
