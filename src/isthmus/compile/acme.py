"""ACME challenges: on which sockets a site answers which."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import NamedTuple

from isthmus.compile.intent import Challenge, ChallengeChain, Listener, Socket, VirtualHost
from isthmus.compile.memo import Memo
from isthmus.compile.source import find, foreign, keys
from isthmus.compile.tls import compile_certificates
from isthmus.compile.virtual_host import compile_virtual_host
from isthmus.model import Certificate, ObjectKey
from isthmus.model import VirtualHost as VirtualHostObject
from isthmus.model.overlap import server_name

_PORT = 80
"""Where an ACME server asks for pages (RFC 8555, 8.3)."""
PAGES_ELSEWHERE = "pages-elsewhere"
"""Code of what is said of a certificate whose pages are served on other ports of an address than they are asked for: it
is proven nevertheless where something before the site leads port 80 there."""


class Asked(NamedTuple):
    """A virtual host that terminates TLS, as far as challenges are concerned."""

    key: ObjectKey
    policy: ObjectKey
    domains: tuple[str, ...]


def serves(domains: Iterable[str], name: str) -> bool:
    """Whether a virtual host with these domains gets requests for a host name, if no other has a closer one."""
    return any(domain in ("*", name) or (domain.startswith("*.") and name.endswith(domain[1:])) for domain in domains)


def compile_challenges(memo: Memo, kind: str) -> tuple[Challenge, ...]:
    """Everything that this site is asked in one way (a ChallengeType) at the moment, by certificate, domain, token."""
    found = (each for key in keys(memo, Certificate) for each in memo.ask(_challenges_of, key))
    return tuple(each for each in found if each.type == kind)


def _challenges_of(memo: Memo, key: ObjectKey) -> tuple[Challenge, ...]:
    certificate = find(memo, Certificate, key)
    state = certificate.system.acme if certificate is not None and certificate.spec.acme is not None else None
    found = state.challenges if state is not None else ()
    if not found:
        return ()
    owners = memo.ask(_owners, None)
    challenges = (
        Challenge(key, each.domain, each.type, each.token, each.answer)
        for each in found
        if each.domain not in owners or not foreign(key, owners[each.domain])
    )
    return tuple(sorted(challenges, key=lambda each: (each.domain, each.token)))


def _owners(memo: Memo, _: None) -> dict[str, ObjectKey]:
    """Of each name that virtual hosts here have in so many words, of whatever proxy type and port, the first of them:
    certificates for it are its namespace's."""
    found: dict[str, tuple[int, ObjectKey]] = {}
    for key in keys(memo, VirtualHostObject):
        host = find(memo, VirtualHostObject, key)
        if host is None:
            continue
        mine = (host.system.created, key)
        for name in map(server_name, host.spec.domains):
            found[name] = min(found.get(name, mine), mine)
    return {name: key for name, (_, key) in found.items()}


def compile_answering_host(memo: Memo, question: tuple[ObjectKey, tuple[str, ...]]) -> VirtualHost:
    """A virtual host of a plaintext socket, with the domains that it keeps there and the pages that are asked for of
    names that it may get requests for. Its own routes are not reached then.

    A name that it has in so many words is its namespace's: certificates of others are not proven by it. One that only
    a wildcard brings here is not, since another virtual host could claim it any time.
    """
    key, domains = question
    host = memo.ask(compile_virtual_host, question)
    own = tuple(
        each
        for each in memo.ask(compile_challenges, "HTTP_01")
        if serves(domains, each.domain) and not (each.domain in domains and foreign(each.certificate, key))
    )
    return replace(host, challenges=own) if own else host


def own_hosts(challenges: Iterable[Challenge]) -> tuple[VirtualHost, ...]:
    """Virtual hosts that are there for challenges alone, one for each certificate; of several certificates for a name,
    the first has it."""
    owners: dict[str, ObjectKey] = {}
    by_owner: dict[ObjectKey, list[Challenge]] = {}
    for each in sorted(challenges, key=lambda each: (each.certificate, each.domain, each.token)):
        owner = owners.setdefault(each.domain, each.certificate)
        by_owner.setdefault(owner, []).append(each)
    return tuple(
        VirtualHost(key, tuple(sorted({each.domain for each in own})), (), challenges=tuple(own))
        for key, own in sorted(by_owner.items())
    )


def compile_chain_challenges(memo: Memo, asked: Asked) -> tuple[Challenge, ...]:
    """What is asked about the certificates of a virtual host that terminates TLS, for names that it serves."""
    certificates = memo.ask(compile_certificates, (asked.key, asked.policy))
    names = [server_name(domain) for domain in asked.domains]
    return tuple(
        each
        for certificate in certificates
        for each in memo.ask(_challenges_of, certificate)
        if serves(names, each.domain)
    )


def compile_challenge_chain(memo: Memo, asked: Asked) -> ChallengeChain | None:
    """The handshakes that are asked for of a virtual host.

    It has the server names of the virtual host's own chain: Envoy looks at the name first, and does not look again, so
    a narrower one would take all other connections for that name.
    """
    found = tuple(each for each in memo.ask(compile_chain_challenges, asked) if each.type == "TLS_ALPN_01")
    names = tuple(dict.fromkeys(map(server_name, asked.domains)))
    return ChallengeChain(asked.key, names, found) if found else None


def page_socket(socket: Socket) -> Socket:
    """Where pages are asked for of an address."""
    return Socket(socket.address, _PORT)


def reaching(address: str) -> tuple[str, str]:
    """The addresses of listeners that get the connections to an address: that of the first one that there is."""
    return address, "::" if ":" in address else "0.0.0.0"  # noqa: S104  # compared, not listened on


def find_holder(sockets: Collection[Socket], socket: Socket) -> Socket | None:
    """The one of the sockets that gets the connections to another."""
    able = (replace(socket, address=each) for each in reaching(socket.address))
    return next((each for each in able if each in sockets), None)


def spare_pages(listeners: Collection[Listener]) -> dict[Socket, tuple[ObjectKey, ...]]:
    """Sockets that are for pages alone, at addresses where plaintext HTTP on other ports has these too, and the
    certificates that they are for. The site can do without them: whatever has the port may lead it to one of those."""
    plain = {each.socket.address for each in listeners if each.virtual_hosts and not each.for_challenges}
    return {
        each.socket: tuple(host.key for host in each.virtual_hosts)
        for each in listeners
        if each.virtual_hosts and each.for_challenges and not plain.isdisjoint(reaching(each.socket.address))
    }
