"""VirtualHost: what clients ask for, by domain, and where it leads."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Domain


class VirtualHostSpec(Spec):
    """A reverse proxy for some domains."""

    proxy: Literal["HTTP"] = Field("HTTP", description="Proxy type.")
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

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len(set(self.domains)) != len(self.domains):
            raise ValueError("the same domain stands twice in domains")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """Routes, then advertise policies."""
        for index, reference in enumerate(self.routes):
            yield Use(f"spec.routes[{index}]", resolve(reference, "Route", tenant, namespace))
        for index, reference in enumerate(self.advertise_policies):
            yield Use(f"spec.advertisePolicies[{index}]", resolve(reference, "AdvertisePolicy", tenant, namespace))


class VirtualHost(Object):
    """A load balancer for one service, or an API gateway to several."""

    plural: ClassVar[str] = "virtualhosts"

    kind: Literal["VirtualHost"] = "VirtualHost"
    spec: VirtualHostSpec
