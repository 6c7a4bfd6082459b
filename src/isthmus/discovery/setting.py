"""How to reach a registry: the intent's form of a ServiceDiscovery. Durations are in milliseconds.

Secrets are named here by key; whoever makes a source or publisher gives their contents beside.
"""

from dataclasses import dataclass

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class Server:
    """An IP address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class DnsDelegation:
    """The site answers for a zone itself.

    Attributes:
        zone: lower case, without a final dot.
        listen: where it answers, UDP and TCP.
        name_servers: names for the zone's NS records; the first is the SOA's primary.
        host_master: the SOA's mailbox, as a name.
        ttl: of addresses, in milliseconds.
        negative_ttl: of "there is no such name", in milliseconds.
    """

    zone: str
    listen: tuple[Server, ...]
    name_servers: tuple[str, ...]
    host_master: str
    ttl: int
    negative_ttl: int


@dataclass(frozen=True, slots=True)
class DnsUpdate:
    """The site changes a zone on another server (RFC 2136, signed by RFC 8945).

    Attributes:
        zone: lower case, without a final dot.
        server: the primary.
        key_name, algorithm: of the TSIG key; lower case, without a final dot.
        secret: holds the TSIG key, in base64.
        owner: tells this site's records from those of others; part of the ownership records.
        ttl: of the records, in milliseconds.
    """

    zone: str
    server: Server
    key_name: str
    algorithm: str
    secret: ObjectKey
    owner: str
    ttl: int


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """A DNS resolver and what is published to DNS.

    Attributes:
        servers: asked in this order; those of the system when empty.
        timeout: for one answer of one server.
        min_ttl, max_ttl: bounds of how long an answer is used before it is asked for again.
        keep_gone: how long a server stays in use after its name is gone.
        delegation, update: what is published; either, both or neither.
    """

    servers: tuple[Server, ...] = ()
    timeout: int = 2_000
    min_ttl: int = 1_000
    max_ttl: int = 300_000
    keep_gone: int = 60_000
    delegation: DnsDelegation | None = None
    update: DnsUpdate | None = None


@dataclass(frozen=True, slots=True)
class KubernetesSettings:
    """A Kubernetes cluster.

    Attributes:
        kubeconfig: the secret that holds it, with everything inside (no paths).
        context: of the kubeconfig; its current one when empty.
        pod_labels: whether labels of pods count beside those of their Services.
        publish_namespace: where Services for virtual hosts are made; empty when nothing is published.
        owner: tells this site's objects from those of others; part of their labels.
    """

    kubeconfig: ObjectKey
    context: str = ""
    pod_labels: bool = False
    publish_namespace: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True)
class ConsulSettings:
    """A Consul agent.

    Attributes:
        url: of its HTTP API, `http://` or `https://`.
        token: the secret that holds the ACL token, if one is needed.
        trusted_ca: certificates in PEM that its own is checked against; the system's when empty.
        client_certificate: PEM, with which the site shows who it is; empty for none.
        client_key: the secret that holds its key.
        datacenter, namespace: for queries that name none, and for what is published.
        partition: Consul Enterprise's; empty for the default.
        publish: whether virtual hosts are registered.
        owner: tells this site's registrations from those of others; part of their IDs.
    """

    url: str
    token: ObjectKey | None = None
    trusted_ca: str = ""
    client_certificate: str = ""
    client_key: ObjectKey | None = None
    datacenter: str = ""
    namespace: str = ""
    partition: str = ""
    publish: bool = False
    owner: str = ""


Settings = DnsSettings | KubernetesSettings | ConsulSettings
"""Of any method."""
