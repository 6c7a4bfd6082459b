"""What a registry is asked for. Queries are values: equal questions of many endpoints are asked once."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class DnsQuery:
    """The addresses of a name.

    Attributes:
        name: lower case, without a final dot.
        record: `SRV` names further names, with ports, weights and priorities.
        port: of the servers; 0 for SRV, whose records hold it.
    """

    name: str
    record: Literal["A", "AAAA", "SRV"]
    port: int = 0

    def __str__(self) -> str:
        return f"dns {self.record} {self.name}" + (f" port {self.port}" if self.port else "")


@dataclass(frozen=True, slots=True, order=True)
class KubernetesQuery:
    """The endpoints of a Service by name, or of all Services that a selector selects.

    Attributes:
        namespace: of the Services.
        service: name; empty when `selector` is used.
        selector: a label selector in Kubernetes' syntax; empty when `service` is used.
        port: name or number of the Service's port; empty when it has only one.
        addresses: `pods` to be reached themselves, or `node-ports` of the nodes.
    """

    namespace: str
    service: str = ""
    selector: str = ""
    port: str = ""
    addresses: Literal["pods", "node-ports"] = "pods"

    def __str__(self) -> str:
        what = self.service or f"({self.selector})"
        return f"kubernetes {self.namespace}/{what}" + (f":{self.port}" if self.port else "") + f" {self.addresses}"


@dataclass(frozen=True, slots=True, order=True)
class ConsulQuery:
    """The healthy instances of a service.

    Attributes:
        service: its name.
        tags: all of which an instance must have; sorted.
        datacenter: the agent's own when empty.
        namespace: Consul Enterprise's; empty for the default.
    """

    service: str
    tags: tuple[str, ...] = ()
    datacenter: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        where = f"@{self.datacenter}" if self.datacenter else ""
        tags = f" tags {','.join(self.tags)}" if self.tags else ""
        return f"consul {self.namespace + '/' if self.namespace else ''}{self.service}{where}{tags}"


Query = DnsQuery | KubernetesQuery | ConsulQuery
"""Any of them. A source gets only queries of its own method."""
