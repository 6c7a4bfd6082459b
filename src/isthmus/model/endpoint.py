"""Endpoint: a server of an application, or those that discovery finds, at one site or every site of a virtual site."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.dns_discovery import HostName
from isthmus.model.object import Object, Spec, Use
from isthmus.model.service_discovery import EndpointDiscovery
from isthmus.model.value import Address, Port, is_host_name
from isthmus.model.where import Where


def _refuse_name(value: object) -> object:
    if isinstance(value, str) and is_host_name(value):
        raise ValueError(f"{value!r} is a name, not an IP address; to have it looked up, write discovery.dns.name")
    return value


class EndpointSpec(Spec):
    """Where the server is and how its site reaches it: by address and port, or by discovery."""

    where: Where = Field(description="The site, or the virtual site, from which the address is reached.")
    address: Annotated[Address | None, BeforeValidator(_refuse_name)] = Field(
        None, description="IP address, as that site reaches it."
    )
    port: Port | None = Field(None, description="Port.")
    protocol: Literal["TCP", "UDP"] = Field(
        "TCP",
        description="What the port is of. All endpoints of a cluster are of one; virtual hosts of type UDP need UDP.",
    )
    discovery: EndpointDiscovery | None = Field(
        None, description="In place of address and port: whatever servers that site finds, each of this weight."
    )
    weight: int = Field(
        1, ge=1, le=1000, description="Share of the requests, relative to the cluster's other endpoints."
    )

    host_name: HostName | None = Field(
        None,
        description="Host header of requests for this endpoint in place of the client's, and of its probes by HTTP and "
        "gRPC, whatever the health check names. All endpoints of a cluster have one, or none.",
    )
    drained: bool = Field(
        False,
        description="Finishes the requests that it has and takes no new ones; other sites hear of it, and after 10 s "
        "it is withdrawn.",
    )

    @check_whole
    def _one(self) -> Self:
        written = (self.address is not None, self.port is not None)
        if self.discovery is not None and any(written):
            raise ValueError("set either address and port, or discovery")
        if self.discovery is None and not all(written):
            raise ValueError("set both address and port, or discovery")
        return self

    @check_whole
    def _asked(self) -> Self:
        if self.host_name is not None and self.protocol == "UDP":
            raise ValueError("datagrams have no Host header; remove hostName")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The site or virtual site, then the ServiceDiscovery."""
        yield from self.where.uses(tenant, "spec.where")
        if self.discovery is not None:
            yield from self.discovery.uses(tenant, namespace, "spec.discovery")


class Endpoint(Object):
    """One server, or the servers that discovery finds."""

    plural: ClassVar[str] = "endpoints"

    kind: Literal["Endpoint"] = "Endpoint"
    spec: EndpointSpec
