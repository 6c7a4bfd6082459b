"""Brings the objects of a manifest into Envoy, and finds out which of them it refuses.

1. Build a plan from the wanted objects, with what was refused before, and has not changed since, at its good version.
2. Give the plan's resources to the discovery server and wait for Envoy's answers.
3. Nothing refused, or only listeners that the site can do without: these versions are good now, in memory and on disk.
4. Something refused: isolate the objects at fault among those that differ from their good versions, revert them, and
   go on with 3. Envoy itself keeps the old version of a refused resource meanwhile.

A newer manifest interrupts all this: `Superseded` is raised out of `apply`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from isthmus.engine.envoy import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, Nack, Push
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.inventory import Inventory, Refusal
from isthmus.site.isolation import isolate

P = TypeVar("P")


_LIKELY = {
    LISTENER: ("VirtualHost", "Site", "AdvertisePolicy"),
    ROUTE: ("AdvertisePolicy", "VirtualHost", "Route"),
    CLUSTER: ("Endpoint", "HealthCheck", "Cluster"),
    ENDPOINT: ("Cluster", "Endpoint"),
    SECRET: ("TrustedAuthority", "Certificate"),
}
"""Kinds by how likely they are at fault for a refused resource, the most likely last. Where the reversion of either
of two objects would do, the last one is blamed."""


class Superseded(Exception):
    """Something newer is to be applied instead."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[P]):
    """What runs now. `refusals` are Envoy's, by object; `changed` and `removed` are for the store of good versions."""

    plan: P
    refusals: Mapping[ObjectKey, Refusal]
    changed: Mapping[str, bytes]
    removed: Iterable[str]


class Rollout(Generic[P]):
    """`build` makes the next plan from changed objects (None: gone); `push` makes a plan the one in force and gives its
    resources to Envoy; `excuse` says what is told when Envoy refuses a resource that the plan can do without, and None
    of all others.
    """

    def __init__(
        self,
        inventory: Inventory,
        build: Callable[[Mapping[ObjectKey, Object | None]], Awaitable[P]],
        push: Callable[[P], Push],
        superseded: asyncio.Event,
        site: ObjectKey,
        excuse: Callable[[P, Nack], Mapping[ObjectKey, Refusal] | None] = lambda plan, nack: None,
    ) -> None:
        self._inventory = inventory
        self._build = build
        self._push = push
        self._superseded = superseded
        self._site = site
        self._excuse = excuse
        self._excused: dict[ObjectKey, Refusal] = {}
        self._refused: dict[ObjectKey, tuple[bytes, Refusal]] = {}

    def forget_refusals(self) -> None:
        """Try refused versions again at the next `apply`: their cause may have been outside of them."""
        self._refused.clear()

    async def apply(self) -> Outcome[P]:
        """Apply what the inventory wants. Raises Superseded."""
        wanted = self._inventory.wanted
        self._refused = {
            key: entry for key, entry in self._refused.items() if key in wanted and wanted[key].body == entry[0]
        }
        plan, nacks = await self._try(self._reverted())
        fresh: dict[ObjectKey, Refusal] = {}
        if nacks:
            fresh = await self._isolate(nacks)
            self._refused |= {key: (wanted[key].body, refusal) for key, refusal in fresh.items()}
            plan, left = await self._try(self._reverted())
            if left:  # refused although nothing differs from what was good before: the cause is on this machine
                fresh[self._site] = refusal_of(self._site, left)
        refusals = fresh | {key: entry[1] for key, entry in self._refused.items()}
        for key, target in self._inventory.held_back(self._refused).items():
            refusals.setdefault(key, Refusal(str(key), "held-back", "", f"it uses {target.title}, which is refused"))
        refusals = self._excused | refusals
        changed, removed = self._inventory.accept(self._reverted())
        return Outcome(plan, refusals, changed, removed)

    def _reverted(self) -> frozenset[ObjectKey]:
        return frozenset(self._refused) | self._inventory.held_back(self._refused).keys()

    async def _try(self, reverted: frozenset[ObjectKey]) -> tuple[P, tuple[Nack, ...]]:
        plan = await self._build(self._inventory.changes(reverted))
        if self._superseded.is_set():
            raise Superseded
        push = self._push(plan)
        answered = asyncio.ensure_future(push.acked())
        newer = asyncio.ensure_future(self._superseded.wait())
        try:
            await asyncio.wait((answered, newer), return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                return plan, self._counted(plan, answered.result())
            raise Superseded
        finally:
            answered.cancel()
            newer.cancel()

    def _counted(self, plan: P, nacks: tuple[Nack, ...]) -> tuple[Nack, ...]:
        """Those that are not excused."""
        excuses = [(nack, self._excuse(plan, nack)) for nack in nacks]
        self._excused = {key: told for _, excuse in excuses for key, told in (excuse or {}).items()}
        return tuple(nack for nack, excuse in excuses if excuse is None)

    async def _isolate(self, nacks: tuple[Nack, ...]) -> dict[ObjectKey, Refusal]:
        known = self._reverted()

        async def accepts(reverted: frozenset[ObjectKey]) -> bool:
            return not (await self._try(known | reverted))[1]

        likely = {kind: rank for nack in nacks for rank, kind in enumerate(_LIKELY.get(nack.type_url, ()), start=1)}
        suspects = [key for key in self._inventory.changed() if key not in known]
        suspects.sort(key=lambda key: (likely.get(key.kind, 0), key))
        culprits = await isolate(suspects, accepts)
        refusals = {}
        for key in sorted(culprits):
            others = culprits - {key}
            causes = (await self._try(known | others))[1] if others else nacks
            refusals[key] = refusal_of(key, causes or nacks)
        return refusals


def refusal_of(key: ObjectKey, nacks: tuple[Nack, ...]) -> Refusal:
    """What Envoy refuses on account of an object."""
    message = "; ".join(f"{nack.name}: {nack.message}" for nack in nacks[:3])
    return Refusal(str(key), "refused-by-envoy", "", message)
