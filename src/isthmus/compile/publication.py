"""Service registries as this site uses them: how they are reached, what is asked there, and what is published."""

import ipaddress
from collections import defaultdict
from dataclasses import dataclass, replace

from isthmus.compile.discovery import compile_lookups, compile_registry_keys
from isthmus.compile.intent import Registry
from isthmus.compile.listener import Claim, compile_claims
from isthmus.compile.memo import Memo
from isthmus.compile.setting import PublishScope, compile_settings
from isthmus.compile.source import find, keys, scope
from isthmus.discovery.query import Query
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsSettings, Settings
from isthmus.model import AdvertisePolicy, Diagnostic, ObjectKey, VirtualHost
from isthmus.model import Endpoint as EndpointObject
from isthmus.model.key import SHARED_NAMESPACE


@dataclass(frozen=True, slots=True)
class _Settled:
    """Every registry with its settings, no two of which serve one zone."""

    registries: tuple[tuple[ObjectKey, Settings, PublishScope | None], ...]
    diagnostics: tuple[Diagnostic, ...]


def compile_registries(memo: Memo, _: None) -> tuple[Registry, ...]:
    """Every registry of this site, ordered by key; the system's resolver first, if an endpoint needs it."""
    queries = dict(memo.ask(_queries, None))
    found = [Registry(None, DnsSettings(), queries[None])] if None in queries else []
    for key, settings, published in memo.ask(_settled, None).registries:
        records = memo.ask(_records, (key.namespace, published)) if published is not None else ()
        found.append(Registry(key, settings, queries.get(key, ()), records))
    return tuple(found)


def compile_registry_diagnostics(memo: Memo, _: None) -> tuple[Diagnostic, ...]:
    """What is wrong with the registries of this site."""
    return memo.ask(_settled, None).diagnostics


def _queries(memo: Memo, _: None) -> tuple[tuple[ObjectKey | None, tuple[Query, ...]], ...]:
    found: defaultdict[ObjectKey | None, set[Query]] = defaultdict(set)
    for key in keys(memo, EndpointObject):
        for lookup in memo.ask(compile_lookups, key):
            found[lookup.registry].add(lookup.query)
    return tuple((registry, tuple(sorted(found[registry], key=repr))) for registry in sorted(found, key=str))


def _settled(memo: Memo, _: None) -> _Settled:
    """Of two that would answer for one zone, the first by key does; the other publishes nothing."""
    registries: list[tuple[ObjectKey, Settings, PublishScope | None]] = []
    found: list[Diagnostic] = []
    zones: dict[str, ObjectKey] = {}
    for key in memo.ask(compile_registry_keys, None):
        compiled = memo.ask(compile_settings, key)
        if compiled is None:
            continue
        settings, published = compiled.settings, compiled.published
        found.extend(compiled.diagnostics)
        if isinstance(settings, DnsSettings) and settings.delegation is not None:
            owner = zones.setdefault(settings.delegation.zone, key)
            if owner != key:
                message = f"{scope(memo).site.title} answers for the zone already because of {owner.title}"
                found.append(
                    Diagnostic("zone-in-use", key, "spec.dns.publish.delegation.zone", message, "use another zone")
                )
                settings, published = replace(settings, delegation=None), None
        registries.append((key, settings, published))
    return _Settled(tuple(registries), tuple(found))


def _records(memo: Memo, question: tuple[str, PublishScope]) -> tuple[VipRecord, ...]:
    """The domains of virtual hosts that a registry of a namespace is told: its own; in `shared`, everybody's."""
    namespace, published = question
    return tuple(
        record
        for record in memo.ask(_all_records, None)
        if namespace in (SHARED_NAMESPACE, record.virtual_host.namespace)
        and published.network in ("", record.network)
        and _is_within(record.domain.removeprefix("*."), published.zone)
    )


def _is_within(name: str, zone: str) -> bool:
    return not zone or name == zone or name.endswith(f".{zone}")


def _all_records(memo: Memo, _: None) -> tuple[VipRecord, ...]:
    """One record per domain, port, network and virtual host of this site. `*` alone names nothing, and an address that
    stands for all addresses is none that clients can be told."""
    addresses: defaultdict[tuple[str, int, str, str, ObjectKey], set[str]] = defaultdict(set)
    for claim in memo.ask(compile_claims, None).sockets:
        for name in memo.ask(_names, claim):
            addresses[name].add(claim.socket.address)
    return tuple(
        VipRecord(domain, port, tuple(sorted(found)), network, key, transport)
        for (domain, port, network, transport, key), found in sorted(addresses.items())
    )


def _names(memo: Memo, claim: Claim) -> tuple[tuple[str, int, str, str, ObjectKey], ...]:
    """Domain, port, network, transport and virtual host of everything on a socket."""
    socket = claim.socket
    if ipaddress.ip_address(socket.address).is_unspecified:
        return ()
    found = {
        (domain.partition(":")[0], socket.port, memo.ask(_network, kept.policy), socket.transport, kept.key)
        for kept in claim.kept
        for domain in kept.domains or memo.ask(_domains, kept.key)
    }
    return tuple(sorted(each for each in found if each[0] != "*"))


def _domains(memo: Memo, key: ObjectKey) -> tuple[str, ...]:
    obj = find(memo, VirtualHost, key)
    return obj.spec.domains if obj else ()


def _network(memo: Memo, key: ObjectKey) -> str:
    policy = find(memo, AdvertisePolicy, key)
    return policy.spec.where.interfaces if policy else ""
