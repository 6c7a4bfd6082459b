"""Who may say what to whom: the fabric listener, internal headers, regions and sites that lie."""

import asyncio
import contextlib
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any

import grpc
import pytest

from isthmus.demo.deployment import wait_until
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import read_answer
from isthmus.emit.gobgp.path import emit_announcement
from isthmus.engine.gobgp.client import GobgpClient
from isthmus.health.codec import RouteSpace
from isthmus.health.route import EndpointRoute
from isthmus.identity import Credential, CredentialDirectory

from .conftest import Measure, remote, report, verdict, watching

PRIVATE = """
[{"apiVersion": "isthmus/v1", "kind": "Cluster", "metadata": {"namespace": "shop", "name": "private"},
  "spec": {"endpoints": [{"name": "fra-1"}], "healthChecks": [{"name": "web"}]}},
 {"apiVersion": "isthmus/v1", "kind": "Route", "metadata": {"namespace": "shop", "name": "private"},
  "spec": {"forward": {"clusters": [{"cluster": {"name": "private"}}]}}},
 {"apiVersion": "isthmus/v1", "kind": "AdvertisePolicy", "metadata": {"namespace": "shop", "name": "ams"},
  "spec": {"where": {"site": "ams"}, "port": 80}},
 {"apiVersion": "isthmus/v1", "kind": "VirtualHost", "metadata": {"namespace": "shop", "name": "private"},
  "spec": {"domains": ["private.example"], "routes": [{"name": "private"}], "advertisePolicies": [{"name": "ams"}]}}]
"""
"""A cluster at fra that only ams uses."""


def credential(shop: Shop, site: str) -> Credential:
    return CredentialDirectory(shop.deployment.state(site) / "identity").load()


def fabric(shop: Shop, site: str) -> tuple[str, int]:
    address = shop.document("Site", site)["spec"]["fabric"]["addresses"][0]
    return address["address"], address["port"]


async def call(shop: Shop, caller: str, callee: str, cluster: str) -> grpc.StatusCode:
    """What a site gets when it asks another for a cluster.

    gRPC is only the HTTP/2 client here: 403 is PERMISSION_DENIED, and the application's JSON is no gRPC message.
    """
    own, other = credential(shop, caller), credential(shop, callee)
    host, port = fabric(shop, callee)
    channel = grpc.aio.secure_channel(
        f"{host}:{port}",
        grpc.ssl_channel_credentials(own.bundle_pem, own.key_pem, own.chain_pem),
        options=[("grpc.ssl_target_name_override", other.identity.dns_name)],
    )
    async with channel:
        unary: Any = channel.unary_unary("/x/y")
        try:
            await unary(b"", metadata=[("x-isthmus-cluster", cluster)], timeout=30)
        except grpc.aio.AioRpcError as error:
            code: grpc.StatusCode = error.code()
            return code
    return grpc.StatusCode.OK


async def test_clients_of_the_fabric_need_the_right_certificate(shop: Shop) -> None:
    documents = shop.deployment.plan.resolve(json.loads(PRIVATE))
    await shop.deployment.apply(documents)
    denied = grpc.StatusCode.PERMISSION_DENIED
    private = "default/shop/private@local"
    deadline = asyncio.get_running_loop().time() + 60
    while await call(shop, "ams", "fra", private) == denied:
        assert asyncio.get_running_loop().time() < deadline, "ams may not call the cluster that it uses"
        await asyncio.sleep(0.2)
    assert await call(shop, "nyc", "fra", private) == denied, "another site's certificate"
    assert await call(shop, "ams", "nyc", "default/shop/web-next@local") == denied, "a cluster that it does not use"
    assert await call(shop, "ams", "fra", "default/shop/web@fabric") == denied, "a second hop"
    assert await call(shop, "ams", "fra", "default/shop/none@local") == denied, "a cluster that is not there"
    assert await call(shop, "nyc", "fra", "default/shop/web@local") != denied
    await shop.deployment.ask(
        "POST",
        "/apply",
        {
            "documents": [],
            "dryRun": False,
            "delete": [
                f"default/{each['kind']}/{each['metadata']['namespace']}/{each['metadata']['name']}"
                for each in documents
            ],
        },
    )


async def test_nobody_enters_the_fabric_without_a_certificate(shop: Shop) -> None:
    host, port = fabric(shop, "fra")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])

    async def greet() -> bytes:
        reader, writer = await asyncio.open_connection(host, port, ssl=context)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
        return await reader.readexactly(9)

    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(greet(), 60)


