"""Real site agents with real Envoys that find servers in Kubernetes and Consul, and are found there: the examples."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import yaml

from ...port import free_port
from ..envoy.material import Origin, running, until
from ..registry.consul_server import ConsulServer
from ..registry.kubernetes_server import KubernetesServer
from ..registry.material import (
    Certificates,
    documented_rights,
    endpoint,
    endpoint_slice,
    kubeconfig,
    namespace,
    service,
)
from .deployment import Deployment, Site, sealed

EXAMPLES = Path(__file__).parents[3] / "examples/discovery"


def example(name: str, ports: dict[tuple[str, str], int], address: dict[str, str]) -> list[dict[str, Any]]:
    """The documents of an example at addresses and ports of this machine; secrets travel apart."""
    documents = []
    for each in yaml.safe_load_all((EXAMPLES / name).read_text()):
        each["metadata"].setdefault("namespace", "default")
        key, spec = (each["kind"], each["metadata"]["name"]), each["spec"]
        if each["kind"] == "Site":
            del each["metadata"]["namespace"]
            spec["fabric"]["addresses"] = [{"address": "127.0.0.1", "port": ports[key]}]
            spec["interfaces"][0]["addresses"] = [address[key[1]]]
        if each["kind"] == "AdvertisePolicy":
            spec["port"] = ports[key]
        if each["kind"] == "ServiceDiscovery" and "consul" in spec:
            spec["consul"]["url"] = f"http://127.0.0.1:{ports[key]}"
        if each["kind"] != "Secret":
            documents.append(each)
    return documents


def own_address() -> str:
    """An address of this machine that is not loopback, which Kubernetes would refuse; loopback if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def put(cluster: KubernetesServer, version: str, *origins: Origin) -> None:
    """What a Deployment of a version with these pods makes of Service and slice."""
    name = f"shop-v{version}"
    labels = {"app": "shop", "version": version}
    cluster.put(service(name, {"name": "http", "port": 80, "targetPort": "http"}, labels=labels))
    for number, origin in enumerate(origins):  # pods of one machine differ in port, so each has a slice of its own
        ports = ({"name": "http", "port": origin.port},)
        cluster.put(endpoint_slice(f"{name}-{number}", name, endpoint("127.0.0.1"), ports=ports))


async def ask(http: httpx.AsyncClient, url: str, host: str, **headers: str) -> str:
    try:
        response = await http.get(url, headers={"host": host, **headers})
    except httpx.HTTPError as error:
        return repr(error)
    return response.text if response.status_code == 200 else str(response.status_code)


async def test_a_canary_by_labels_that_kubernetes_knows(deployment: Deployment) -> None:
    certificates = Certificates()
    rights = documented_rights("isthmus-discover", "shop") + documented_rights("isthmus-publish", "isthmus")
    cluster = KubernetesServer(tokens={"t0k3n": rights}, context=certificates.server_context(), special_addresses=True)
    await cluster.start()
    for name in ("shop", "isthmus"):
        cluster.put(namespace(name))
    old, new, newer = Origin("old"), Origin("new"), Origin("newer")
    names = [("Site", "edge"), ("Site", "farm"), ("AdvertisePolicy", "edge"), ("AdvertisePolicy", "farm")]
    ports = {name: free_port() for name in names}
    own = own_address()
    edge, farm = deployment.add_site("edge"), deployment.add_site("farm")
    secret = sealed(farm, "farm-kubeconfig", kubeconfig(cluster.url, certificates.ca, "t0k3n"))
    try:
        async with running(old, new, newer), httpx.AsyncClient(timeout=60) as http:
            put(cluster, "10", old)
            put(cluster, "11", new)
            address = {"edge": "127.0.0.1", "farm": own}
            revision = await deployment.publish(example("kubernetes.yaml", ports, address), secret)
            await deployment.start_region()
            await edge.start()
            await farm.start()
            await until(lambda: deployment.applied("edge", revision) and deployment.applied("farm", revision), 60)
            url = f"http://127.0.0.1:{ports['AdvertisePolicy', 'edge']}/"
            serves = serving(http, url, beta="yes")
            await until(serves("new"), 60)
            await until(serving(http, url)("old"), 60)

            answers = Counter([await ask(http, url, "shop.example") for _ in range(300)])
            assert set(answers) <= {"old", "new"}
            assert 1 <= answers["new"] <= 45

            put(cluster, "11", newer)  # a rolling update of the next version, while requests go on
            await until(serves("newer"))

            await published(cluster, farm, own, ports["AdvertisePolicy", "farm"])

            await cluster.stop()  # what was found stays in use, and the site says what is wrong
            await until(lambda: unreachable(farm))
            assert {await ask(http, url, "shop.example", **{"x-beta": "yes"}) for _ in range(5)} == {"newer"}
            report = await farm.status()
            assert "t0k3n" not in str(report)
            assert "t0k3n" not in farm.log.read_text()
    finally:
        await cluster.stop()


