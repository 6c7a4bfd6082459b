"""Health check events of the real Envoy."""

from __future__ import annotations

import asyncio

from isthmus.engine.envoy import CLUSTER, ENDPOINT, HealthEvent, HealthLog, HostHealth

from .conftest import Rig
from .material import Origin, assignment, cluster, running, until


class Health:
    def __init__(self, rig: Rig, rotate_bytes: int = 1 << 20) -> None:
        self.path = rig.directory / "health" / "events.log"
        self.events: list[HealthEvent] = []
        self.snapshots: list[list[HostHealth]] = []
        self.log = HealthLog(self.path, rig.admin, self.events.append, self.snapshots.append, rotate_bytes=rotate_bytes)

    def last(self, port: int) -> bool | None:
        return next((event.healthy for event in reversed(self.events) if event.port == port), None)


async def test_transitions_arrive_and_a_restart_reconciles(rig: Rig) -> None:
    one, dead = Origin("one"), Origin("dead", healthy=False)
    async with running(one, dead):
        health = Health(rig)
        await health.log.start()
        server = await rig.server()
        push = server.set(
            {
                CLUSTER: {"web": cluster("web", events=health.path)},
                ENDPOINT: {"web": assignment("web", one.port, dead.port)},
            }
        )
        await rig.process().start()
        async with asyncio.timeout(60):
            await push.acked()
        await until(lambda: health.last(one.port) is True and health.last(dead.port) is False)
        one.healthy = False
        await until(lambda: health.last(one.port) is False)
        one.healthy = True
        await until(lambda: health.last(one.port) is True)
        assert {event.cluster for event in health.events} == {"web"}

        await health.log.stop()
        dead.healthy = True

        async def checked() -> bool:
            return all(host.healthy for host in await rig.admin.hosts())

        await until(checked)
        again = Health(rig)
        await again.log.start()
        await again.log.reconcile()
        state = {(host.cluster, host.port): host.healthy for host in again.snapshots[0]}
        assert state == {("web", one.port): True, ("web", dead.port): True}
        await again.log.stop()


async def test_the_file_stays_small_and_no_event_is_lost(rig: Rig) -> None:
    one = Origin("one")
    async with running(one):
        health = Health(rig, rotate_bytes=2_000)
        await health.log.start()
        server = await rig.server()
        server.set(
            {
                CLUSTER: {"web": cluster("web", events=health.path)},
                ENDPOINT: {"web": assignment("web", one.port)},
            }
        )
        await rig.process().start()
        await until(lambda: health.last(one.port) is True)
        for _ in range(20):
            one.healthy = not one.healthy
            await until(lambda: health.last(one.port) is one.healthy)
        changes = [event.healthy for event in health.events]
        assert changes == [number % 2 == 0 for number in range(21)]
        assert health.path.stat().st_size < 4_000
        await health.log.stop()
