"""Which port of a Service a query means."""

from collections.abc import Sequence

from isthmus.discovery.kubernetes.fact import Service, ServicePort

_PROTOCOLS = ("TCP", "UDP")


class PortError(Exception):
    """The Service has no such port, or more than one and none is named."""


def choose_port(name: str, service: Service, wanted: str) -> ServicePort:
    """The port of `service` that `wanted` names or numbers; its only one when `wanted` is empty.

    A number that is used for TCP and UDP means TCP. A headless Service without ports restricts nothing: a number is
    taken as it is.

    Raises:
        PortError: with what to do.
    """
    ports = sorted((each for each in service.ports if each.protocol in _PROTOCOLS), key=lambda each: each.protocol)
    if not service.ports and wanted.isdigit():
        return ServicePort("", int(wanted), 0, "TCP")
    if wanted:
        for each in ports:
            if wanted in (each.name, str(each.port)):
                return each
        raise PortError(f"Service {name} has no port {wanted}; it has {_list(ports)}")
    if len({each.port for each in ports}) != 1:
        raise PortError(f"Service {name} has {_list(ports)}: set the port")
    return ports[0]


def _list(ports: Sequence[ServicePort]) -> str:
    found = [f"{each.port} ({each.name})" if each.name else str(each.port) for each in ports]
    return ("port " if len(found) == 1 else "ports ") + ", ".join(found) if found else "none"
