"""ServiceDiscovery: a registry that sites ask for endpoints and in which they publish virtual hosts."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self, get_args

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.consul_discovery import ConsulLookup, ConsulMethod
from isthmus.model.dns_discovery import DnsLookup, DnsMethod
from isthmus.model.kubernetes_discovery import KubernetesLookup, KubernetesMethod
from isthmus.model.object import Frozen, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import count_set
from isthmus.model.where import Where

Method = Literal["dns", "kubernetes", "consul"]


class _OneMethod(Frozen):
    """A part with a field for each method, of which one is set."""

    alternatives: ClassVar[tuple[str, ...]] = get_args(Method)

    @check_whole
    def _one(self) -> Self:
        if count_set(self, self.alternatives) != 1:
            raise ValueError("set exactly one of dns, kubernetes and consul")
        return self

    @property
    def method(self) -> Method:
        """Which of the methods it is."""
        return next(each for each in get_args(Method) if getattr(self, each) is not None)


class ServiceDiscoverySpec(_OneMethod, Spec):
    """Sites, and exactly one method with its credentials."""

    where: Where = Field(description="The site, or the virtual site, that uses this registry.")
    dns: DnsMethod | None = Field(None, description="A DNS resolver; write `dns: {}` for the system's.")
    kubernetes: KubernetesMethod | None = Field(None, description="A Kubernetes cluster.")
    consul: ConsulMethod | None = Field(None, description="A Consul agent.")

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The site or virtual site, then secrets."""
        yield from self.where.uses(tenant, "spec.where")
        for name, method in (("dns", self.dns), ("kubernetes", self.kubernetes), ("consul", self.consul)):
            if method is not None:
                yield from method.uses(tenant, namespace, f"spec.{name}")


class ServiceDiscovery(Object):
    """A service registry of some sites. Endpoints of its own namespace may use it; of any when it is in `shared`."""

    plural: ClassVar[str] = "servicediscoveries"

    kind: Literal["ServiceDiscovery"] = "ServiceDiscovery"
    spec: ServiceDiscoverySpec


class EndpointDiscovery(_OneMethod):
    """What an endpoint's site asks its registries for. Exactly one method."""

    dns: DnsLookup | None = Field(
        None, description="By a DNS name. Without any ServiceDiscovery for DNS, the site's system resolver is used."
    )
    kubernetes: KubernetesLookup | None = Field(None, description="By a Kubernetes Service.")
    consul: ConsulLookup | None = Field(None, description="By a Consul service.")
    service_discovery: Reference | None = Field(
        None, description="The ServiceDiscovery to ask; all of the method at the endpoint's site when left out."
    )

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The ServiceDiscovery that it names."""
        if self.service_discovery is not None:
            target = resolve(self.service_discovery, "ServiceDiscovery", tenant, namespace)
            yield Use(f"{field}.serviceDiscovery", target)
