"""Ingress sockets, and who keeps a domain that two virtual hosts claim."""

from dataclasses import dataclass

from isthmus.compile.intent import Listener, Socket
from isthmus.compile.memo import Memo
from isthmus.compile.source import keys
from isthmus.compile.virtual_host import Advertisement, compile_advertisement, compile_virtual_host
from isthmus.model import Diagnostic, ObjectKey, VirtualHost

Kept = tuple[ObjectKey, tuple[str, ...]]
"""A virtual host and the domains that it keeps on a socket."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Every socket in order, and the virtual hosts on it, ordered by key."""

    sockets: tuple[tuple[Socket, tuple[Kept, ...]], ...]
    diagnostics: tuple[Diagnostic, ...]


def compile_claims(memo: Memo, _: None) -> Claims:
    """Share out domains on every socket of the site.

    1. Virtual hosts claim in the order of their creation (then by key).
    2. A domain that names the listener's own port is that domain without a port.
    3. The first to claim a domain on a socket keeps it there. A later one goes without that domain, and says so.
    4. A virtual host without any domain left on a socket is not there.
    """
    ranked: list[tuple[Advertisement, ObjectKey]] = []
    found: list[Diagnostic] = []
    for key in keys(memo, VirtualHost):
        advertisement = memo.ask(compile_advertisement, key)
        if advertisement is not None:
            found.extend(advertisement.diagnostics)
            if advertisement.sockets:
                ranked.append((advertisement, key))
    ranked.sort(key=lambda pair: pair[0].rank)
    owners: dict[Socket, dict[str, ObjectKey]] = {}
    kept: dict[Socket, list[Kept]] = {}
    for advertisement, key in ranked:
        for socket in advertisement.sockets:
            taken = owners.setdefault(socket, {})
            domains = []
            for index, declared in enumerate(advertisement.domains):
                domain = declared.removesuffix(f":{socket.port}")
                owner = taken.setdefault(domain, key)
                if owner != key:
                    found.append(_overlap(key, index, declared, owner, socket))
                elif domain not in domains:
                    domains.append(domain)
            if domains:
                kept.setdefault(socket, []).append((key, tuple(domains)))
    return Claims(tuple((socket, tuple(sorted(kept[socket]))) for socket in sorted(kept)), tuple(found))


def _overlap(key: ObjectKey, index: int, domain: str, owner: ObjectKey, socket: Socket) -> Diagnostic:
    return Diagnostic(
        "overlapping-domain",
        key,
        f"spec.domains[{index}]",
        f"{domain} is already served by {owner.title} on {socket.address} port {socket.port}",
        "use another domain, address, port or site",
    )


def compile_listeners(memo: Memo, _: None) -> tuple[Listener, ...]:
    """Every ingress listener, ordered by socket."""
    return tuple(memo.ask(_listener, pair) for pair in memo.ask(compile_claims, None).sockets)


def _listener(memo: Memo, pair: tuple[Socket, tuple[Kept, ...]]) -> Listener:
    socket, kept = pair
    return Listener(socket, tuple(memo.ask(compile_virtual_host, each) for each in kept))


def compile_present(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    """The virtual hosts that are on any socket, sorted."""
    claims = memo.ask(compile_claims, None)
    return tuple(sorted({key for _, kept in claims.sockets for key, _ in kept}))
