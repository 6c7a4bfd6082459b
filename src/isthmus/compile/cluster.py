"""Clusters: as an ingress site uses them, and as the site of their endpoints hosts them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from isthmus.compile.endpoint import PlacedEndpoint, compile_endpoint
from isthmus.compile.health_check import compile_health_check
from isthmus.compile.intent import Cluster, Endpoint, Hosted, Member, Shape, Socket, Transport
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_site_fact, compile_where, dns_name
from isthmus.compile.source import find, foreign, scope
from isthmus.compile.tls import compile_upstream_tls
from isthmus.compile.upstream import compile_upstream
from isthmus.model import Cluster as ClusterObject
from isthmus.model import Diagnostic, ObjectKey
from isthmus.model.cluster import HASHING, ClusterSpec
from isthmus.model.reference import resolve
from isthmus.model.subset import subsets_of
from isthmus.model.value import milliseconds


@dataclass(frozen=True, slots=True)
class CompiledCluster:
    """A cluster as this site uses it, what its endpoints' ports are of, and what is wrong with it here."""

    cluster: Cluster
    transport: Transport | None
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class CompiledHosted:
    """A cluster as this site hosts it, and what is wrong with it here.

    `here`: an endpoint of it is at this site, though discovery may not have found any server.
    """

    hosted: Hosted
    here: bool
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """What a route needs to know of a cluster. `transport`: of its endpoints; None without any. `ordered`: some of its
    sites come before others."""

    shape: Shape
    hashes: bool
    subsets: tuple[str, ...]
    transport: Transport | None
    ordered: bool


def compile_target(memo: Memo, key: ObjectKey) -> Target | None:
    """What a route needs to know of a cluster; None when it is unknown."""
    compiled = memo.ask(compile_cluster, key)
    if compiled is None:
        return None
    cluster = compiled.cluster
    ordered = cluster.selection == "LOCAL_PREFERRED" or len({member.rank for member in cluster.members}) > 1
    return Target(cluster.shape, cluster.load_balancing in HASHING, cluster.subsets, compiled.transport, ordered)


def compile_cluster(memo: Memo, key: ObjectKey) -> CompiledCluster | None:
    """A cluster as the ingress side of this site uses it; None when it is unknown."""
    obj = find(memo, ClusterObject, key)
    if obj is None:
        return None
    spec, here = obj.spec, scope(memo)
    subsets = _subsets(spec)
    found: list[Diagnostic] = []
    by_site: dict[ObjectKey, list[Endpoint]] = defaultdict(list)
    transports: set[Transport] = set()
    named = False
    for index, reference in enumerate(spec.endpoints):
        target = resolve(reference, "Endpoint", key.tenant, key.namespace)
        placed = None if foreign(target, key) else memo.ask(compile_endpoint, target)
        if placed is None:
            found.append(_dangling(key, f"spec.endpoints[{index}]", target, "the endpoint is left out"))
            continue
        if placed.missing is not None:
            found.append(_nowhere(placed.key, placed.missing))
        found.extend(placed.diagnostics)
        transports.add(placed.transport)
        named = named or placed.named
        for site in placed.sites:
            by_site[site].extend(_classified(server, subsets) for server in placed.servers)
    if spec.endpoint_selection == "LOCAL_ONLY":
        by_site = defaultdict(list, {site: each for site, each in by_site.items() if site == here.site})
    preferred = [memo.ask(compile_where, (where, key.tenant)) for where in spec.site_preferences]
    members = []
    for site in sorted(by_site):
        rank = next((rank for rank, sites in enumerate(preferred) if site in sites), len(preferred))
        member = _member(memo, site, by_site[site], rank)
        if member.fabric or member.own:
            members.append(member)
        else:
            found.append(_unreachable(key, site))
    transport = max(transports, default=None)
    cluster = Cluster(
        key=key,
        number=obj.system.number or 0,
        shape=_shape(members, spec, transport, named=named),
        selection=spec.endpoint_selection,
        load_balancing=spec.load_balancing,
        members=tuple(members),
        connect_timeout=milliseconds(spec.connect_timeout),
        stale_after=milliseconds(spec.stale_after) if spec.stale_after else None,
        subsets=tuple(name for name, _ in subsets),
        fallback=_fallback(spec),
        nearness=spec.nearness,
        retries=(spec.circuit_breakers.default.max_retries, spec.circuit_breakers.high.max_retries),
    )
    return CompiledCluster(cluster, transport, tuple(found))


def _shape(members: list[Member], spec: ClusterSpec, transport: Transport | None, *, named: bool) -> Shape:
    """The shape, by the first of these rules that fits:

    1. no member here: FABRIC, or LOCAL when there is no member at all;
    2. endpoints with a Host header of their own: UNIFORM. The egress side rewrites, at this site too: a route that did
       would do so for all of its clusters, and give requests for other sites the names of those;
    3. no member elsewhere: LOCAL;
    4. DISTRIBUTED, or an algorithm that hashes: UNIFORM. A hash must give the same endpoint whichever site is asked, so
       its key travels with the request, and the own site must be reached as the others are;
    5. endpoints of UDP: UNIFORM too. Envoy's UDP proxy tunnels all that it forwards, or nothing;
    6. otherwise: LOCAL_FIRST.
    """
    if not any(member.own for member in members):
        return Shape.FABRIC if members else Shape.LOCAL
    if named:
        return Shape.UNIFORM
    if all(member.own for member in members):
        return Shape.LOCAL
    if spec.endpoint_selection == "DISTRIBUTED" or spec.load_balancing in HASHING or transport == "udp":
        return Shape.UNIFORM
    return Shape.LOCAL_FIRST


