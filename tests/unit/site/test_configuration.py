"""When a site applies: what ends an apply under way, what waits for it, and when refused versions are tried again."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from isthmus.engine.envoy import Push
from isthmus.site import configuration
from isthmus.site.configuration import RETRY_REFUSED, Configuration
from isthmus.site.inventory import Inventory
from isthmus.site.rollout import Rollout, Superseded

from .test_inventory import bodies, cluster, receive
from .test_rollout import SITE

MANIFEST: Any = SimpleNamespace(version=SimpleNamespace(revision=7))


class Envoy:
    """Takes every plan and answers when it is told to."""

    def __init__(self) -> None:
        self.inventory = Inventory({})
        receive(self.inventory, bodies(cluster()))
        self.configuration = Configuration(lambda: MANIFEST, self.apply, self.forgive)
        self.rollout = Rollout(self.inventory, self.build, self.push, self.configuration.newer, SITE)
        self.pushes: list[Push] = []
        self.applied = self.ended = self.forgiven = 0
        self.some = asyncio.Event()

    async def build(self, changed: Any) -> Any:
        return changed

    def push(self, plan: Any) -> Push:
        self.pushes.append(Push([("type", "resource")]))
        self.some.set()
        return self.pushes[-1]

    async def apply(self, state: Any) -> None:
        try:
            await self.rollout.apply()
            self.applied += 1
        except Superseded:
            self.ended += 1
            raise
        finally:
            self.some.set()

    def forgive(self) -> bool:
        self.forgiven += 1
        return self.forgiven < 3

    async def until(self, pushes: int, applied: int, ended: int) -> None:
        async with asyncio.timeout(60):
            while (len(self.pushes), self.applied, self.ended) != (pushes, applied, ended):
                self.some.clear()
                await self.some.wait()

    def answer(self) -> None:
        self.pushes[-1].settle(("type", "resource"), None)


async def test_discovery_ends_no_apply_and_a_manifest_does() -> None:
    envoy = Envoy()
    running = asyncio.create_task(envoy.configuration.run())
    envoy.configuration.manifest()
    await envoy.until(1, 0, 0)
    for _ in range(20):
        envoy.configuration.wake()  # a registry in which something changes all the time
        await asyncio.sleep(0)
    assert not envoy.configuration.newer.is_set()
    envoy.answer()
    await envoy.until(2, 1, 0)  # applied to the end; and then once, with all that was found
    envoy.configuration.manifest()
    await envoy.until(3, 1, 1)
    envoy.answer()
    await envoy.until(3, 2, 1)
    running.cancel()


class Bell:
    """An Alarm that rings when the test says so."""

    made: list[Bell] = []  # noqa: RUF012 - emptied by the test

    def __init__(self, act: Any) -> None:
        self.act = act
        self.delays: list[float] = []
        self.pending = False
        self.made.append(self)

    def set(self, seconds: float) -> None:
        self.delays.append(seconds)
        self.pending = True

    def cancel(self) -> None:
        self.pending = False

    def ring(self) -> None:
        self.pending = False
        self.act()


async def test_what_was_refused_is_tried_again_by_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    Bell.made.clear()
    monkeypatch.setattr(configuration, "Alarm", Bell)
    envoy = Envoy()
    (bell,) = Bell.made
    running = asyncio.create_task(envoy.configuration.run())
    for _ in range(50):
        envoy.configuration.retry_refused()  # as after every apply that discovery causes
    assert bell.delays == [RETRY_REFUSED]
    bell.ring()
    await envoy.until(1, 0, 0)
    envoy.answer()
    await envoy.until(1, 1, 0)
    envoy.configuration.retry_refused()
    assert bell.delays == [RETRY_REFUSED] * 2
    envoy.forgiven = 2  # nothing is refused any more
    bell.ring()
    await asyncio.sleep(0)
    assert (envoy.forgiven, len(envoy.pushes)) == (3, 1)
    envoy.configuration.retry_refused()
    envoy.configuration.cancel()
    assert not bell.pending, "nothing is tried again once the agent ends"
    running.cancel()


async def test_without_a_manifest_nothing_is_applied_and_a_defect_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configuration, "RETRY_FAILED", 0.0)
    states: list[Any] = [None, MANIFEST, MANIFEST]
    asked, applied = asyncio.Event(), asyncio.Event()
    tries = 0

    def state() -> Any:
        asked.set()
        return states.pop(0)

    async def apply(state: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise RuntimeError("a defect")
        applied.set()

    loop = Configuration(state, apply, lambda: True)
    running = asyncio.create_task(loop.run())
    loop.wake()
    async with asyncio.timeout(60):
        await asked.wait()
        assert tries == 0
        loop.manifest()
        await applied.wait()
    assert tries == 2
    running.cancel()
