"""Consul as a service registry: how its agent is reached, and what is looked up and registered."""

import ipaddress
from collections.abc import Iterator
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Name, Reference, Use
from isthmus.model.reference import resolve


class ConsulPublish(Frozen):
    """Virtual hosts are registered as services."""

    network: Name | None = Field(
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
    client_certificate: str = Field(
        "", description="Certificate in PEM by which the agent knows the site; none when empty."
    )
    client_key: Reference | None = Field(None, description="Secret that holds the key of `clientCertificate`, in PEM.")
    datacenter: str = Field("", max_length=128, description="Datacenter; the agent's own when empty.")
    namespace: str = Field("", max_length=128, description="Namespace of Consul Enterprise; none when empty.")
    partition: str = Field("", max_length=128, description="Admin partition of Consul Enterprise; none when empty.")
    publish: ConsulPublish | None = Field(
        None, description="Register virtual hosts as services; nothing is registered when left out."
    )

    @check_whole
    def _url(self) -> Self:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        host = urlsplit(self.url).hostname or ""
        if self.token is not None and self.url.startswith("http://") and not _is_local(host):
            raise ValueError("the token could be read on its way over http://; use https://, or an agent on the site")
        if bool(self.client_certificate) != (self.client_key is not None):
            raise ValueError("set both clientCertificate and clientKey, or neither")
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The secrets with the token and the key."""
        for name, secret in (("token", self.token), ("clientKey", self.client_key)):
            if secret is not None:
                yield Use(f"{field}.{name}", resolve(secret, "Secret", tenant, namespace))


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ConsulLookup(Frozen):
    """Endpoints that Consul lists as instances of a service."""

    service: str = Field(min_length=1, max_length=253, description="Name of the service.")
    tags: tuple[str, ...] = Field((), max_length=16, description="Tags that an instance must have, all of them.")
    datacenter: str = Field("", max_length=128, description="Datacenter; that of the ServiceDiscovery when empty.")
    namespace: str = Field("", max_length=128, description="Namespace; that of the ServiceDiscovery when empty.")
