"""Virtual hosts that want the same: a domain on one socket, or a socket that only one of them can have."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

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
    """Only virtual hosts that share a domain are compared, so the cost is that of the (rare) candidates."""
    by_name: dict[tuple[str, str, str], dict[ObjectKey, VirtualHost]] = defaultdict(dict)
    family: str
    for host in hosts:
        family = family_of(host.spec.proxy)
        if family != "stream":
            for domain in host.spec.domains:
                by_name[host.metadata.tenant, family, server_name(domain)][host.key] = host
    for (_, family, name), sharing in by_name.items():
        for first, second in combinations(sharing.values(), 2):
            shared = sorted(host_sockets(first, objects, selection) & host_sockets(second, objects, selection))
            for index, domain in enumerate(second.spec.domains if shared else ()):
                if server_name(domain) != name:
                    continue
                socket = next((each for each in shared if _taken(first, family, domain, each)), None)
                if socket is not None:
                    yield Diagnostic(
                        "overlapping-domain",
                        second.key,
                        f"spec.domains[{index}]",
                        f"{domain} is already served by {first.key.title} on {socket}",
                        "use another domain, address, port or site",
                    )


def _taken(host: VirtualHost, family: str, domain: str, socket: SiteSocket) -> bool:
    """Whether a virtual host has a domain on a socket. One that names the socket's port is the one without."""
    if family == "TLS":
        return True
    own = f":{socket.port}"
    return domain.removesuffix(own) in {each.removesuffix(own) for each in host.spec.domains}


def _sockets(hosts: list[VirtualHost], objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """HTTP shares a socket with HTTP, TLS with TLS, a stream with nobody.

    Sockets are worked out only for ports that virtual hosts of several families, or several streams, want.
    """
    by_port: dict[tuple[str, str, int], list[VirtualHost]] = defaultdict(list)
    ports: dict[tuple[str, str, tuple[Reference, ...]], frozenset[int]] = {}
    for host in hosts:
        named = (host.metadata.tenant, host.metadata.namespace, host.spec.advertise_policies)
        if named not in ports:
            ports[named] = frozenset(policy.spec.port for policy in _policies(host, objects))
        for port in ports[named]:
            by_port[host.metadata.tenant, transport_of(host.spec.proxy), port].append(host)
    found: dict[ObjectKey, Diagnostic] = {}
    for sharing in by_port.values():
        families: set[str] = {family_of(host.spec.proxy) for host in sharing}
        if len(sharing) < 2 or families in ({"HTTP"}, {"TLS"}):
            continue
        first_on: dict[SiteSocket, VirtualHost] = {}
        for host in sharing:
            own: str = family_of(host.spec.proxy)
            for socket in sorted(host_sockets(host, objects, selection)):
                first = first_on.setdefault(socket, host)
                other = family_of(first.spec.proxy)
                if first is not host and (own != other or own == "stream"):
                    found.setdefault(host.key, _clash(host, first, socket))
    yield from found.values()


def _clash(host: VirtualHost, first: VirtualHost, socket: SiteSocket) -> Diagnostic:
    return Diagnostic(
        "overlapping-socket",
        host.key,
        "spec.advertisePolicies",
        f"{socket} is already used by {first.key.title} for {first.spec.proxy}, and {host.spec.proxy} cannot share it",
        "use another address, port or site; HTTP shares with HTTP, HTTPS and TCP_SNI with each other, the rest never",
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


def _policies(host: VirtualHost, objects: Objects) -> Iterator[AdvertisePolicy]:
    own = host.metadata
    for reference in host.spec.advertise_policies:
        policy = objects.get(resolve(reference, "AdvertisePolicy", own.tenant, own.namespace))
        if isinstance(policy, AdvertisePolicy):
            yield policy
