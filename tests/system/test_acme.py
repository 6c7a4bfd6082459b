"""Certificates from a real ACME server, proven by the sites of the real deployment, and renewed under connections."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from isthmus.demo.deployment import wait_until
from isthmus.demo.example import load_example
from isthmus.demo.shop import Shop

NAME, SITES = "automatic.shop.example", ("ams", "fra")
LIFETIME, RENEW_BEFORE = 24, 14
"""Seconds; renewal is never before half of the lifetime."""
PATH = "/namespaces/shop/certificates/automatic"


@dataclass
class Pebble:
    """A running server, and the names that it resolves."""

    directory: str
    management: str
    names: str
    trusted: ssl.SSLContext

    def root(self) -> str:
        """The authority of what it issues (PEM)."""
        with urllib.request.urlopen(f"{self.management}/roots/0", context=self.trusted, timeout=10) as answer:
            return str(answer.read().decode())

    def resolve(self, name: str, addresses: list[str]) -> None:
        """Have a name lead to addresses."""
        body = json.dumps({"host": name, "addresses": addresses}).encode()
        urllib.request.urlopen(f"{self.names}/add-a", data=body, timeout=10).close()


def answers(url: str, context: ssl.SSLContext | None = None) -> bool:
    try:
        urllib.request.urlopen(url, context=context, timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def pebble(shop: Shop, pki: Any, tmp_path: Path) -> Iterator[Pebble]:
    """A server that asks on the deployment's own ports 80 and 443, and refuses a fifth of all nonces."""
    plan = shop.deployment.plan
    ports = {each: plan.free_port() for each in ("acme", "management", "dns", "names")}
    issued = pki.issue("localhost")
    (tmp_path / "pebble.pem").write_text(issued.chain)
    (tmp_path / "pebble.key").write_text(issued.private_key)
    config = {
        "listenAddress": f"127.0.0.1:{ports['acme']}",
        "managementListenAddress": f"127.0.0.1:{ports['management']}",
        "certificate": str(tmp_path / "pebble.pem"),
        "privateKey": str(tmp_path / "pebble.key"),
        "httpPort": plan.port(80),
        "tlsPort": plan.port(443),
        "certificateValidityPeriod": LIFETIME,
    }
    (tmp_path / "pebble.json").write_text(json.dumps({"pebble": config}))
    environment = {
        **os.environ,
        "PEBBLE_VA_NOSLEEP": "1",
        "PEBBLE_WFE_NONCEREJECT": "20",
        "PEBBLE_AUTHZREUSE": "0",
    }
    names = f"http://127.0.0.1:{ports['names']}"
    dns = f"127.0.0.1:{ports['dns']}"
    commands = [
        ["pebble-challtestsrv", "-dns01", dns, "-management", names.removeprefix("http://"), "-defaultIPv6", "",
         "-http01", "", "-https01", "", "-tlsalpn01", ""],
        ["pebble", "-config", str(tmp_path / "pebble.json"), "-dnsserver", dns],
    ]  # fmt: skip
    assert shutil.which("pebble"), "Debian's package pebble is missing: make setup"
    with (tmp_path / "pebble.log").open("wb") as log:
        running = [subprocess.Popen(each, env=environment, stdout=log, stderr=log) for each in commands]
    try:
        trusted = ssl.create_default_context(cadata=pki.pem)
        directory = f"https://localhost:{ports['acme']}/dir"
        yield Pebble(directory, f"https://localhost:{ports['management']}", names, trusted)
    finally:
        for each in running:
            each.terminate()
            each.wait(10)
        print((tmp_path / "pebble.log").read_text()[-20_000:])


def documents(shop: Shop, pebble: Pebble, pki: Any, challenge: str) -> list[dict[str, Any]]:
    """The example at two sites, with the test's server in place of Let's Encrypt."""
    found = load_example("acme", shop.deployment.plan)
    kinds = {each["kind"]: each for each in found}
    kinds["Certificate"]["spec"]["acme"] |= {
        "directory": pebble.directory,
        "trustedAuthority": {"name": "pebble"},
        "challenge": challenge,
        "renewBefore": f"{RENEW_BEFORE}s",
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


async def shown(address: str, port: int, context: ssl.SSLContext) -> tuple[int, int]:
    """The serial number of the certificate that is shown, and the status of a request."""
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=NAME)
    try:
        writer.write(f"GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n".encode())
        status = int((await reader.readline()).split()[1])
        der = writer.get_extra_info("ssl_object").getpeercert(True)
        return x509.load_der_x509_certificate(der).serial_number, status
    finally:
        writer.close()


async def until_shown(address: str, port: int, context: ssl.SSLContext) -> int:
    """Wait until a site serves the name with a certificate of the server's; its serial number."""
    async with asyncio.timeout(60):
        while True:
            try:
                serial, status = await shown(address, port, context)
                if status == 200:
                    return serial
            except (OSError, ssl.SSLError, IndexError):
                pass
            await asyncio.sleep(0.1)


async def test_a_certificate_is_got_by_a_page_and_renewed_by_a_handshake(
    shop: Shop, pebble: Pebble, pki: Any, measured: Any
) -> None:
    deployment = shop.deployment
    port, loop = deployment.plan.port(443), asyncio.get_running_loop()
    targets = [shop.target(site) for site in SITES]
    await wait_until(lambda: answers(pebble.directory, pebble.trusted), 30, "the ACME server answers")
    await wait_until(lambda: answers(pebble.names), 30, "its names are served")
    await asyncio.to_thread(pebble.resolve, NAME, [target.address for target in targets])
    context = ssl.create_default_context(cadata=await asyncio.to_thread(pebble.root))
    try:
        start = loop.time()
        await deployment.apply(documents(shop, pebble, pki, "HTTP_01"))
        first = {await until_shown(target.address, port, context) for target in targets}
        measured(f"issued and served at {len(SITES)} sites {loop.time() - start:.1f} s after it was declared")
        assert len(first) == 1, "both sites show the same certificate"

        await deployment.apply(documents(shop, pebble, pki, "TLS_ALPN_01"))
        told = await deployment.ask("GET", PATH)
        assert told["status"]["certificate"]["names"] == [NAME], "applying the document again keeps what was issued"
        assert told["status"]["acme"]["state"] == "issued"
        assert "chain" not in told["spec"]
        failed = 0
        async with asyncio.timeout(LIFETIME + 20):
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
        assert failed == 0, "renewal disturbs no connection"
        text = json.dumps([await deployment.ask("GET", path) for path in (PATH, "/revisions", "/status")])
        assert "PRIVATE KEY" not in text
        assert '"who": "acme"' in text
    finally:
        remove = ("VirtualHost/shop/automatic", "AdvertisePolicy/shop/automatic", "AdvertisePolicy/shop/automatic-fra",
                  "Certificate/shop/automatic", "TrustedAuthority/shop/pebble")  # fmt: skip
        await deployment.ask("POST", "/apply", {"documents": [], "delete": [f"default/{each}" for each in remove]})