def _member(memo: Memo, site: ObjectKey, endpoints: list[Endpoint], rank: int) -> Member:
    fact = memo.ask(compile_site_fact, site)
    here = scope(memo)
    return Member(
        site=site.name,
        number=fact.number if fact else 0,
        own=site == here.site,
        fabric=fact.fabric if fact else (),
        dns_name=dns_name(site, here.trust_domain),
        place=fact.place if fact else None,
        drained=fact.drained if fact else False,
        endpoints=_distinct(endpoints),
        rank=rank,
    )


def _distinct(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """By name, those that are written first; of those with one address and port, the first."""
    found: dict[Socket, Endpoint] = {}
    for endpoint in sorted(endpoints, key=_order):
        found.setdefault(endpoint.socket, endpoint)
    return tuple(found.values())


def _order(endpoint: Endpoint) -> tuple[bool, ObjectKey, Socket]:
    return endpoint.discovered, endpoint.key, endpoint.socket


def compile_hosted(memo: Memo, key: ObjectKey) -> CompiledHosted | None:
    """A cluster's endpoints at this site; None when the cluster is unknown.

    Endpoints that are not among the objects are passed over: a site that only hosts gets no endpoints of others.
    """
    obj = find(memo, ClusterObject, key)
    if obj is None:
        return None
    found: list[Diagnostic] = []
    local = memo.ask(_local_endpoints, key)
    subsets = _subsets(obj.spec)
    servers = {_classified(server, subsets) for placed in local for server in placed.servers}
    endpoints = _distinct(servers)
    kept = {endpoint.socket: endpoint for endpoint in endpoints}
    written = sorted((each for each in servers if not each.discovered), key=_order)
    found.extend(_twice(key, each, kept[each.socket]) for each in written if each != kept[each.socket])
    found.extend(diagnostic for placed in local for diagnostic in placed.diagnostics)
    checks = []
    for index, reference in enumerate(obj.spec.health_checks if local else ()):
        target = resolve(reference, "HealthCheck", key.tenant, key.namespace)
        check = None if foreign(target, key) else memo.ask(compile_health_check, (target, key.name))
        if check is None:
            found.append(_dangling(key, f"spec.healthChecks[{index}]", target, "the check is left out"))
        else:
            checks.append(check)
    tls, missing = compile_upstream_tls(memo, obj) if local else (None, ())
    found.extend(missing)
    hosted = Hosted(
        key=key,
        number=obj.system.number or 0,
        load_balancing=obj.spec.load_balancing,
        connect_timeout=milliseconds(obj.spec.connect_timeout),
        # Those that Envoy can do come first: it does the first itself.
        health_checks=tuple(sorted(dict.fromkeys(checks), key=lambda check: check.udp is not None)),
        endpoints=() if missing else endpoints,
        protocol=obj.spec.protocol,
        subsets=subsets,
        fallback=_fallback(obj.spec),
        upstream=compile_upstream(obj.spec),
        tls=tls,
    )
    return CompiledHosted(hosted, bool(local), tuple(found))


def _local_endpoints(memo: Memo, key: ObjectKey) -> tuple[PlacedEndpoint, ...]:
    obj, here = find(memo, ClusterObject, key), scope(memo).site
    found = []
    for reference in obj.spec.endpoints if obj else ():
        target = resolve(reference, "Endpoint", key.tenant, key.namespace)
        placed = None if foreign(target, key) else memo.ask(compile_endpoint, target)
        if placed is not None and here in placed.sites:
            found.append(placed)
    return tuple(found)


def _subsets(spec: ClusterSpec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple(sorted((subset.name, subset.selector) for subset in spec.subsets))


def _fallback(spec: ClusterSpec) -> str | None:
    return {"NONE": None, "ANY": "", "DEFAULT": spec.default_subset}[spec.subset_fallback] if spec.subsets else None


def _classified(endpoint: Endpoint, subsets: tuple[tuple[str, tuple[str, ...]], ...]) -> Endpoint:
    if not subsets:
        return endpoint
    return replace(endpoint, subsets=subsets_of(subsets, dict(endpoint.labels)))


def _dangling(key: ObjectKey, field: str, target: ObjectKey, effect: str) -> Diagnostic:
    return Diagnostic(
        "dangling-reference",
        key,
        field,
        f"{target.title} does not exist; {effect}",
        "create it, or correct the name",
    )


def _nowhere(endpoint: ObjectKey, missing: ObjectKey) -> Diagnostic:
    return Diagnostic(
        "dangling-reference",
        endpoint,
        "spec.where.site" if missing.kind == "Site" else "spec.where.virtualSite",
        f"{missing.title} does not exist; the endpoint is nowhere",
        "create it, or correct the name",
    )


def _unreachable(key: ObjectKey, site: ObjectKey) -> Diagnostic:
    return Diagnostic(
        "unreachable-site",
        key,
        "spec.endpoints",
        f"{site.title} has endpoints of this cluster but no fabric address that other sites can dial",
        "set spec.fabric.addresses of the site",
    )


def _twice(key: ObjectKey, endpoint: Endpoint, first: Endpoint) -> Diagnostic:
    return Diagnostic(
        "duplicate-address",
        key,
        "spec.endpoints",
        f"{endpoint.key.title} has the same address and port as {first.key.title} and is left out",
        "name one of them; use its weight to give it a larger share",
    )
