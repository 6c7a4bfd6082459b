"""Real site agents with real engines: what a user of the network would notice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any, cast

import httpx

from ...port import free_port
from ..envoy.material import Origin, running, until
from .deployment import Deployment, Site, document


class World:
    """An ingress site `ams` and an egress site `fra` with two origins."""

    def __init__(self) -> None:
        self.port = free_port()
        self.fabric = {"ams": free_port(), "fra": free_port()}
        self.origins = [Origin("one"), Origin("two")]
        self.drained = False
        self.endpoints = ["one", "two"]
        self.extra: list[dict[str, Any]] = []
        self.cluster: dict[str, Any] = {}
        self.routes = ["all"]
        self.gone: set[str] = set()
        """Endpoints that are drained."""

    def documents(self) -> list[dict[str, Any]]:
        ports = {origin.name: origin.port for origin in self.origins}
        # The origins live in the process of the test: that it gets no time for a while is no failure of theirs.
        check = {"http": {"path": "/"}, "interval": "50ms", "timeout": "60s", "healthyThreshold": 1}
        where = {"site": "ams", "network": "outside"}
        return [
            *(
                document(
                    "Site",
                    name,
                    {
                        "fabric": {"addresses": [{"address": "127.0.0.1", "port": port}]},
                        "interfaces": [{"name": "lo", "addresses": ["127.0.0.1"]}],
                        "drained": self.drained and name == "fra",
                    },
                )
                for name, port in self.fabric.items()
            ),
            document("HealthCheck", "http", check, "shop"),
            document("HealthCheck", "deep", check | {"http": {"path": "/deep"}}, "shop"),
            *(self._endpoint(name, ports[name]) for name in self.endpoints),
            document(
                "Cluster",
                "web",
                {
                    "endpoints": [{"name": name} for name in self.endpoints],
                    "healthChecks": [{"name": "http"}],
                    **self.cluster,
                },
                "shop",
            ),
            document("Route", "all", {"forward": {"clusters": [{"cluster": {"name": "web"}}]}}, "shop"),
            document("AdvertisePolicy", "public", {"where": where, "port": self.port}, "shop"),
            document(
                "VirtualHost",
                "site",
                {
                    "domains": ["*"],
                    "routes": [{"name": name} for name in self.routes],
                    "advertisePolicies": [{"name": "public"}],
                },
                "shop",
            ),
            *self.extra,
        ]

    def _endpoint(self, name: str, port: int) -> dict[str, Any]:
        """Its own name is its label `version`."""
        spec = {"where": {"site": "fra"}, "address": "127.0.0.1", "port": port, "drained": name in self.gone}
        found = document("Endpoint", name, spec, "shop")
        return found | {"metadata": found["metadata"] | {"labels": {"version": name}}}


class Echo(asyncio.DatagramProtocol):
    """Says back every datagram unless it is silent."""

    silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if not self.silent:
            self.transport.sendto(data, addr)


@contextlib.asynccontextmanager
async def echoing(*origins: Origin) -> AsyncIterator[list[Echo]]:
    """An Echo on the UDP port of each origin's number."""
    loop = asyncio.get_running_loop()
    sockets = [("127.0.0.1", origin.port) for origin in origins]
    echoes = [(await loop.create_datagram_endpoint(Echo, local_addr=socket))[1] for socket in sockets]
    try:
        yield echoes
    finally:
        for echo in echoes:
            echo.transport.close()


class Client:
    def __init__(self, port: int) -> None:
        self.port = port
        self.http = httpx.AsyncClient(timeout=60)

    async def ask(self, path: str = "") -> tuple[int, str]:
        try:
            response = await self.http.get(f"http://127.0.0.1:{self.port}/{path}")
        except httpx.HTTPError as error:
            return 0, repr(error)
        return response.status_code, response.text

    async def answers(self) -> bool:
        return (await self.ask())[0] == 200

    def hears(self, *expected: tuple[int, str], path: str = "") -> Callable[[], Awaitable[bool]]:
        """Whether these answers, and no others, come to requests for a path."""

        async def asked() -> bool:
            return {await self.ask(path) for _ in range(10)} == set(expected)

        return asked


async def until_reported(site: Site, *expected: tuple[bool, bool]) -> None:
    """Wait until the site says of its endpoints, in order, whether they are healthy and announced."""

    async def reported() -> bool:
        return [(each["healthy"], each["announced"]) for each in (await site.status())["endpoints"]] == list(expected)

    await until(reported)


