"""From objects to what Envoy is given: compile, then emit, both remembering what has not changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.compile import Compiler
from isthmus.compile.acme import PAGES_ELSEWHERE, spare_pages
from isthmus.compile.intent import Cluster, Intent
from isthmus.discovery.found import Found
from isthmus.discovery.ledger import Lookup
from isthmus.emit.envoy import name
from isthmus.emit.envoy.emitter import EnvoyEmitter
from isthmus.emit.envoy.endpoint import emit_assignments
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.engine.envoy import LISTENER, Nack
from isthmus.health.choice import SiteChoice
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.collection import collection_paused
from isthmus.site.inventory import Refusal

_MANY = 1000
"""Changed objects from which on a plan is large."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a site is to do, and Envoy's resources for it without secrets and assignments of sites."""

    intent: Intent
    diagnostics: tuple[Refusal, ...]
    resources: Mapping[str, Mapping[str, bytes]]


class Planner:
    """`found` gives what registries have answered since it was last called. Not for several plans at once."""

    def __init__(
        self,
        site: ObjectKey,
        trust_domain: str,
        paths: EnvoyPaths,
        found: Callable[[], Mapping[Lookup, tuple[Found, ...] | None]],
    ) -> None:
        self._found = found
        self._compiler = Compiler(site, trust_domain)
        self._emitter = EnvoyEmitter(paths)

    async def plan(self, changed: Mapping[ObjectKey, Object | None]) -> Plan:
        """Compile and emit with the changes taken in (None: gone).

        In a thread: a large change must not hold up a change of health.
        """
        return await asyncio.to_thread(self._plan, changed, self._found())

    def assign(self, cluster: Cluster, choices: Mapping[str, tuple[SiteChoice, ...]]) -> dict[str, bytes]:
        """The assignments of the cluster's sites, and of its subsets', by name; none for a cluster that is local alone.
        `choices`: by subset, "" for all endpoints."""
        return emit_assignments(cluster, choices.__getitem__)

    def _plan(
        self, changed: Mapping[ObjectKey, Object | None], found: Mapping[Lookup, tuple[Found, ...] | None]
    ) -> Plan:
        with collection_paused() if len(changed) > _MANY else contextlib.nullcontext():
            for lookup, servers in found.items():
                self._compiler.discover(lookup.registry, lookup.query, servers)
            compilation = self._compiler.update(changed)
            diagnostics = tuple(_refusal(each) for each in compilation.diagnostics)
            return Plan(compilation.intent, diagnostics, self._emitter.emit(compilation.intent))


def excuse_pages(plan: Plan, nack: Nack) -> dict[ObjectKey, Refusal] | None:
    """What is told of the certificates whose pages are on other ports of the address, too, when Envoy refuses the
    listener for them on port 80: another program may have the port, or the site's user may not. None of all else."""
    spare = {name.ingress_listener(socket): owners for socket, owners in spare_pages(plan.intent.listeners).items()}
    if nack.type_url != LISTENER or nack.name not in spare:
        return None
    text = (
        f"{nack.name} is not open, so pages are served on the ports of plaintext HTTP alone: {nack.message}; lead port "
        "80 to one of those, free it, or set spec.acme.challenge to TLS_ALPN_01"
    )
    return {key: Refusal(str(key), PAGES_ELSEWHERE, "spec.acme.challenge", text) for key in spare[nack.name]}


def unexcused(plan: Plan | None, refused: Sequence[Nack]) -> tuple[Nack, ...]:
    """What Envoy has refused but for what `excuse_pages` tells of the certificates. No plan yet: everything."""
    return tuple(each for each in refused if plan is None or excuse_pages(plan, each) is None)


class Join:
    """Two mappings as one. The same two give the same one, by which the discovery server sees that nothing changed."""

    def __init__(self) -> None:
        self._parts: tuple[Mapping[str, bytes], Mapping[str, bytes]] = ({}, {})
        self._whole: Mapping[str, bytes] = {}

    def join(self, first: Mapping[str, bytes], second: Mapping[str, bytes]) -> Mapping[str, bytes]:
        """All of both; the second wins."""
        if self._parts[0] is not first or self._parts[1] is not second:
            self._parts = (first, second)
            self._whole = {**first, **second}
        return self._whole


def _refusal(diagnostic: Diagnostic) -> Refusal:
    message = f"{diagnostic.message}; {diagnostic.mend}" if diagnostic.mend else diagnostic.message
    return Refusal(str(diagnostic.object or ""), diagnostic.code, diagnostic.field, message)