def serving(http: httpx.AsyncClient, url: str, beta: str = "") -> Any:
    headers = {"x-beta": beta} if beta else {}

    def by(name: str) -> Any:
        async def found() -> bool:
            return name == await ask(http, url, "shop.example", **headers)

        return found

    return by


async def published(cluster: KubernetesServer, farm: Site, own: str, port: int) -> None:
    """Pods find the virtual host where `farm` serves it."""

    async def known() -> bool:
        (record,) = (await farm.status())["published"]
        return bool(record["published"]) or "loopback" in record["error"]

    await until(known)
    if own == "127.0.0.1":
        return
    (item,) = cluster.store.objects("endpointslices", "isthmus")
    assert item["endpoints"][0]["addresses"] == [own]
    assert item["ports"] == [{"name": f"tcp-{port}", "protocol": "TCP", "port": port}]
    assert cluster.store.get("services", "isthmus", "shop-example") is not None


async def unreachable(site: Site) -> bool:
    (lookup,) = (await site.status())["discovery"]
    return "cannot be reached" in lookup["error"] and lookup["servers"] == 2 and lookup["answeredAt"] is not None


async def test_consul_finds_servers_and_tells_clients_where_they_are_served(deployment: Deployment) -> None:
    consul = ConsulServer(tokens={"s3cret": frozenset(("orders", "orders-example"))})
    await consul.start()
    one, two, old = Origin("one"), Origin("two"), Origin("old")
    ports = {("Site", "plant"): free_port(), ("AdvertisePolicy", "plant"): free_port()}
    ports["ServiceDiscovery", "plant"] = consul.port
    plant = deployment.add_site("plant")

    def put(origin: Origin, tag: str) -> None:
        consul.put({"ID": origin.name, "Name": "orders", "Address": "127.0.0.1", "Port": origin.port, "Tags": [tag]})

    try:
        async with running(one, two, old), httpx.AsyncClient(timeout=60) as http:
            put(one, "v2")
            put(old, "v1")
            documents = example("consul.yaml", ports, {"plant": "127.0.0.1"})
            secret = sealed(plant, "plant-consul", "s3cret")
            revision = await deployment.publish(documents, secret)
            await deployment.start_region()
            await plant.start()
            await until(lambda: deployment.applied("plant", revision), 60)

            async def address() -> str:
                """As a client finds the virtual host: in Consul."""
                url = f"{consul.url}/v1/health/service/orders-example?passing"
                entries = (await http.get(url, headers={"x-consul-token": "s3cret"})).json()
                found = [f"http://{e['Service']['Address']}:{e['Service']['Port']}/" for e in entries]
                return found[0] if found else ""

            async def told() -> bool:
                return bool(await address())

            await until(told, 60)
            url = await address()

            async def served() -> bool:
                return await ask(http, url, "orders.example") == "one"

            await until(served)
            put(two, "v2")

            async def both() -> bool:
                return {await ask(http, url, "orders.example") for _ in range(10)} == {"one", "two"}

            await until(both)
            consul.set_status("one", "critical")

            async def other() -> bool:
                return {await ask(http, url, "orders.example") for _ in range(10)} == {"two"}

            await until(other)
            await deployment.publish([each for each in documents if each["kind"] != "VirtualHost"], secret)
            await until(lambda: "orders-example" not in {e.service["Name"] for e in consul.services().values()})
            assert "s3cret" not in plant.log.read_text()
    finally:
        await asyncio.shield(consul.stop())
