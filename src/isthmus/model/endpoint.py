"""Endpoint: a server of an application, at one site or at every site of a virtual site."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.object import Object, Spec, Use
from isthmus.model.value import Address, Port
from isthmus.model.where import Where


class EndpointSpec(Spec):
    """Where the server is and how its site reaches it."""

    where: Where = Field(description="The site, or the virtual site, from which the address is reached.")
    address: Address = Field(description="IP address, as that site reaches it.")
    port: Port = Field(description="TCP port.")
    weight: int = Field(
        1, ge=1, le=1000, description="Share of the requests, relative to the cluster's other endpoints."
    )

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The site or virtual site."""
        return self.where.uses(tenant, "spec.where")


class Endpoint(Object):
    """One server."""

    plural: ClassVar[str] = "endpoints"

    kind: Literal["Endpoint"] = "Endpoint"
    spec: EndpointSpec
