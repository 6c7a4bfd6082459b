"""VirtualHost: what clients ask for, by domain, and where it leads."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.tls import DownstreamTls
from isthmus.model.value import Domain


class VirtualHostSpec(Spec):
    """A reverse proxy for some domains."""

    proxy: Literal["HTTP", "HTTPS"] = Field(
        "HTTP", description="`HTTP`: requests are routed. `HTTPS`: TLS is terminated, then the same."
    )
    domains: tuple[Domain, ...] = Field(
        min_length=1,
        max_length=64,
        description="`shop.example`, `*.shop.example` or `*`; `:port` for a Host header with that port.",
    )
    routes: tuple[Reference, ...] = Field(
        (), max_length=256, description="Route objects, tried in this order; the first match wins."
    )
    advertise_policies: tuple[Reference, ...] = Field(
        (), max_length=64, description="Where clients reach it; nowhere when empty."
    )

    tls: DownstreamTls | None = Field(
        None, description="How TLS is terminated, with type HTTPS; where an advertise policy says it too, that holds."
    )

    @model_validator(mode="after")
    def _terminates(self) -> Self:
        if self.tls is not None and self.proxy != "HTTPS":
            raise ValueError(f"a virtual host of type {self.proxy} terminates no TLS; set proxy to HTTPS or remove tls")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("the same domain stands twice in domains")
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
