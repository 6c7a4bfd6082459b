"""Certificates from a real ACME server, proven by the sites of the real deployment, and renewed under connections."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.contract.acme.pebble import Pebble, running_pebble

from isthmus.demo.example import load_example
from isthmus.demo.shop import Shop

NAME, SITES = "automatic.shop.example", ("ams", "fra")
LIFETIME, RENEW_BEFORE = 36, 20
"""Seconds; renewal is never before half of the lifetime."""
PATH = "/namespaces/shop/certificates/automatic"


@pytest.fixture
def pebble(shop: Shop, pki: Any, tmp_path: Path) -> Iterator[Pebble]:
    """A server that asks on the deployment's own ports 80 and 443."""
    plan = shop.deployment.plan
    with running_pebble(
        tmp_path, pki, plan.free_port, plan.port(80), plan.port(443), certificateValidityPeriod=LIFETIME
    ) as found:
        yield found
    print(found.log.read_text()[-20_000:])


def documents(shop: Shop, pebble: Pebble, pki: Any, challenge: str, **more: str) -> list[dict[str, Any]]:
    """The example at two sites, with the test's server in place of Let's Encrypt."""
    found = load_example("acme", shop.deployment.plan)
    kinds = {each["kind"]: each for each in found}
    kinds["Certificate"]["spec"]["acme"] |= {
        "directory": pebble.directory,
        "trustedAuthority": {"name": "pebble"},
        "challenge": challenge,
        "renewBefore": f"{RENEW_BEFORE}s",
        **more,
    }
    policy = kinds["AdvertisePolicy"]
    second = {**policy, "metadata": {"namespace": "shop", "name": "automatic-fra"}}
    second["spec"] = {**policy["spec"], "where": {"site": "fra", "network": "outside"}}
    kinds["VirtualHost"]["spec"]["advertisePolicies"].append({"name": "automatic-fra"})
    authority = {
        "apiVersion": "isthmus/v1",
        "kind": "TrustedAuthority",
        "metadata": {"namespace": "shop", "name": "pebble"},
        "spec": {"certificates": pki.pem},
    }
    return [authority, second, *found]


REQUEST = f"GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: {{}}\r\n\r\n"


async def shown(address: str, port: int, context: ssl.SSLContext) -> tuple[int, int]:
    """The serial number of the certificate that is shown, and the status of a request."""
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=NAME)
    try:
        writer.write(REQUEST.format("close").encode())
        status = int((await reader.readline()).split()[1])
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        return x509.load_der_x509_certificate(der).serial_number, status
    finally:
        writer.close()


class Kept:
    """A connection that stays open from one request to the next."""

    async def open(self, address: str, port: int, context: ssl.SSLContext) -> Kept:
        self._reader, self._writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=NAME)
        return self

    async def ask(self) -> int:
        """The status of a request."""
        self._writer.write(REQUEST.format("keep-alive").encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line.partition(":")[2] for line in head.splitlines() if line.startswith("content-length:"))
        await self._reader.readexactly(int(length))
        return int(head.split()[1])

    def close(self) -> None:
        self._writer.close()


async def until_shown(address: str, port: int, context: ssl.SSLContext) -> int:
    """Wait until a site serves the name with a certificate of the server's; its serial number."""
    async with asyncio.timeout(120):
        while True:
            try:
                serial, status = await shown(address, port, context)
                if status == 200:
                    return serial
            except (OSError, ssl.SSLError, IndexError):
                pass
            await asyncio.sleep(0.1)


async def now_shown(shop: Shop) -> list[tuple[int, int]]:
    """The serial number that each site shows, whoever it is by and however old it is, and the status of a request."""
    anyhow = ssl.create_default_context()
    anyhow.check_hostname, anyhow.verify_mode = False, ssl.CERT_NONE
    return [await shown(shop.target(site).address, shop.deployment.plan.port(443), anyhow) for site in SITES]


async def until_told(shop: Shop, text: str) -> None:
    """Wait until the status of the certificate says so."""
    async with asyncio.timeout(60):
        while True:
            told = await shop.deployment.ask("GET", PATH)
            if text in str(told["status"]["acme"]):
                return
            await asyncio.sleep(0.1)


