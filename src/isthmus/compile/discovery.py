"""Service discovery of endpoints: what is looked up where, and the servers that were found.

What registries answer is an input of its own per registry and query, so that a change in one answer recomputes the
endpoints that look for it, their clusters, and nothing else.
"""

from dataclasses import dataclass

from isthmus.compile.intent import Endpoint, Socket, Transport
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_where
from isthmus.compile.source import find, foreign, keys, scope
from isthmus.discovery.found import Found
from isthmus.discovery.query import ConsulQuery, DnsQuery, KubernetesQuery, Query
from isthmus.model import Diagnostic, ObjectKey, ServiceDiscovery
from isthmus.model import Endpoint as EndpointObject
from isthmus.model.consul_discovery import ConsulLookup
from isthmus.model.dns_discovery import DnsLookup
from isthmus.model.kubernetes_discovery import KubernetesLookup
from isthmus.model.reference import resolve

MAX_WEIGHT = 65_535
"""Largest weight of one endpoint, its own times that of the registry."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """A query to a registry: the ServiceDiscovery of that key, or the system's resolver."""

    registry: ObjectKey | None
    query: Query


@dataclass(frozen=True, slots=True)
class FoundServers:
    """The servers of an endpoint that is discovered at this site, and what is wrong with its discovery."""

    servers: tuple[Endpoint, ...]
    diagnostics: tuple[Diagnostic, ...] = ()


def found_input(registry: ObjectKey | None, query: Query) -> tuple[str, ObjectKey | None, Query]:
    """Name of the input that holds what a registry answered."""
    return ("found", registry, query)


def compile_registry_keys(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    """Every ServiceDiscovery that this site uses, sorted."""
    return tuple(key for key in keys(memo, ServiceDiscovery) if memo.ask(_is_here, key))


def _is_here(memo: Memo, key: ObjectKey) -> bool:
    obj, here = find(memo, ServiceDiscovery, key), scope(memo).site
    return obj is not None and here in memo.ask(compile_where, (obj.spec.where, key.tenant))


def compile_lookups(memo: Memo, key: ObjectKey) -> tuple[Lookup, ...]:
    """What is looked up at this site for an endpoint: every query at every registry of its method."""
    obj = find(memo, EndpointObject, key)
    lookup = obj.spec.discovery if obj else None
    if obj is None or lookup is None:
        return ()
    if scope(memo).site not in memo.ask(compile_where, (obj.spec.where, key.tenant)):
        return ()
    registries: list[ObjectKey | None] = [
        registry
        for registry in memo.ask(compile_registry_keys, None)
        if not foreign(registry, key) and memo.ask(_method, registry) == lookup.method
    ]
    if lookup.service_discovery is not None:
        named = resolve(lookup.service_discovery, "ServiceDiscovery", key.tenant, key.namespace)
        registries = [registry for registry in registries if registry == named]
    elif not registries and lookup.dns is not None:
        registries = [None]
    queries = _queries(lookup.dns or lookup.kubernetes or lookup.consul)
    return tuple(Lookup(registry, query) for registry in registries for query in queries)


def _method(memo: Memo, key: ObjectKey) -> str | None:
    obj = find(memo, ServiceDiscovery, key)
    return obj.spec.method if obj else None


def _queries(lookup: DnsLookup | KubernetesLookup | ConsulLookup | None) -> tuple[Query, ...]:
    match lookup:
        case DnsLookup(record="ADDRESS"):
            return (DnsQuery(lookup.name, "A", lookup.port or 0), DnsQuery(lookup.name, "AAAA", lookup.port or 0))
        case DnsLookup(record="A" | "AAAA" | "SRV" as record):
            return (DnsQuery(lookup.name, record, lookup.port or 0),)
        case KubernetesLookup():
            service, selector = lookup.service or "", lookup.selector or ""
            port = "" if lookup.port is None else str(lookup.port)
            return (KubernetesQuery(lookup.namespace, service, selector, port, lookup.addresses),)
        case ConsulLookup():
            tags = tuple(sorted(set(lookup.tags)))
            return (ConsulQuery(lookup.service, tags, lookup.datacenter, lookup.namespace),)
    return ()


def compile_found(memo: Memo, key: ObjectKey) -> FoundServers:
    """The servers of an endpoint with discovery at this site.

    1. Those of all lookups together. The first to name an address and port decides its weight and labels.
    2. Those that a registry lists as not ready are left out.
    3. Weights are those of the registry times the endpoint's own; labels are the endpoint's and the registry's, whose
       win.
    4. Priorities are ranks, from 0: what is written by hand elsewhere in the cluster is as good as the best.
    """
    obj, lookups = find(memo, EndpointObject, key), memo.ask(compile_lookups, key)
    if obj is None:
        return FoundServers(())
    if not lookups:
        return FoundServers((), (_unserved(memo, obj),))
    transport: Transport = "udp" if obj.spec.protocol == "UDP" else "tcp"
    chosen: dict[Socket, Found] = {}
    for lookup in lookups:
        answer: tuple[Found, ...] = memo.read(found_input(lookup.registry, lookup.query)) or ()
        for each in answer:
            if each.healthy:
                chosen.setdefault(Socket(each.address, each.port, transport), each)
    ranks = {priority: rank for rank, priority in enumerate(sorted({each.priority for each in chosen.values()}))}
    own = obj.metadata.labels
    return FoundServers(
        tuple(
            Endpoint(
                key=key,
                socket=socket,
                weight=min(MAX_WEIGHT, obj.spec.weight * each.weight),
                discovered=True,
                labels=tuple(sorted((own | dict(each.labels)).items())) if own else each.labels,
                priority=ranks[each.priority],
                drained=obj.spec.drained,
                host=obj.spec.host_name or "",
            )
            for socket, each in sorted(chosen.items())
        )
    )


def _unserved(memo: Memo, obj: EndpointObject) -> Diagnostic:
    lookup = obj.spec.discovery
    assert lookup is not None
    named = lookup.service_discovery
    what = f"ServiceDiscovery {named.name}" if named else f"a ServiceDiscovery of the method {lookup.method}"
    return Diagnostic(
        "no-registry",
        obj.key,
        "spec.discovery",
        f"{scope(memo).site.title} does not use {what}; nothing is found there",
        "declare one whose spec.where has the site",
    )
