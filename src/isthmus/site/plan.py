"""From objects to what Envoy is given: compile, then emit, both remembering what has not changed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from isthmus.compile import Compiler
from isthmus.compile.intent import Cluster, Intent
from isthmus.emit.envoy.emitter import EnvoyEmitter
from isthmus.emit.envoy.endpoint import emit_cluster_endpoints
from isthmus.emit.envoy.name import sites_cluster
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.health.choice import SiteChoice
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.inventory import Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site is to do, and Envoy's resources for it without secrets and assignments of sites."""

    objects: Mapping[ObjectKey, Object]
    intent: Intent
    diagnostics: tuple[Refusal, ...]
    resources: Mapping[str, Mapping[str, bytes]]


class Planner:
    """Not for several plans at once."""

    def __init__(self, site: ObjectKey, trust_domain: str, paths: EnvoyPaths) -> None:
        self._compiler = Compiler(site, trust_domain)
        self._emitter = EnvoyEmitter(paths)
        self._given: dict[ObjectKey, Object] = {}

    async def plan(self, objects: Mapping[ObjectKey, Object]) -> Plan:
        """Compile and emit, in a thread: a large change must not hold up a change of health."""
        changed: dict[ObjectKey, Object | None] = {
            key: obj for key, obj in objects.items() if self._given.get(key) is not obj
        }
        changed.update((key, None) for key in self._given.keys() - objects.keys())
        self._given = dict(objects)
        return await asyncio.to_thread(self._plan, objects, changed)

    def assign(self, cluster: Cluster, choice: tuple[SiteChoice, ...]) -> dict[str, bytes]:
        """The assignment of the cluster's sites, by its name; none for a cluster that is local alone."""
        name = sites_cluster(cluster.key, cluster.shape)
        return {} if name is None else {name: emit_cluster_endpoints(cluster, choice)}

    def _plan(self, objects: Mapping[ObjectKey, Object], changed: Mapping[ObjectKey, Object | None]) -> Plan:
        compilation = self._compiler.update(changed)
        diagnostics = tuple(_refusal(each) for each in compilation.diagnostics)
        return Plan(objects, compilation.intent, diagnostics, self._emitter.emit(compilation.intent))


def _refusal(diagnostic: Diagnostic) -> Refusal:
    message = f"{diagnostic.message}; {diagnostic.mend}" if diagnostic.mend else diagnostic.message
    return Refusal(str(diagnostic.object or ""), diagnostic.code, diagnostic.field, message)
