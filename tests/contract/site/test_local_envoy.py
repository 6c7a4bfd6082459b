"""The site's Envoy as the agent sees it: what is asked of it, and what becomes of an answer that cannot be used."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from isthmus.engine.envoy import CLUSTER, ENDPOINT, HealthEvent, HostHealth
from isthmus.identity import Identity, Role
from isthmus.site.directory import SiteDirectory
from isthmus.site.envoy import LocalEnvoy
from isthmus.site.report import EngineState
from isthmus.site.settings import SiteSettings

from ..envoy.material import Origin, assignment, cluster, running, until


async def test_health_that_cannot_be_taken_in_is_asked_for_again_and_an_absent_envoy_tells_nothing() -> None:
    root = Path(tempfile.mkdtemp(prefix="isl-"))
    directory = SiteDirectory(root)
    snapshots: list[list[HostHealth]] = []
    ready = asyncio.Event()

    def take(hosts: list[HostHealth]) -> None:
        snapshots.append(hosts)
        if len(snapshots) == 1:
            raise RuntimeError("cannot be taken in")

    def ignore(*_: HealthEvent) -> None:
        pass

    envoy = LocalEnvoy(
        SiteSettings(root, telemetry=False),
        directory,
        Identity("test.isthmus", Role.SITE, "default", "fra"),
        EngineState(),
        on_event=ignore,
        on_snapshot=take,
        on_down=ignore,
        on_ready=ready.set,
        on_refused=ignore,
        changed=ignore,
    )
    try:
        assert await envoy.learn_health() is False  # there is none yet
        assert snapshots == []
        async with running(origin := Origin("a")):
            envoy.ads.set(
                {
                    CLUSTER: {"a": cluster("a", events=directory.health_events)},
                    ENDPOINT: {"a": assignment("a", origin.port)},
                }
            )
            assert await envoy.start() is False
            async with asyncio.timeout(60):
                await ready.wait()
            assert len(snapshots) == 2

            async def learned() -> bool:
                assert await envoy.learn_health()
                return [host.port for host in snapshots[-1]] == [origin.port]

            await until(learned)  # Envoy shows a cluster once it has probed its endpoints
    finally:
        await envoy.end(engine=True)
        directory.release()
        shutil.rmtree(root)
