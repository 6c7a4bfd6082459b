"""Supervision, discovery and adoption, against the real Envoy."""

from __future__ import annotations

import asyncio
import os
import signal
import stat

import httpx

from isthmus.engine.envoy import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from isthmus.engine.life import process_life

from ...port import free_port
from .conftest import Rig
from .material import Origin, assignment, broken_cluster, cluster, listener, route, running, until


def world(port: int, *origins: Origin) -> dict[str, dict[str, bytes]]:
    return {
        CLUSTER: {"web": cluster("web")},
        ENDPOINT: {"web": assignment("web", *(origin.port for origin in origins))},
        LISTENER: {"front": listener("front", port, "front")},
        ROUTE: {"front": route("front", "web")},
    }


async def serve(rig: Rig, port: int) -> None:
    async def answers() -> bool:
        try:
            return (await rig.client.get(f"http://127.0.0.1:{port}/")).status_code == 200
        except httpx.HTTPError:
            return False

    await until(answers)


async def test_serves_updates_and_removes(rig: Rig) -> None:
    one, two, port = Origin("one"), Origin("two"), free_port()
    async with running(one, two):
        server = await rig.server()
        push = server.set(world(port, one))
        assert await rig.process().start() is False
        async with asyncio.timeout(60):
            assert await push.acked() == ()
        await serve(rig, port)
        assert await rig.text(port) == "one"
        assert await rig.admin.ready()
        for name in ("ads.sock", "admin.sock"):
            assert stat.S_IMODE((rig.directory / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(rig.directory.stat().st_mode) == 0o700

        async with asyncio.timeout(60):
            await server.update({ENDPOINT: {"web": assignment("web", two.port)}}).acked()
        assert await rig.text(port) == "two"
        assert server.holds_current(ENDPOINT, "web")

        async with asyncio.timeout(60):
            await server.set({CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, ROUTE: {}}).acked()
        dump = await rig.admin.config_dump()
        listeners = [item for part in dump["configs"] for item in part.get("dynamic_listeners", ())]
        clusters = [item for part in dump["configs"] for item in part.get("dynamic_active_clusters", ())]
        assert [item for item in listeners if "active_state" in item] == []  # it may still drain
        assert clusters == []


async def test_resources_that_envoy_does_not_use_hold_nothing_up(rig: Rig) -> None:
    one, port = Origin("one"), free_port()
    async with running(one):
        server = await rig.server()
        resources = world(port, one)
        resources[SECRET] = {"identity": b"", "trust": b""}
        resources[ENDPOINT] |= {"nobody": assignment("nobody", one.port)}
        push = server.set(resources)
        await rig.process().start()
        async with asyncio.timeout(60):
            assert await push.acked() == ()
            assert await server.update({SECRET: {"trust": b"2"}}).acked() == ()


async def test_changed_cluster_is_warm_at_once(rig: Rig) -> None:
    one, port = Origin("one"), free_port()
    async with running(one):
        server = await rig.server()
        server.set(world(port, one))
        await rig.process().start()
        await serve(rig, port)
        # Without its endpoints sent along, the changed cluster would warm for 15 s before it is answered.
        async with asyncio.timeout(10):
            assert await server.update({CLUSTER: {"web": cluster("web", connect_seconds=2)}}).acked() == ()
        assert await rig.text(port) == "one"


async def test_new_cluster_and_route_in_one_change_lose_no_request(rig: Rig) -> None:
    one, two, port = Origin("one"), Origin("two"), free_port()
    async with running(one, two):
        server = await rig.server()
        server.set(world(port, one))
        await rig.process().start()
        await serve(rig, port)
        traffic = Traffic(rig, port)
        for number in range(5):
            name = f"next-{number}"
            changed = world(port, one)
            changed[CLUSTER] = {name: cluster(name)}
            changed[ENDPOINT] = {name: assignment(name, two.port)}
            changed[ROUTE] = {"front": route("front", name)}
            async with asyncio.timeout(60):
                assert await server.set(changed).acked() == ()
        await traffic.stop()
        assert traffic.failed == []
        assert await rig.text(port) == "two"


async def test_refusal_names_the_resource_and_keeps_the_rest(rig: Rig) -> None:
    one, port = Origin("one"), free_port()
    async with running(one):
        server = await rig.server()
        server.set(world(port, one))
        await rig.process().start()
        await serve(rig, port)
        changed = world(port, one)
        changed[CLUSTER] |= {"bad": broken_cluster("bad"), "more": cluster("more")}
        changed[ENDPOINT] |= {"more": assignment("more", one.port)}
        changed[ROUTE] |= {"front": route("front", "more")}
        async with asyncio.timeout(60):
            nacks = await server.set(changed).acked()
        assert [(nack.type_url, nack.name) for nack in nacks] == [(CLUSTER, "bad")]
        assert "bad" in nacks[0].message
        assert await rig.text(port) == "one"
        assert server.holds_current(CLUSTER, "more")
        assert not server.holds_current(CLUSTER, "bad")


async def test_restarted_server_adopts_envoy_and_sends_nothing(rig: Rig) -> None:
    one, port = Origin("one"), free_port()
    async with running(one):
        server = await rig.server()
        resources = world(port, one)
        server.set(resources)
        first = rig.process()
        await first.start()
        await serve(rig, port)
        before = await versions(rig)
        traffic = Traffic(rig, port)

        await first.detach()
        await server.stop()
        await asyncio.sleep(0.3)
        again = await rig.server()
        second = rig.process()
        assert await second.start() is True
        assert second.pid == first.pid
        await asyncio.sleep(0.3)
        assert not again.connected  # nothing is answered before the state is loaded
        push = again.set(resources)
        async with asyncio.timeout(60):
            assert await push.acked() == ()
        assert again.holds_current(LISTENER, "front")
        assert await versions(rig) == before
        async with asyncio.timeout(60):
            await again.update({ROUTE: {"front": route("front", "web", prefix="/")}}).acked()
        await traffic.stop()
        assert traffic.count > 0
        assert traffic.failed == []


async def test_dead_envoy_is_started_again_with_the_same_resources(rig: Rig) -> None:
    one, port = Origin("one"), free_port()
    async with running(one):
        server = await rig.server()
        server.set(world(port, one))
        process = rig.process()
        await process.start()
        await serve(rig, port)
        dead = process.pid
        assert dead is not None
        os.kill(dead, signal.SIGKILL)
        await until(lambda: process.restarts == 1)
        await serve(rig, port)
        assert process.pid != dead
        assert process_life(dead) is None


async def test_adopted_envoy_that_dies_is_started_again(rig: Rig) -> None:
    server = await rig.server()
    server.set({})
    first = rig.process()
    await first.start()
    await first.detach()
    second = rig.process()
    assert await second.start() is True
    assert second.pid is not None
    os.kill(second.pid, signal.SIGKILL)
    await until(lambda: second.restarts == 1)
    await until(rig.admin.ready)


async def test_other_settings_replace_the_running_envoy(rig: Rig) -> None:
    server = await rig.server()
    server.set({})
    first = rig.process()
    await first.start()
    await until(rig.admin.ready)
    await first.detach()
    assert first.pid is not None
    second = rig.process(max_connections=100)
    assert await second.start() is False
    assert process_life(first.pid) is None
    await until(rig.admin.ready)


async def test_stop_leaves_no_process(rig: Rig) -> None:
    process = rig.process()
    await process.start()
    pid = process.pid
    assert pid is not None
    await process.stop()
    assert process_life(pid) is None
    assert not (rig.directory / "process.json").exists()


class Traffic:
    """One client that asks all the time, each request on a connection that may be reused."""

    def __init__(self, rig: Rig, port: int) -> None:
        self.count = 0
        self.failed: list[str] = []
        self._rig = rig
        self._port = port
        self._stop = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stop:
            try:
                response = await self._rig.client.get(f"http://127.0.0.1:{self._port}/")
                if response.status_code != 200:
                    self.failed.append(str(response.status_code))
            except httpx.HTTPError as error:
                self.failed.append(repr(error))
            self.count += 1
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        self._stop = True
        await self._task


async def versions(rig: Rig) -> dict[str, str]:
    """When Envoy last updated each dynamic listener and cluster."""
    found = {}
    for part in (await rig.admin.config_dump())["configs"]:
        for item in part.get("dynamic_listeners", ()):
            found["listener"] = item["active_state"]["last_updated"]
        for item in part.get("dynamic_active_clusters", ()):
            found["cluster"] = item["last_updated"]
    assert set(found) == {"listener", "cluster"}
    return found
