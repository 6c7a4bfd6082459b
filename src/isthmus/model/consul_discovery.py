"""Consul as a service registry: how its agent is reached, and what is looked up and registered."""

from collections.abc import Iterator
from typing import Self

from pydantic import Field, model_validator

from isthmus.model.object import Frozen, Reference, Use
from isthmus.model.reference import resolve
from isthmus.model.site import Network


class ConsulPublish(Frozen):
    """Virtual hosts are registered as services."""

    network: Network | None = Field(
        None, description="Only addresses on this network of the site are published; all when left out."
    )


class ConsulMethod(Frozen):
    """A Consul agent whose catalogue is discovered."""

    url: str = Field(
        min_length=8,
        max_length=1024,
        description="Address of the HTTP API, for example `https://consul.internal:8501`.",
    )
    token: Reference | None = Field(None, description="Secret that holds the ACL token.")
    trusted_ca: str = Field(
        "",
        description="CA certificates in PEM that the agent's certificate is checked against; the system's when empty.",
    )
    datacenter: str = Field("", max_length=128, description="Datacenter; the agent's own when empty.")
    namespace: str = Field("", max_length=128, description="Namespace of Consul Enterprise; none when empty.")
    publish: ConsulPublish | None = Field(
        None, description="Register virtual hosts as services; nothing is registered when left out."
    )

    @model_validator(mode="after")
    def _url(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The secret with the token."""
        if self.token is not None:
            yield Use(f"{field}.token", resolve(self.token, "Secret", tenant, namespace))


class ConsulLookup(Frozen):
    """Endpoints that Consul lists as instances of a service."""

    service: str = Field(min_length=1, max_length=253, description="Name of the service.")
    tags: tuple[str, ...] = Field((), max_length=16, description="Tags that an instance must have, all of them.")
    datacenter: str = Field("", max_length=128, description="Datacenter; that of the ServiceDiscovery when empty.")
    namespace: str = Field("", max_length=128, description="Namespace; that of the ServiceDiscovery when empty.")
