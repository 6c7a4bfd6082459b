"""From the objects of one site to its intent, at once or change by change.

`compile_site` asks one question of a new memory; `Compiler` keeps the memory. So both give the same by construction,
and what an edit costs depends on what it reaches. Questions are in one file per feature.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from isthmus.compile.address import compile_addresses
from isthmus.compile.cluster import CompiledCluster, CompiledHosted, compile_cluster, compile_hosted
from isthmus.compile.discovery import found_input
from isthmus.compile.fabric import compile_fabric
from isthmus.compile.intent import Cluster, Hosted, Intent, Shape
from isthmus.compile.listener import compile_claims, compile_listeners, compile_present, compile_tls_diagnostics
from isthmus.compile.memo import Memo
from isthmus.compile.place import compile_site_fact
from isthmus.compile.publication import compile_registries, compile_registry_diagnostics
from isthmus.compile.receiver import compile_receiver_diagnostics, compile_receivers
from isthmus.compile.source import SCOPE, Scope, keys, keys_input, scope
from isthmus.compile.stream import compile_stream_diagnostics
from isthmus.compile.tracing import compile_tracing
from isthmus.compile.virtual_host import compile_rules, compile_used_clusters
from isthmus.discovery.found import Found
from isthmus.discovery.query import Query
from isthmus.model import Cluster as ClusterObject
from isthmus.model import Diagnostic, Object, ObjectKey

FoundInputs = Mapping[tuple[ObjectKey | None, Query], tuple[Found, ...]]


@dataclass(frozen=True, slots=True)
class Compilation:
    """What a site must do, and what is wrong with its objects.

    Attributes:
        intent: what is valid. Parts that did not change since the compiler's last answer are the same objects.
        diagnostics: sorted by object, field and code. Every one names an object of the site.
    """

    intent: Intent
    diagnostics: tuple[Diagnostic, ...]


class Compiler:
    """Compiles one site, remembering between changes. Not for use by several threads at once."""

    def __init__(self, site: ObjectKey, trust_domain: str) -> None:
        """Args: key of the Site; the deployment's trust domain (SPIFFE)."""
        self._memo = Memo()
        self._memo.put(SCOPE, Scope(site, trust_domain))
        self._keys: dict[str, set[ObjectKey]] = defaultdict(set)

    def discover(self, registry: ObjectKey | None, query: Query, found: tuple[Found, ...] | None) -> None:
        """Take in what a registry answered; None: nothing is known. The next `update` compiles with it."""
        self._memo.put(found_input(registry, query), found)

    def update(self, changed: Mapping[ObjectKey, Object | None]) -> Compilation:
        """Take in changed objects (None: removed) and compile. Never raises, whatever the objects say."""
        kinds = set()
        for key, obj in changed.items():
            self._memo.put(key, obj)
            known = self._keys[key.kind]
            if (key in known) != (obj is not None):
                kinds.add(key.kind)
                (known.discard if obj is None else known.add)(key)
        for kind in kinds:
            self._memo.put(keys_input(kind), tuple(sorted(self._keys[kind])))
        return self._memo.ask(_compile, None)


def compile_site(
    objects: Mapping[ObjectKey, Object], site: ObjectKey, trust_domain: str, found: FoundInputs = MappingProxyType({})
) -> Compilation:
    """Compile a site's objects. Never raises: a bad object is left out and has a diagnostic.

    Args:
        objects: the site's slice, or all objects of a deployment: what does not concern the site has no effect.
        site: key of the Site.
        trust_domain: the deployment's trust domain (SPIFFE).
        found: what registries have answered, by ServiceDiscovery (None: the system's resolver) and query.
    """
    compiler = Compiler(site, trust_domain)
    for (registry, query), servers in found.items():
        compiler.discover(registry, query, servers)
    return compiler.update(objects)


def _compile(memo: Memo, _: None) -> Compilation:
    here = scope(memo).site
    own = memo.ask(compile_site_fact, here)
    if own is None:
        missing = Diagnostic("unknown-site", here, "", f"{here.title} does not exist", "create it, or correct the name")
        return Compilation(Intent(here.tenant, here.name), (missing,))
    clusters = memo.ask(_clusters, None)
    hosted = memo.ask(_hosted, None)
    return Compilation(
        Intent(
            tenant=here.tenant,
            site=here.name,
            number=own.number,
            place=own.place,
            drained=own.drained,
            listeners=memo.ask(compile_listeners, None),
            clusters=clusters.clusters,
            hosted=hosted.hosted,
            fabric=memo.ask(compile_fabric, hosted.here),
            addresses=memo.ask(compile_addresses, None),
            imports=clusters.imports,
            round_trips=own.round_trips,
            registries=memo.ask(compile_registries, None),
            receivers=memo.ask(compile_receivers, None),
            tracing=memo.ask(compile_tracing, None),
        ),
        memo.ask(_diagnostics, None),
    )


@dataclass(frozen=True, slots=True)
class _Clusters:
    clusters: tuple[Cluster, ...]
    imports: tuple[int, ...]
    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class _HostedClusters:
    hosted: tuple[Hosted, ...]
    here: tuple[ObjectKey, ...]
    diagnostics: tuple[Diagnostic, ...]


def _clusters(memo: Memo, _: None) -> _Clusters:
    found: list[CompiledCluster] = []
    for key in memo.ask(_used, None):
        compiled = memo.ask(compile_cluster, key)
        if compiled is not None:
            found.append(compiled)
    remote = {each.cluster.number for each in found if each.cluster.shape != Shape.LOCAL}
    return _Clusters(
        clusters=tuple(each.cluster for each in found),
        imports=tuple(sorted(remote - {0})),
        diagnostics=tuple(diagnostic for each in found for diagnostic in each.diagnostics),
    )


def _used(memo: Memo, _: None) -> tuple[ObjectKey, ...]:
    used: set[ObjectKey] = set()
    for key in memo.ask(compile_present, None):
        used.update(memo.ask(compile_used_clusters, key))
    return tuple(sorted(used))


def _hosted(memo: Memo, _: None) -> _HostedClusters:
    """Clusters with endpoints here, and those used here that have no endpoint anywhere: they answer, with an error."""
    empty = {each.key for each in memo.ask(_clusters, None).clusters if not each.members}
    found: list[CompiledHosted] = []
    for key in keys(memo, ClusterObject):
        compiled = memo.ask(compile_hosted, key)
        if compiled is not None and (compiled.here or key in empty):
            found.append(compiled)
    return _HostedClusters(
        tuple(each.hosted for each in found),
        tuple(each.hosted.key for each in found if each.here),
        tuple(diagnostic for each in found for diagnostic in each.diagnostics),
    )


def _diagnostics(memo: Memo, _: None) -> tuple[Diagnostic, ...]:
    found = {*memo.ask(compile_claims, None).diagnostics, *memo.ask(compile_tls_diagnostics, None)}
    found.update(memo.ask(_clusters, None).diagnostics, memo.ask(_hosted, None).diagnostics)
    found.update(memo.ask(compile_registry_diagnostics, None), memo.ask(compile_receiver_diagnostics, None))
    for key in memo.ask(compile_present, None):
        found.update(memo.ask(_rule_diagnostics, key))
    return tuple(sorted(found, key=lambda d: (str(d.object), d.field, d.code, d.message)))


def _rule_diagnostics(memo: Memo, key: ObjectKey) -> tuple[Diagnostic, ...]:
    return (*memo.ask(compile_rules, key).diagnostics, *memo.ask(compile_stream_diagnostics, key))