async def until_closed(address: str, port: int) -> None:
    """Wait until nothing listens there."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.1)


def _pages() -> int:
    """Port 80 where processes of this user may listen there, else 0."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    return 80 if os.geteuid() == 0 or lowest <= 80 else 0


PAGES = _pages()


async def outlive(shop: Shop, pebble: Pebble, pki: Any, folder: Path) -> None:
    """The server goes away while a certificate is due, and another comes: that asks on port 80 itself, which the sites
    open for it, since the deployment's plaintext virtual hosts are on another port."""
    plan, targets = shop.deployment.plan, [shop.target(site) for site in SITES]
    await asyncio.to_thread(pebble.stop)
    before = await now_shown(shop)
    await shop.deployment.apply(documents(shop, pebble, pki, "TLS_ALPN_01", keyType="RSA_2048"))
    await until_told(shop, "cannot be reached")
    assert await now_shown(shop) == before, "what is due while the server is away stays as it is"
    assert {status for _, status in before} == {200}
    folder.mkdir()
    with running_pebble(folder, pki, plan.free_port, PAGES or plan.port(80), plan.port(443)) as other:
        await asyncio.to_thread(other.resolve, NAME, [target.address for target in targets])
        trusted = ssl.create_default_context(cadata=await asyncio.to_thread(other.root))
        await shop.deployment.apply(documents(shop, other, pki, "HTTP_01"))
        assert len({await until_shown(target.address, plan.port(443), trusted) for target in targets}) == 1
    for target in targets if PAGES else ():
        await until_closed(target.address, PAGES)


@pytest.mark.timeout(360)  # the first of the folder: the deployment is started for it
async def test_a_certificate_is_got_by_a_page_and_renewed_by_a_handshake(
    shop: Shop, pebble: Pebble, pki: Any, measured: Any, tmp_path: Path
) -> None:
    """And what is served is served on while the server is away."""
    deployment = shop.deployment
    port, loop = deployment.plan.port(443), asyncio.get_running_loop()
    targets = [shop.target(site) for site in SITES]
    await asyncio.to_thread(pebble.resolve, NAME, [target.address for target in targets])
    context = ssl.create_default_context(cadata=await asyncio.to_thread(pebble.root))
    try:
        start = loop.time()
        with socket.create_server((targets[0].address, PAGES)):  # as what leads port 80 to another one of the address
            await deployment.apply(documents(shop, pebble, pki, "HTTP_01"))
            first = {await until_shown(target.address, port, context) for target in targets}
        measured(f"issued and served at {len(SITES)} sites {loop.time() - start:.1f} s after it was declared")
        assert len(first) == 1, "both sites show the same certificate"

        kept = [await Kept().open(target.address, port, context) for target in targets]
        assert [await each.ask() for each in kept] == [200, 200]
        await deployment.apply(documents(shop, pebble, pki, "TLS_ALPN_01"))
        told = await deployment.ask("GET", PATH)
        assert told["status"]["certificate"]["names"] == [NAME], "applying the document again keeps what was issued"
        assert told["status"]["acme"]["state"] == "issued"
        assert "chain" not in told["spec"]
        failed = 0
        async with asyncio.timeout(LIFETIME + 60):
            while True:
                seen = set()
                for target in targets:
                    try:
                        serial, status = await shown(target.address, port, context)
                        failed += status != 200
                        seen.add(serial)
                    except (OSError, ssl.SSLError, IndexError):
                        failed += 1
                if seen and not seen & first:
                    break
                await asyncio.sleep(0.1)
        assert failed == 0, "renewal disturbs no new connection"
        assert [await each.ask() for each in kept] == [200, 200], "nor one that was open before"

        await outlive(shop, pebble, pki, tmp_path / "other")
        assert [await each.ask() for each in kept] == [200, 200], "a port that is opened for a while disturbs nothing"
        for each in kept:
            each.close()
        text = json.dumps([await deployment.ask("GET", path) for path in (PATH, "/revisions", "/status")])
        assert "PRIVATE KEY" not in text
        assert '"who": "acme"' in text
    finally:
        remove = ("VirtualHost/shop/automatic", "AdvertisePolicy/shop/automatic", "AdvertisePolicy/shop/automatic-fra",
                  "Certificate/shop/automatic", "TrustedAuthority/shop/pebble")  # fmt: skip
        await deployment.ask("POST", "/apply", {"documents": [], "delete": [f"default/{each}" for each in remove]})
