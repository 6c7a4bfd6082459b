"""Real site agents that find servers by DNS, from a real DNS server, and publish a virtual host by DNS themselves."""

from __future__ import annotations

import asyncio
import re
import signal
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import httpx
import yaml

from ...port import free_port
from ..dns.knot import SECRET, Knot
from ..envoy.material import Origin, running, until
from .deployment import Deployment, Site, sealed

EXAMPLE = Path(__file__).parents[3] / "examples" / "discovery" / "dns.yaml"
HOST = "pages.apps.example.net"


class Network:
    """Clients enter at `ams`; servers are found at `fra`, which asks a DNS server."""

    def __init__(self, dns_port: int) -> None:
        self.port, self.dns = free_port(), free_port()
        self.fabric = {"ams": free_port(), "fra": free_port()}
        self.dns_port = dns_port

    def documents(self) -> list[dict[str, Any]]:
        """The example, on loopback, with free ports and in a hurry; secrets travel apart."""
        text = re.sub(r"192\.0\.2\.\d+", "127.0.0.1", EXAMPLE.read_text())
        documents = list(yaml.safe_load_all(text))
        specs = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in documents}
        for name, port in self.fabric.items():
            specs["Site", name]["fabric"]["addresses"][0]["port"] = port
        asked = specs["ServiceDiscovery", "corp"]["dns"]
        asked["servers"][0]["port"] = self.dns_port
        asked |= {"timeout": "1s", "minTtl": "50ms", "keepGone": "1s"}
        specs["ServiceDiscovery", "apps"]["dns"]["publish"]["delegation"]["port"] = self.dns
        specs["ServiceDiscovery", "zone"]["dns"]["publish"]["update"]["server"]["port"] = self.dns_port
        specs["HealthCheck", "pages"] |= {"interval": "50ms", "timeout": "60s", "healthyThreshold": 1}
        specs["AdvertisePolicy", "clients"]["port"] = self.port
        return [each for each in documents if each["kind"] != "Secret"]


class Client:
    """Finds the virtual host by DNS, as any client would, and asks it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._http = httpx.AsyncClient(timeout=60)
        self.failed: list[str] = []

    async def address(self) -> str:
        query = dns.message.make_query(HOST, "A")
        response = await dns.asyncquery.udp(query, "127.0.0.1", 30, self._network.dns)
        return str(response.answer[0][0].address)

    async def ask(self, address: str = "127.0.0.1") -> str:
        """The server's name, or what went wrong."""
        try:
            url = f"http://{address}:{self._network.port}/"
            response = await self._http.get(url, headers={"host": HOST})
        except httpx.HTTPError as error:
            return repr(error)
        return response.text if response.status_code == 200 else str(response.status_code)

    async def keep_asking(self) -> None:
        while True:
            answer = await self.ask()
            if not answer.isalpha():
                self.failed.append(answer)
            await asyncio.sleep(0.005)

    def serves(self, *names: str) -> Any:
        async def found() -> bool:
            return {await self.ask() for _ in range(12)} == set(names)

        return found


def point(knot: Knot, *origins: Origin) -> None:
    """What an administrator does when servers come and go."""
    knot.replace("_http._tcp.pages", "SRV", *(f"1 1 {origin.port} host" for origin in origins), ttl=0)


async def begin(deployment: Deployment, network: Network) -> tuple[Site, Site]:
    ams, fra = deployment.add_site("ams"), deployment.add_site("fra")
    revision = await deployment.publish(network.documents(), sealed(ams, "tsig", SECRET))
    await deployment.start_region()
    await ams.start()
    await fra.start()
    await until(lambda: deployment.applied("ams", revision) and deployment.applied("fra", revision), 60)
    return ams, fra


async def test_servers_come_and_go_by_dns_and_outlive_it(deployment: Deployment, tmp_path: Path) -> None:
    knot = Knot(tmp_path)
    knot.start()
    one, two, three = Origin("one"), Origin("two"), Origin("three")
    try:
        async with running(one, two, three):
            knot.replace("host", "A", "127.0.0.1", ttl=0)
            point(knot, one, two)
            network = Network(knot.port)
            ams, fra = await begin(deployment, network)
            client = Client(network)
            await until(client.serves("one", "two"), 60)
            assert await client.ask(await client.address()) in ("one", "two")
            await until(lambda: knot.records("www", "A") == {"127.0.0.1"}, 60)
            assert SECRET not in str(await ams.status()) + ams.log.read_text()

            traffic = asyncio.create_task(client.keep_asking())
            point(knot, two, three)
            await until(client.serves("two", "three"))
            traffic.cancel()
            assert client.failed == []

            async def reported() -> bool:
                report = await fra.status()
                found = {(each["endpoint"], each["port"], each["healthy"]) for each in report["endpoints"]}
                (lookup,) = report["discovery"]
                return found == {
                    ("default/Endpoint/default/pages", two.port, True),
                    ("default/Endpoint/default/pages", three.port, True),
                } and (lookup["registry"], lookup["servers"], lookup["error"]) == (
                    "default/ServiceDiscovery/shared/corp",
                    2,
                    "",
                )

            await until(reported)

            knot.stop()
            await until(lambda: failing(fra))
            assert {await client.ask() for _ in range(12)} == {"two", "three"}
            assert await fra.end(signal.SIGINT) == 0  # Envoy too: nothing is left but the disk
            await fra.start()
            await until(client.serves("two", "three"), 60)

            async def remembered() -> bool:
                try:
                    (lookup,) = (await fra.status())["discovery"]
                except httpx.HTTPError:  # Envoy serves before the agent has said that it is there
                    return False
                return (lookup["servers"], lookup["answeredAt"] is not None) == (2, True)

            await until(remembered)
    finally:
        knot.stop()


async def failing(site: Site) -> bool:
    (lookup,) = (await site.status())["discovery"]
    return "127.0.0.1" in lookup["error"] and lookup["answeredAt"] is not None


async def test_a_name_that_is_gone_is_used_until_its_grace_ends(deployment: Deployment, tmp_path: Path) -> None:
    knot = Knot(tmp_path)
    knot.start()
    one = Origin("one")
    try:
        async with running(one):
            knot.replace("host", "A", "127.0.0.1", ttl=0)
            point(knot, one)
            network = Network(knot.port)
            ams, fra = await begin(deployment, network)
            client = Client(network)
            await until(client.serves("one"), 60)
            point(knot)
            await until(client.serves("503"))

            async def gone() -> bool:
                (lookup,) = (await fra.status())["discovery"]
                return (lookup["servers"], "NXDOMAIN" in lookup["error"]) == (0, True)

            await until(gone)
            (lookup,) = (await fra.status())["discovery"]
            assert lookup["changedAt"] - lookup["errorSince"] >= 1.0
            point(knot, one)
            await until(client.serves("one"))

            async def published() -> bool:
                found = {each["domain"]: each for each in (await ams.status())["published"]}
                assert set(found) == {HOST, "www.corp.example"}
                return all(each["published"] and each["addresses"] == ["127.0.0.1"] for each in found.values())

            await until(published)
    finally:
        knot.stop()
