"""Virtual hosts that want the same: a domain on one socket, or a socket that only one of them can have."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object, Reference
from isthmus.model.reference import resolve
from isthmus.model.selection import SiteSelection, SiteSocket
from isthmus.model.virtual_host import VirtualHost, family_of, transport_of

Objects = Mapping[ObjectKey, Object]


def check_overlaps(objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """Two virtual hosts that cannot both be served. The later one is at fault."""
    hosts = [obj for obj in objects.values() if isinstance(obj, VirtualHost) and obj.spec.advertise_policies]
    hosts.sort(key=_rank)
    yield from _domains(hosts, objects, selection)
    yield from _sockets(hosts, objects, selection)


def _rank(host: VirtualHost) -> tuple[float, ObjectKey]:
    return (host.system.created or float("inf"), host.key)


def server_name(domain: str) -> str:
    """What a domain is in TLS (SNI, RFC 6066): without the port."""
    return domain.partition(":")[0]


def _domains(hosts: list[VirtualHost], objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """Only virtual hosts that want a domain on the same port are compared, each with the first that has a socket."""
    wanting: dict[tuple[str, str, int, str], dict[ObjectKey, _Wanting]] = defaultdict(dict)
    ports = _Ports(objects)
    for host in hosts:
        family: str = family_of(host.spec.proxy)
        for port in ports.of(host) if family != "stream" else ():
            for index, domain in enumerate(host.spec.domains):
                name = (host.metadata.tenant, family, port, _claimed(family, domain, port))
                wanting[name].setdefault(host.key, _Wanting(host, [])).places.append(index)
    found: dict[tuple[ObjectKey, int, ObjectKey], tuple[SiteSocket, Diagnostic]] = {}
    for (_, _, port, _), sharing in wanting.items():
        if len(sharing) < 2:
            continue
        owners: dict[SiteSocket, VirtualHost] = {}
        for host, places in sharing.values():
            for socket in sorted(each for each in host_sockets(host, objects, selection) if each.port == port):
                owner = owners.setdefault(socket, host)
                for index in places if owner is not host else ():
                    key = (host.key, index, owner.key)
                    if key not in found or socket < found[key][0]:
                        found[key] = (socket, _overlap(host, index, owner, socket))
    yield from (diagnostic for _, diagnostic in found.values())


class _Wanting(NamedTuple):
    """A virtual host that wants a domain, and where it says so."""

    host: VirtualHost
    places: list[int]


def _claimed(family: str, domain: str, port: int) -> str:
    """What a domain claims on a port: one that names the port itself is the one without."""
    return server_name(domain) if family == "TLS" else domain.removesuffix(f":{port}")


def _overlap(host: VirtualHost, index: int, owner: VirtualHost, socket: SiteSocket) -> Diagnostic:
    return Diagnostic(
        "overlapping-domain",
        host.key,
        f"spec.domains[{index}]",
        f"{host.spec.domains[index]} is already served by {owner.key.title} on {socket}",
        "use another domain, address, port or site",
    )


class _Ports:
    """The ports that virtual hosts are advertised on. Many share their policies."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._known: dict[tuple[str, str, tuple[Reference, ...]], frozenset[int]] = {}

    def of(self, host: VirtualHost) -> frozenset[int]:
        named = (host.metadata.tenant, host.metadata.namespace, host.spec.advertise_policies)
        if named not in self._known:
            self._known[named] = frozenset(policy.spec.port for policy in _policies(host, self._objects))
        return self._known[named]


def _sockets(hosts: list[VirtualHost], objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """HTTP shares a socket with HTTP, TLS with TLS, a stream with nobody. HTTP/3 is TLS on the UDP port beside.

    Sockets are worked out only for ports that virtual hosts of several families, or several streams, want.
    """
    by_port: dict[tuple[str, str, int], list[VirtualHost]] = defaultdict(list)
    ports = _Ports(objects)
    for host in hosts:
        for port in ports.of(host):
            by_port[host.metadata.tenant, transport_of(host.spec.proxy), port].append(host)
        for port in {policy.spec.port for policy in _quic_policies(host, objects)}:
            by_port[host.metadata.tenant, "udp", port].append(host)
    found: dict[ObjectKey, Diagnostic] = {}
    for (_, transport, _), sharing in by_port.items():
        families: set[str] = {family_of(host.spec.proxy) for host in sharing}
        if len(sharing) < 2 or families in ({"HTTP"}, {"TLS"}):
            continue
        first_on: dict[SiteSocket, VirtualHost] = {}
        for host in sharing:
            own: str = family_of(host.spec.proxy)
            quic = transport == "udp" and own == "TLS"
            wanted = (_quic_sockets if quic else host_sockets)(host, objects, selection)
            for socket in sorted(wanted):
                first = first_on.setdefault(socket, host)
                other = family_of(first.spec.proxy)
                if first is not host and (own != other or own == "stream"):
                    clash = _quic_clash if transport == "udp" and "TLS" in (own, other) else _clash
                    found.setdefault(host.key, clash(host, first, socket))
    yield from found.values()


def _clash(host: VirtualHost, first: VirtualHost, socket: SiteSocket) -> Diagnostic:
    return Diagnostic(
        "overlapping-socket",
        host.key,
        "spec.advertisePolicies",
        f"{socket} is already used by {first.key.title} for {first.spec.proxy}, and {host.spec.proxy} cannot share it",
        "use another address, port or site; HTTP shares with HTTP, HTTPS and TCP_SNI with each other, the rest never",
    )


def _quic_clash(host: VirtualHost, first: VirtualHost, socket: SiteSocket) -> Diagnostic:
    takes, has = (
        "HTTP/3" if each.spec.proxy == "HTTPS" else f"a virtual host of type {each.spec.proxy}"
        for each in (host, first)
    )
    return Diagnostic(
        "overlapping-socket",
        host.key,
        "spec.advertisePolicies",
        f"{socket} is already used by {first.key.title} for {has}, and {takes} cannot share it",
        "use another address, port or site, or remove http3 from the TLS parameters",
    )


def host_sockets(host: VirtualHost, objects: Objects, selection: SiteSelection) -> frozenset[SiteSocket]:
    """Where a virtual host is advertised, of its own transport."""
    transport = transport_of(host.spec.proxy)
    found: set[SiteSocket] = set()
    policies = list(_policies(host, objects))
    if len(policies) == 1:
        return selection.sockets(policies[0], transport)
    for policy in policies:
        found.update(selection.sockets(policy, transport))
    return frozenset(found)


def _quic_sockets(host: VirtualHost, objects: Objects, selection: SiteSelection) -> frozenset[SiteSocket]:
    """Where HTTP/3 is served, of UDP."""
    policies = _quic_policies(host, objects)
    return frozenset(socket for policy in policies for socket in selection.sockets(policy, "udp"))


def _quic_policies(host: VirtualHost, objects: Objects) -> Iterator[AdvertisePolicy]:
    """A policy's TLS parameters stand in for the virtual host's."""
    for policy in _policies(host, objects) if host.spec.proxy == "HTTPS" else ():
        tls = policy.spec.tls or host.spec.tls
        if tls is not None and tls.http3:
            yield policy


def _policies(host: VirtualHost, objects: Objects) -> Iterator[AdvertisePolicy]:
    own = host.metadata
    for reference in host.spec.advertise_policies:
        policy = objects.get(resolve(reference, "AdvertisePolicy", own.tenant, own.namespace))
        if isinstance(policy, AdvertisePolicy):
            yield policy
