"""What is published: the names of virtual hosts and the addresses on which this site serves them."""

from dataclasses import dataclass

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True, order=True)
class VipRecord:
    """One domain of one virtual host on one port of this site.

    Attributes:
        domain: lower case, without port; `*.shop.example` for a wildcard, never `*` alone.
        port: on which it is served.
        addresses: IP addresses in canonical form, sorted; never empty.
        network: of the site, on which the addresses are.
        virtual_host: whose domain it is.
        transport: "tcp" or "udp".
    """

    domain: str
    port: int
    addresses: tuple[str, ...]
    network: str
    virtual_host: ObjectKey
    transport: str = "tcp"