async def exchange(shop: Shop, head: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One request at ams with exactly this head."""
    target = shop.target("ams")
    reader, writer = await asyncio.open_connection(target.address, target.port)
    writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    async with asyncio.timeout(60):
        status, headers, body = await read_answer(reader)
    writer.close()
    return status, headers, json.loads(body) if body.startswith(b"{") else {}


async def test_internal_headers_of_clients_are_ignored(shop: Shop) -> None:
    for name in ("x-isthmus-cluster", "X-Isthmus-Cluster", "x-isthmus-hash", "x-isthmus-local-reply", "x-isthmus-new"):
        status, headers, answer = await exchange(
            shop, f"GET / HTTP/1.1\nhost: shop.example\n{name}: default/shop/web-next@local"
        )
        assert (status, answer["site"], answer["version"]) == (200, "fra", "v1"), name
        assert not [each for each in answer["headers"] if each.startswith("x-isthmus-")], name
        assert not [each for each in headers if each.startswith("x-isthmus-")], name


async def test_answers_say_nothing_internal(shop: Shop) -> None:
    for path in ("/", "/index.php", "/status/503"):
        status, headers, _ = await exchange(shop, f"GET {path} HTTP/1.1\nhost: shop.example")
        assert status in (200, 308, 503)
        assert not [each for each in headers if each.startswith("x-isthmus-")], path
    status, headers, _ = await exchange(shop, "GET / HTTP/1.1\nhost: nobody.example")
    assert status == 404
    assert not [each for each in headers if each.startswith("x-isthmus-")]


async def test_site_announces_another_sites_endpoint(shop: Shop) -> None:
    """fra's own BGP speaker is told to announce an endpoint of nyc, as whoever broke into fra could do."""
    space = RouteSpace.of(credential(shop, "fra").identity.trust_domain)
    status = await shop.deployment.status()
    before = remote(shop, "ams")
    objects = {name: await shop.deployment.ask("GET", f"/sites/{name}") for name in ("fra", "nyc")}
    cluster = await shop.deployment.ask("GET", "/namespaces/shop/clusters/web")
    number = cluster["system"]["number"]
    forged = [
        EndpointRoute(objects["nyc"]["system"]["number"], 4711, number, 1000, 0),
        EndpointRoute(objects["fra"]["system"]["number"], 4712, number, 1, 0),
    ]
    socket = next(iter(shop.deployment.state("fra").glob("gobgp/*.sock")))
    client = GobgpClient(socket)
    await client.send([emit_announcement(space, route) for route in forged])
    key = "default/Cluster/shop/web"
    await wait_until(lambda: (key, "fra", 4712) in remote(shop, "ams"), 60, "ams hears fra's own route", pause=0.2)
    assert remote(shop, "ams") == before | {(key, "fra", 4712)}, status["revision"]
    shop.deployment.kill_engine("fra", "gobgpd")
    await client.close()
    await wait_until(lambda: remote(shop, "ams") == before, 90, "the forged route is gone", pause=0.5)


async def test_rejected_object_beside_good_ones(shop: Shop, measured: Measure) -> None:
    """A port that somebody else has: that object is reported, everything else is applied and serves."""
    somebody = socket.create_server(("127.0.0.78", 0))
    address, port = somebody.getsockname()
    documents = [
        {
            "apiVersion": "isthmus/v1",
            "kind": "AdvertisePolicy",
            "metadata": {"namespace": "shop", "name": "elsewhere"},
            "spec": {"where": {"site": "ams"}, "port": port, "address": address},
        },
        {
            "apiVersion": "isthmus/v1",
            "kind": "VirtualHost",
            "metadata": {"namespace": "shop", "name": "elsewhere"},
            "spec": {
                "domains": ["elsewhere.example"],
                "routes": [{"name": "pages"}],
                "advertisePolicies": [{"name": "elsewhere"}],
            },
        },
        {
            "apiVersion": "isthmus/v1",
            "kind": "Route",
            "metadata": {"namespace": "shop", "name": "moved"},
            "spec": {"match": [{"path": {"exact": "/index.php"}}], "redirect": {"path": "/home", "code": 307}},
        },
    ]
    async with watching(shop) as watch:
        answer = await shop.deployment.apply(documents)
        await wait_until(
            lambda: (report(shop, "ams")["manifest"]["applied"] or {}).get("revision", 0) >= answer["revision"],
            60,
            "ams has applied what it can",
            pause=0.2,
        )
        rejected = {each["object"] for each in report(shop, "ams")["rejections"]}
        assert "default/AdvertisePolicy/shop/elsewhere" in rejected
        assert rejected <= {"default/AdvertisePolicy/shop/elsewhere", "default/VirtualHost/shop/elsewhere"}
        status, headers, _ = await exchange(shop, "GET /index.php HTTP/1.1\nhost: shop.example")
        assert (status, headers["location"].rpartition("/")[2]) == (307, "home")
        deadline = asyncio.get_running_loop().time() + 60
        while "default/AdvertisePolicy/shop/elsewhere" not in str(await _reported(shop)):
            assert asyncio.get_running_loop().time() < deadline, "the console does not hear of the rejection"
            await asyncio.sleep(0.2)
        await shop.deployment.ask(
            "POST",
            "/apply",
            {
                "documents": [],
                "delete": ["default/VirtualHost/shop/elsewhere", "default/AdvertisePolicy/shop/elsewhere"],
                "dryRun": False,
            },
        )
        await wait_until(lambda: not report(shop, "ams")["rejections"], 60, "nothing is rejected", pause=0.2)
    somebody.close()
    measured(verdict(watch))
    assert (watch.failed, watch.lost) == (0, set())


async def _reported(shop: Shop) -> Any:
    status = await shop.deployment.status()
    return [site["rejections"] for site in status["sites"] if site["name"] == "ams"]


async def test_private_keys_are_private(shop: Shop) -> None:
    """Nothing below a state directory can be read by others."""
    for name in ("console", *shop.regions, *shop.sites):
        root = shop.deployment.state(name)
        assert root.stat().st_mode & 0o077 == 0 or name == "console"
        for folder, folders, files in os.walk(root):  # which passes over what the telemetry store deletes meanwhile
            for path in (Path(folder) / each for each in (*folders, *files)):
                if "key" in path.name or path.suffix in (".token", ".sock") or path.name.startswith("authority"):
                    with contextlib.suppress(FileNotFoundError):
                        assert path.stat().st_mode & 0o077 == 0 or _hidden(path, root), path


def _hidden(path: Path, root: Path) -> bool:
    """Whether a directory above it is closed to others."""
    return any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents if parent.is_relative_to(root))
