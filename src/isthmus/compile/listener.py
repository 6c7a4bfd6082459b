"""Ingress sockets: what each is for, and who keeps a socket or a domain that two virtual hosts claim."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import NamedTuple

from isthmus.compile.acme import (
    PAGES_ELSEWHERE,
    Asked,
    compile_answering_host,
    compile_chain_challenges,
    compile_challenge_chain,
    compile_challenges,
    find_holder,
    own_hosts,
    page_socket,
    reaching,
    serves,
)
from isthmus.compile.intent import Challenge, ChallengeChain, Listener, Socket, TlsChain, VirtualHost
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_site_fact
from isthmus.compile.source import foreign, keys, scope
from isthmus.compile.stream import compile_stream
from isthmus.compile.tls import compile_downstream_tls
from isthmus.compile.virtual_host import Advertisement, compile_advertisement, compile_virtual_host
from isthmus.model import Diagnostic, ObjectKey
from isthmus.model import VirtualHost as VirtualHostObject
from isthmus.model.overlap import server_name
from isthmus.model.virtual_host import family_of

_PAGE = 64
"""Virtual hosts of a socket that are asked for together: a change of one asks again for those, and for all pages."""


class Kept(NamedTuple):
    """A virtual host on a socket: the policy that put it there, and the domains that it keeps (none for a stream)."""

    key: ObjectKey
    proxy: str
    policy: ObjectKey
    domains: tuple[str, ...]


class Claim(NamedTuple):
    """A socket, what it is for, and the virtual hosts on it, ordered by key. `quic`: the UDP port beside TLS is
    for HTTP/3."""

    socket: Socket
    family: str
    kept: tuple[Kept, ...]
    quic: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """Every socket in order."""

    sockets: tuple[Claim, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(slots=True)
class _Place:
    """A socket while it is shared out: what for, since whom, and the owner of each domain or server name."""

    family: str
    first: ObjectKey
    owners: dict[str, ObjectKey] = field(default_factory=dict)
    kept: list[Kept] = field(default_factory=list)


def compile_claims(memo: Memo, _: None) -> Claims:
    """Share out the sockets of the site, and the domains on each.

    1. Virtual hosts claim in the order of their creation (then by key).
    2. The first on a socket decides what it is for. One of another family is not there, and says so; nor is a second
       stream.
    3. A domain that names the listener's own port is that domain without a port. With TLS what counts is the server
       name, which has no port at all.
    4. The first to claim a domain on a socket keeps it there. A later one goes without that domain, and says so.
    5. A virtual host without any domain left on a socket is not there.
    6. HTTP/3 claims the UDP port beside, and goes without when a stream has it.
    """
    ranked: list[tuple[Advertisement, ObjectKey]] = []
    found: list[Diagnostic] = []
    for key in keys(memo, VirtualHostObject):
        advertisement = memo.ask(compile_advertisement, key)
        if advertisement is not None:
            found.extend(advertisement.diagnostics)
            if advertisement.sockets:
                ranked.append((advertisement, key))
    ranked.sort(key=lambda pair: pair[0].rank)
    places: dict[Socket, _Place] = {}
    for advertisement, key in ranked:
        family = family_of(advertisement.proxy)
        for socket, policy in advertisement.sockets:
            place = places.get(socket)
            if place is None:
                place = places[socket] = _Place(family, key)
            elif place.family != family or family == "stream":
                found.append(_clash(key, policy, socket, place))
                continue
            domains = () if family == "stream" else _share(advertisement, key, socket, place, found)
            if domains or family == "stream":
                place.kept.append(Kept(key, advertisement.proxy, policy, domains))
            if domains and advertisement.proxy == "HTTPS":
                tls = memo.ask(compile_downstream_tls, (key, policy)).tls
                if tls is not None and tls.http3:
                    beside = places.setdefault(_beside(socket), _Place("TLS", key))
                    if beside.family != "TLS":
                        found.append(_no_quic(key, socket, beside.first))
    claims = (
        Claim(socket, place.family, tuple(sorted(place.kept)), _is_quic(places, socket))
        for socket, place in sorted(places.items(), key=lambda pair: pair[0])
        if place.kept
    )
    return Claims(tuple(claims), tuple(found))


def _beside(socket: Socket) -> Socket:
    return replace(socket, transport="udp")


def _is_quic(places: Mapping[Socket, _Place], socket: Socket) -> bool:
    beside = places.get(_beside(socket))
    return socket.transport == "tcp" and beside is not None and beside.family == "TLS"


def _no_quic(key: ObjectKey, socket: Socket, owner: ObjectKey) -> Diagnostic:
    message = f"{socket.address} UDP port {socket.port} is already used by {owner.title}; HTTP/3 is not served"
    return Diagnostic("socket-in-use", key, "spec.tls.http3", message, "use another address, port or site")


def _share(
    advertisement: Advertisement, key: ObjectKey, socket: Socket, place: _Place, found: list[Diagnostic]
) -> tuple[str, ...]:
    """The domains that a virtual host keeps."""
    domains: list[str] = []
    for index, declared in enumerate(advertisement.domains):
        domain = declared.removesuffix(f":{socket.port}")
        claimed = server_name(domain) if place.family == "TLS" else domain
        owner = place.owners.setdefault(claimed, key)
        if owner != key:
            found.append(_overlap(key, index, declared, owner, socket))
        elif domain not in domains:
            domains.append(domain)
    return tuple(domains)


def _overlap(key: ObjectKey, index: int, domain: str, owner: ObjectKey, socket: Socket) -> Diagnostic:
    return Diagnostic(
        "overlapping-domain",
        key,
        f"spec.domains[{index}]",
        f"{domain} is already served by {owner.title} on {socket.address} port {socket.port}",
        "use another domain, address, port or site",
    )


def _clash(key: ObjectKey, policy: ObjectKey, socket: Socket, place: _Place) -> Diagnostic:
    """The first virtual host on a socket is always one that stays there: nobody takes its domains."""
    return Diagnostic(
        "overlapping-socket",
        key,
        "spec.advertisePolicies",
        f"{socket.address} {socket.transport.upper()} port {socket.port} of {policy.title} is already used by "
        f"{place.first.title}, with which it cannot be shared",
        "use another address, port or site; HTTP shares with HTTP, HTTPS and TCP_SNI with each other, the rest never",
    )


def compile_listeners(memo: Memo, _: None) -> tuple[Listener, ...]:
    """Every ingress listener, ordered by socket."""
    listeners = [memo.ask(_listener, claim.socket) for claim in memo.ask(compile_claims, None).sockets]
    listeners += memo.ask(_challenge_listeners, None).listeners
    found = (e for e in listeners if e.virtual_hosts or e.chains or e.challenges or e.stream is not None)
    return tuple(sorted(found, key=lambda each: each.socket))


def _listener(memo: Memo, socket: Socket) -> Listener:
    claim = memo.ask(_claim, socket)
    pages = ((socket, start) for start in range(0, len(claim.kept), _PAGE))
    match claim.family:
        case "HTTP":
            hosts = chain.from_iterable(memo.ask(_virtual_hosts, page) for page in pages)
            return Listener(socket, virtual_hosts=(*hosts, *memo.ask(_strange_hosts, socket)))
        case "TLS":
            chains = chain.from_iterable(memo.ask(_chains, page) for page in pages)
            return Listener(socket, chains=tuple(chains), challenges=memo.ask(_challenge_chains, socket))
        case _:
            return Listener(socket, stream=memo.ask(compile_stream, claim.kept[0].key))


def _claim(memo: Memo, socket: Socket) -> Claim:
    return memo.ask(_claim_by_socket, None)[socket]


def _claim_by_socket(memo: Memo, _: None) -> dict[Socket, Claim]:
    return {claim.socket: claim for claim in memo.ask(compile_claims, None).sockets}


def _virtual_hosts(memo: Memo, page: tuple[Socket, int]) -> tuple[VirtualHost, ...]:
    """Some of the virtual hosts of a socket, from the place that is asked for."""
    socket, start = page
    kept = memo.ask(_claim, socket).kept[start : start + _PAGE]
    compile_host = compile_answering_host if memo.ask(compile_challenges, "HTTP_01") else compile_virtual_host
    return tuple(memo.ask(compile_host, (each.key, each.domains)) for each in kept)


def _strange_hosts(memo: Memo, socket: Socket) -> tuple[VirtualHost, ...]:
    """Virtual hosts for the pages of challenges about names that no other on a plaintext socket has."""
    challenges = memo.ask(compile_challenges, "HTTP_01")
    if not challenges:
        return ()
    domains = [domain for kept in memo.ask(_claim, socket).kept for domain in kept.domains]
    return own_hosts(each for each in challenges if not serves(domains, each.domain))


def _challenge_chains(memo: Memo, socket: Socket) -> tuple[ChallengeChain, ...]:
    if not memo.ask(compile_challenges, "TLS_ALPN_01"):
        return ()
    kept = (each for each in memo.ask(_claim, socket).kept if each.proxy == "HTTPS")
    found = (memo.ask(compile_challenge_chain, _asked(each)) for each in kept)
    return tuple(each for each in found if each is not None)


def _chains(memo: Memo, page: tuple[Socket, int]) -> tuple[TlsChain, ...]:
    """What becomes of some of the virtual hosts of a socket, from the place that is asked for."""
    socket, start = page
    claim = memo.ask(_claim, socket)
    chains = (memo.ask(_chain, (each, claim.quic)) for each in claim.kept[start : start + _PAGE])
    return tuple(each for each in chains if each is not None)


def _chain(memo: Memo, question: tuple[Kept, bool]) -> TlsChain | None:
    kept, quic = question
    names = tuple(dict.fromkeys(map(server_name, kept.domains)))
    if kept.proxy != "HTTPS":
        return TlsChain(names, memo.ask(compile_stream, kept.key))
    tls = memo.ask(compile_downstream_tls, (kept.key, kept.policy)).tls
    if tls is None:
        return None
    tls = tls if quic else replace(tls, http3=False)
    return TlsChain(names, memo.ask(compile_virtual_host, (kept.key, kept.domains)), tls)


@dataclass(frozen=True, slots=True)
class _ChallengeListeners:
    listeners: tuple[Listener, ...]
    diagnostics: tuple[Diagnostic, ...]


def _asked(kept: Kept) -> Asked:
    return Asked(kept.key, kept.policy, kept.domains)


def _challenge_listeners(memo: Memo, _: None) -> _ChallengeListeners:
    """Port 80 of addresses where TLS is terminated and nothing has it, for the pages of challenges and as long as these
    are asked for. Where plaintext HTTP has it, the pages are among its virtual hosts."""
    if not memo.ask(compile_challenges, "HTTP_01"):
        return _ChallengeListeners((), ())
    claims = {claim.socket: claim for claim in memo.ask(compile_claims, None).sockets}
    wanted: dict[Socket, dict[Challenge, None]] = {}
    for socket, claim in claims.items():
        holder = find_holder(claims, page_socket(socket))
        if claim.family != "TLS" or (holder is not None and claims[holder].family == "HTTP"):
            continue
        for kept in claim.kept:
            if kept.proxy == "HTTPS":
                pages = [e for e in memo.ask(compile_chain_challenges, _asked(kept)) if e.type == "HTTP_01"]
                wanted.setdefault(page_socket(socket), {}).update(dict.fromkeys(pages))
    plain = {socket.address for socket, claim in claims.items() if claim.family == "HTTP"}
    free, found = [], []
    for socket, asked in wanted.items():
        holders = _holders(memo, claims, socket)
        if not holders:
            free.append(Listener(socket, virtual_hosts=own_hosts(asked)))
        else:
            elsewhere = not plain.isdisjoint(reaching(socket.address))
            certificates = dict.fromkeys(each.certificate for each in asked)
            found += [_no_pages(key, socket, _holder_title(holders, key), elsewhere) for key in certificates]
    return _ChallengeListeners(tuple(free), tuple(found))


def _holders(memo: Memo, claims: Mapping[Socket, Claim], socket: Socket) -> tuple[ObjectKey, ...]:
    """Who has a socket: virtual hosts, or the site for its fabric. Empty: nobody."""
    holder = find_holder(claims, socket)
    if holder is not None:
        return tuple(each.key for each in claims[holder].kept)
    here = scope(memo).site
    own = memo.ask(compile_site_fact, here)
    return (here,) if own is not None and find_holder(own.fabric, socket) is not None else ()


def _holder_title(holders: tuple[ObjectKey, ...], certificate: ObjectKey) -> str:
    """One that whoever has the certificate may know of. What other namespaces have is not theirs to read."""
    known = next((each for each in holders if not foreign(each, certificate)), None)
    if known is None:
        return "a virtual host of another namespace"
    return f"the fabric of {known.title}" if known.kind == "Site" else known.title


def _no_pages(certificate: ObjectKey, socket: Socket, holder: str, elsewhere: bool) -> Diagnostic:
    """`elsewhere`: plaintext HTTP on other ports of the address answers, if something leads port 80 there."""
    message = (
        f"{socket} is used by {holder}, not for plaintext HTTP: pages for {certificate.title} are not served there"
    )
    mend = "set spec.acme.challenge to TLS_ALPN_01, or free the port"
    if not elsewhere:
        return Diagnostic("socket-in-use", certificate, "spec.acme.challenge", message, mend)
    message += ", but on the ports of plaintext HTTP alone"
    return Diagnostic(PAGES_ELSEWHERE, certificate, "spec.acme.challenge", message, f"lead port 80 to one; or {mend}")


def compile_tls_diagnostics(memo: Memo, _: None) -> tuple[Diagnostic, ...]:
    """Why TLS of some virtual hosts is not terminated, or a challenge not answered."""
    pairs = {
        (each.key, each.policy)
        for claim in memo.ask(compile_claims, None).sockets
        for each in claim.kept
        if each.proxy == "HTTPS"
    }
    found = [each for pair in sorted(pairs) for each in memo.ask(compile_downstream_tls, pair).diagnostics]
    return (*found, *memo.ask(_challenge_listeners, None).diagnostics)


def compile_present(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    """The virtual hosts that are on any socket, sorted."""
    claims = memo.ask(compile_claims, None)
    return tuple(sorted({each.key for claim in claims.sockets for each in claim.kept}))