class Traffic:
    """Asks all the time until it is stopped."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.count = 0
        self.failed: list[tuple[int, str]] = []
        self.bodies: list[str] = []
        self._stop = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._stop:
            status, body = await self.client.ask()
            self.count += 1
            self.bodies.append(body)
            if status != 200:
                self.failed.append((status, body))
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        self._stop = True
        await self._task


async def begin(deployment: Deployment, world: World, age: timedelta = timedelta(0)) -> tuple[Site, Site, Client]:
    """Both sites are up, and requests reach every origin. `age`: of fra's certificate."""
    ams, fra = deployment.add_site("ams"), deployment.add_site("fra", age)
    revision = await deployment.publish(world.documents())
    await deployment.start_region()
    await ams.start()
    await fra.start()
    await until(lambda: deployment.applied("ams", revision) and deployment.applied("fra", revision), 60)
    assert deployment.rejections("ams") + deployment.rejections("fra") == [], "no port was taken"
    client = Client(world.port)
    await until(client.hears((200, "one"), (200, "two")), 60)
    return ams, fra, client


async def test_a_request_crosses_two_sites_and_health_moves_it(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        ams, fra, client = await begin(deployment, world)
        assert deployment.rejections("ams") == []
        assert deployment.rejections("fra") == []

        url = f"http://shop.example:{world.port}/cart"
        status, told = await ams.explain(url=url)
        assert (status, told["reached"]) == (200, True)
        assert [(site["site"], site["percent"]) for site in told["clusters"][0]["sites"]] == [("fra", 100.0)]
        assert deployment.hub is not None
        asked = await deployment.hub.query("default/site/ams", "explain", json.dumps({"url": url}).encode())
        assert json.loads(asked)["outcome"] == told["outcome"]
        assert (await ams.explain(nothing=1))[0] == 422

        world.origins[0].healthy = False
        await until_reported(fra, (False, False), (True, True))
        await until(client.hears((200, "two")))
        names = [each["endpoint"] for each in (await fra.status())["endpoints"]]
        assert names == ["default/Endpoint/shop/one", "default/Endpoint/shop/two"]
        world.origins[1].healthy = False

        async def nothing_left() -> bool:
            return (await client.ask())[0] == 503

        await until(nothing_left)
        world.origins[0].healthy = True
        await until(client.answers)


async def test_every_health_check_of_a_cluster_counts(deployment: Deployment) -> None:
    world = World()
    world.cluster = {"healthChecks": [{"name": "http"}, {"name": "deep"}]}
    async with running(*world.origins):
        _, fra, client = await begin(deployment, world)
        world.origins[0].broken.add("/deep")
        await until_reported(fra, (False, False), (True, True))
        await until(client.hears((200, "two")))
        world.origins[0].broken.clear()
        await until(client.hears((200, "one"), (200, "two")))


async def test_an_agent_that_is_killed_and_restarted_loses_no_request(deployment: Deployment) -> None:
    world = World()
    world.cluster = {"healthChecks": [{"name": "http"}, {"name": "ping"}]}
    ping = {"udp": {"send": {"text": "ping"}}, "interval": "50ms", "timeout": "60s", "healthyThreshold": 1}
    world.extra = [document("HealthCheck", "ping", ping, "shop")]
    async with running(*world.origins), echoing(*world.origins):
        ams, fra, client = await begin(deployment, world)
        engines = {site.name: site.engines() for site in (ams, fra)}
        assert [len(pids) for pids in engines.values()] == [2, 2]
        before = fra.log.read_text().count("healthy=False")
        traffic = Traffic(client)
        killed, asked = signal.SIGKILL, signal.SIGTERM
        turns = ((ams, killed, False), (fra, asked, False), (ams, killed, True), (fra, killed, True))
        for site, number, alone in turns:
            envoy, speaker = engines[site.name]
            await site.end(number)
            if number == killed:  # before it had saved what it knows of other sites
                (deployment.root / site.name / "health.json").unlink(missing_ok=True)
            if alone:  # nobody is left that knows of other sites
                os.kill(speaker, signal.SIGKILL)
            await asyncio.sleep(0.3)
            await site.start()

            async def works(site: Site = site) -> bool:
                try:
                    report = await site.status()
                except httpx.HTTPError:
                    return False
                live = all(each["state"] == "live" for each in report["bgp"]["sessions"])
                return bool(report["manifest"]["applied"] and report["envoy"]["connected"] and live)

            await until(works, 60)
            assert (site.engines() == [envoy, speaker]) is not alone
            assert site.engines()[0] == envoy
        await traffic.stop()
        assert traffic.count > 0
        assert traffic.failed == []
        assert fra.log.read_text().count("healthy=False") == before


async def test_a_site_serves_from_disk_when_everything_else_is_gone(deployment: Deployment) -> None:
    """But for a cluster whose remote endpoints are in use only for a while without news of them."""
    world = World()
    fresh = {"endpoints": [{"name": "one"}], "healthChecks": [{"name": "http"}], "staleAfter": "1s"}
    forward = {"clusters": [{"cluster": {"name": "fresh"}}], "retry": {"attempts": 0}}
    world.extra = [
        document("Cluster", "fresh", fresh, "shop"),
        document("Route", "fresh", {"match": [{"path": {"prefix": "/fresh"}}], "forward": forward}, "shop"),
    ]
    world.routes = ["fresh", "all"]
    async with running(*world.origins):
        ams, fra, client = await begin(deployment, world)
        await until(client.hears((200, "one"), path="fresh"))
        await deployment.stop_region()

        async def left() -> bool:
            return (await client.ask("fresh"))[0] == 503

        await until(left)
        assert await client.answers()
        for site in (ams, fra):
            await site.end(signal.SIGINT)
            assert site.engines() == []
        assert not await client.answers()
        await fra.start()
        await ams.start()
        await until(client.answers, 60)


async def test_a_dead_envoy_comes_back_with_what_it_had(deployment: Deployment) -> None:
    """But for a port that somebody has taken meanwhile: the site says so, and serves there once it is free."""
    world = World()
    async with running(*world.origins):
        _, fra, client = await begin(deployment, world)
        envoy, somebody = await take(fra, ("127.0.0.1", world.fabric["fra"]))

        async def restarted() -> bool:
            state = (await fra.status())["envoy"]
            return state["pid"] not in (None, envoy) and state["connected"]

        def refused() -> list[str]:
            found = deployment.shelf.reports["default/site/fra"]["rejections"]
            return [each["message"] for each in found if each["object"] == "default/Site//fra"]

        await until(restarted)
        await until(lambda: bool(refused()))
        assert f"fabric/127.0.0.1:{world.fabric['fra']}: " in refused()[0]
        somebody.close()
        await until(client.answers)
        await until(lambda: not refused())


async def take(site: Site, place: tuple[str, int]) -> tuple[int, socket.socket]:
    """A port of a site's Envoy, which is killed until the port is ours before the next one has it: the last one killed,
    and the port."""
    async with asyncio.timeout(90):
        while True:
            pid = (await site.status())["envoy"]["pid"]
            if pid is None:
                await asyncio.sleep(0.01)
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + 2
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    return pid, socket.create_server(place)
                await asyncio.sleep(0)


async def test_refused_and_unsupported_objects_keep_their_last_good_version(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        _, _, client = await begin(deployment, world)
        somebody = socket.create_server(("127.0.0.77", 0))
        address, port = somebody.getsockname()
        taken = document(
            "AdvertisePolicy",
            "taken",
            {"where": {"site": "ams", "network": "outside"}, "port": port, "address": address},
            "shop",
        )
        host = {"domains": ["taken.example"], "routes": [{"name": "all"}], "advertisePolicies": [{"name": "taken"}]}
        world.extra = [taken, document("VirtualHost", "taken", host, "shop")]
        world.cluster = {"connectTimeout": "3s"}
        raw = {"default/Wormhole/shop/near": b'{"kind":"Wormhole"}'}
        revision = await deployment.publish(world.documents(), raw)
        await until(lambda: deployment.applied("ams", revision), 90)
        assert dict(deployment.rejections("ams")) == {
            "default/Wormhole/shop/near": "unsupported",
            "default/AdvertisePolicy/shop/taken": "refused-by-envoy",
            "default/VirtualHost/shop/taken": "held-back",
        }
        assert await client.answers()
        somebody.close()


async def test_drain_and_back(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        _, fra, client = await begin(deployment, world)
        world.drained = True
        revision = await deployment.publish(world.documents())
        await until(lambda: deployment.applied("fra", revision), 60)

        async def withdrawn() -> bool:
            return not any(each["announced"] for each in (await fra.status())["endpoints"])

        await until(withdrawn, 60)
        world.drained = False
        revision = await deployment.publish(world.documents())
        await until(lambda: deployment.applied("ams", revision), 60)
        await until(client.answers)


async def test_removal_of_an_endpoint_loses_no_request(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        await begin(deployment, world)
        client = Client(world.port)
        traffic = Traffic(client)
        await asyncio.sleep(0.2)
        world.endpoints = ["two"]
        revision = await deployment.publish(world.documents())
        await until(lambda: deployment.applied("ams", revision) and deployment.applied("fra", revision), 60)
        await asyncio.sleep(0.2)
        await traffic.stop()
        assert traffic.failed == []
        assert await client.ask() == (200, "two")


async def test_subsets_probes_by_datagram_and_drained_endpoints_between_agents(deployment: Deployment) -> None:
    """Each goes all the way: from fra's verdicts by BGP to the choice of ams, for a subset of the endpoints alone."""
    world = World()
    probe = {"udp": {"send": {"text": "ping"}, "expect": {"text": "pin"}}, "interval": "50ms", "timeout": "250ms"}
    subsets = [{"name": name, "selector": [f"version={name}"]} for name in ("one", "two")]
    world.cluster = {
        "healthChecks": [{"name": "ping"}, {"name": "http"}],
        "subsets": subsets,
        "endpointSelection": "LOCAL_PREFERRED",
        "nearness": "ROUND_TRIP",
    }
    target = {"cluster": {"name": "web"}, "subset": "one"}
    forward = {"clusters": [target], "retry": {"attempts": 0}}
    world.extra = [
        document("HealthCheck", "ping", probe | {"healthyThreshold": 1}, "shop"),
        document("Route", "one", {"match": [{"path": {"prefix": "/one"}}], "forward": forward}, "shop"),
    ]
    world.routes = ["one", "all"]
    async with running(*world.origins), echoing(*world.origins) as echoes:
        ams, fra, client = await begin(deployment, world)

        await until(client.hears((200, "one"), path="one"), 60)

        async def counted() -> bool:
            report = await ams.status()
            sites = {each["subset"]: [site["endpoints"] for site in each["sites"]] for each in report["clusters"]}
            return sites == {"": [2], "one": [1], "two": [1]}

        await until(counted)

        async def measured() -> bool:
            (choice,) = (await ams.status())["clusters"][0]["sites"]
            return choice["roundTrip"] is not None and 0 < choice["roundTrip"] < 1000

        await until(measured)

        echoes[0].silent = True
        await until_reported(fra, (False, False), (True, True))
        await until(client.hears((200, "two")))

        async def unserved() -> bool:
            return (await client.ask("one"))[0] == 503

        await until(unserved)
        (one, _) = (await fra.status())["endpoints"]
        assert one["reason"] == "fails its health check: timeout"
        assert [each["healthy"] for each in one["transitions"]][-1] is False
        echoes[0].silent = False
        await until(client.hears((200, "one"), path="one"))

        world.gone = {"two"}
        await deployment.publish(world.documents())
        await until(client.hears((200, "one")), 60)

        async def withdrawn() -> bool:
            return [each["announced"] for each in (await fra.status())["endpoints"]] == [True, False]

        await until(withdrawn, 60)


async def test_a_certificate_is_renewed_under_traffic(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        _, fra, client = await begin(deployment, world, timedelta(days=5))
        traffic = Traffic(client)

        async def renewed() -> bool:
            left = (await fra.status())["certificate"]["validUntil"] - time.time()
            return bool(left > timedelta(days=13).total_seconds())

        await until(renewed, 60)
        admin = httpx.AsyncHTTPTransport(uds=str(fra.state / "envoy" / "admin.sock"))
        async with httpx.AsyncClient(transport=admin, base_url="http://envoy", timeout=60) as envoy:

            async def in_use() -> bool:
                certificates = (await envoy.get("/certs")).json()["certificates"]
                chains = [each for item in certificates for each in item.get("cert_chain", ())]
                return bool(chains) and all(int(each["days_until_expiration"]) >= 13 for each in chains[:1])

            await until(in_use)
        await asyncio.sleep(0.3)
        await traffic.stop()
        assert traffic.count > 0
        assert traffic.failed == []


async def test_monitors_are_served_on_loopback(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        _, fra, _ = await begin(deployment, world)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{fra.metrics}", timeout=60) as client:
            assert (await client.get("/healthz")).status_code == 200

            async def counted() -> bool:
                return 'isthmus_site_endpoints{state="healthy"} 2.0' in (await client.get("/metrics")).text

            await until(counted)
            text = (await client.get("/metrics")).text
        assert 'isthmus_site_engine_up{engine="envoy"} 1.0' in text
        assert 'isthmus_site_dns_questions_total{got="dropped"} 0.0' in text
        assert "envoy_cluster_upstream_rq_total" in text


async def test_one_state_directory_has_one_agent(deployment: Deployment) -> None:
    world = World()
    async with running(*world.origins):
        _, fra, client = await begin(deployment, world)
        second = Site("fra", fra.state, deployment.root / "second.log")
        await second.start()
        assert second.process is not None
        async with asyncio.timeout(60):
            assert await second.process.wait() != 0
        assert "another site agent is running" in second.log.read_text()
        assert await client.answers()
