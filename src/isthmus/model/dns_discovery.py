"""DNS as a service registry: how names are resolved, and how virtual hosts are published."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.key import ObjectKey
from isthmus.model.object import Frozen, Name, Reference, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Address, Duration, Port, PositiveDuration, milliseconds

_LABEL = re.compile(r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?")


def _check_host(value: str) -> str:
    host = value.removesuffix(".").lower()
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError(f"{value!r} is not a DNS name: write it complete, for example shop.example.net")
    return host


HostName = Annotated[str, AfterValidator(_check_host)]
"""Lower case, without wildcard, port and final dot."""
TsigAlgorithm = Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"]


class DnsServer(Frozen):
    """A DNS server."""

    address: Address
    port: Port = Field(53, description="UDP and TCP port.")


class DnsDelegation(Frozen):
    """The site answers DNS queries for a zone itself. Its parent zone delegates it with NS records to the sites."""

    zone: HostName = Field(description="The delegated subdomain, for example `apps.example.net`.")
    network: Name = Field("outside", description="The network on whose interface addresses the site answers.")
    address: Address | None = Field(
        None, description="Explicit address to answer on; those of the network if left out."
    )
    port: Port = Field(53, description="UDP and TCP port to answer on.")
    name_servers: tuple[HostName, ...] = Field(
        (),
        max_length=13,
        description="Names in the zone's NS records, as its parent has them; `ns` in the zone itself when empty.",
    )
    host_master: HostName | None = Field(
        None, description="Mailbox of the SOA record, as a name; `hostmaster` in the zone when left out."
    )
    ttl: PositiveDuration = Field("30s", description="Time that resolvers may keep an address.")
    negative_ttl: PositiveDuration = Field(
        "10s", description="Time that resolvers may keep that there is no such name."
    )

    @check_whole
    def _whole_seconds(self) -> Self:
        for duration in (self.ttl, self.negative_ttl):
            if milliseconds(duration) % 1000:
                raise ValueError("DNS counts in whole seconds: ttl and negativeTtl must be of whole seconds")
        return self


class TsigKey(Frozen):
    """A key that signs messages between DNS servers (RFC 8945)."""

    name: HostName = Field(description="The key's name, as the server has it.")
    algorithm: TsigAlgorithm = Field("hmac-sha256", description="The key's algorithm.")
    secret: Reference = Field(description="Secret that holds the key in base64.")


class DnsUpdate(Frozen):
    """The site changes a zone on a server that takes dynamic updates (RFC 2136), signed with a key."""

    zone: HostName = Field(description="The zone in which records are made.")
    server: DnsServer = Field(description="The zone's primary server.")
    key: TsigKey = Field(description="The key that may change the zone.")
    ttl: PositiveDuration = Field("30s", description="Time that resolvers may keep an address.")

    @check_whole
    def _whole_seconds(self) -> Self:
        if milliseconds(self.ttl) % 1000:
            raise ValueError("DNS counts in whole seconds: ttl must be of whole seconds")
        return self


class DnsPublish(Frozen):
    """Exactly one way to publish the domains of virtual hosts that lie in a zone."""

    network: Name | None = Field(
        None, description="Only addresses on this network of the site are published; all when left out."
    )
    delegation: DnsDelegation | None = Field(None, description="The site answers for a delegated subdomain.")
    update: DnsUpdate | None = Field(None, description="Records are made by dynamic update.")

    @check_whole
    def _one(self) -> Self:
        if (self.delegation is None) == (self.update is None):
            raise ValueError("set exactly one of delegation and update")
        return self


class DnsMethod(Frozen):
    """How a site resolves names of endpoints, and where it publishes virtual hosts."""

    servers: tuple[DnsServer, ...] = Field(
        (),
        max_length=8,
        description="Recursive or authoritative servers, asked in this order; the system's when empty.",
    )
    timeout: PositiveDuration = Field("2s", description="Limit for one answer of one server.")
    min_ttl: PositiveDuration = Field("1s", description="Names are asked for again no sooner, whatever their TTL.")
    max_ttl: PositiveDuration = Field("5m", description="Names are asked for again no later, whatever their TTL.")
    keep_gone: Duration = Field(
        "60s",
        description="How long the last good answer stays in use once the server says that the name, or every record of "
        "it, is gone. While a server fails or is not reached, the last good answer stays in use without limit.",
    )
    publish: DnsPublish | None = Field(None, description="Publish virtual hosts; nothing is published when left out.")

    @check_whole
    def _bounds(self) -> Self:
        if milliseconds(self.min_ttl) > milliseconds(self.max_ttl):
            raise ValueError("minTtl is longer than maxTtl")
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The secret of the TSIG key."""
        if self.publish is not None and self.publish.update is not None:
            target: ObjectKey = resolve(self.publish.update.key.secret, "Secret", tenant, namespace)
            yield Use(f"{field}.publish.update.key.secret", target)


class DnsLookup(Frozen):
    """Endpoints by the addresses of a DNS name."""

    name: HostName = Field(description="The name that is resolved; complete, no search list is applied.")
    record: Literal["A", "AAAA", "ADDRESS", "SRV"] = Field(
        "A", description="`ADDRESS`: A and AAAA together. `SRV`: ports, weights and priorities come from the records."
    )
    port: Port | None = Field(None, description="TCP port of the endpoints; left out for SRV.")

    @check_whole
    def _port_fits(self) -> Self:
        if (self.port is None) != (self.record == "SRV"):
            raise ValueError("SRV records hold the port: remove port" if self.port else "set port")
        return self


def parse_tsig_secret(secret: bytes) -> bytes:
    """The bytes of a TSIG key in base64.

    Raises:
        ValueError: it is not base64. The message does not hold it.
    """
    try:
        return base64.b64decode(b"".join(secret.split()), validate=True)
    except binascii.Error:
        raise ValueError("the secret is not base64") from None
