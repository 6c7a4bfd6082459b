"""Endpoints, and the sites that they are at."""

from dataclasses import dataclass

from isthmus.compile.discovery import compile_found
from isthmus.compile.intent import Endpoint, Socket, Transport
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_missing, compile_where
from isthmus.compile.source import find, scope
from isthmus.model import Diagnostic, ObjectKey
from isthmus.model import Endpoint as EndpointObject


@dataclass(frozen=True, slots=True)
class PlacedEndpoint:
    """An endpoint and the sites, by name, from which its address is reached.

    Attributes:
        servers: the one that is written; or those that discovery has found at this site, none for other sites.
        transport: what its port is of.
        named: requests get a Host header of the endpoint's own.
        missing: its site or virtual site, if that does not exist.
        diagnostics: what is wrong with its discovery at this site.
    """

    key: ObjectKey
    servers: tuple[Endpoint, ...]
    sites: tuple[ObjectKey, ...]
    missing: ObjectKey | None
    transport: Transport = "tcp"
    diagnostics: tuple[Diagnostic, ...] = ()
    named: bool = False


def compile_endpoint(memo: Memo, key: ObjectKey) -> PlacedEndpoint | None:
    """An endpoint; None when it is unknown."""
    obj = find(memo, EndpointObject, key)
    if obj is None:
        return None
    spec = obj.spec
    transport: Transport = "udp" if spec.protocol == "UDP" else "tcp"
    sites = memo.ask(compile_where, (spec.where, key.tenant))
    missing = memo.ask(compile_missing, (spec.where, key.tenant))
    named = spec.host_name is not None
    if spec.address is not None and spec.port is not None:
        labels = tuple(sorted(obj.metadata.labels.items()))
        socket = Socket(spec.address, spec.port, transport)
        server = Endpoint(key, socket, spec.weight, labels=labels, drained=spec.drained, host=spec.host_name or "")
        return PlacedEndpoint(key, (server,), sites, missing, transport, named=named)
    if scope(memo).site not in sites:
        return PlacedEndpoint(key, (), sites, missing, transport, named=named)
    found = memo.ask(compile_found, key)
    return PlacedEndpoint(key, found.servers, sites, missing, transport, found.diagnostics, named)
