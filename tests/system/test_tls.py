"""TLS on the real deployment: the example's virtual host, its key where it belongs, and nowhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import ssl
from pathlib import Path
from typing import Any

from isthmus.demo.deployment import CONSOLE, wait_until
from isthmus.demo.example import load_example
from isthmus.demo.shop import Shop

SITE, NAME = "ams", "secure.shop.example"


def example(shop: Shop, issued: Any) -> list[dict[str, Any]]:
    """The example, with its chain and key given to the console."""
    documents = load_example("https", shop.deployment.plan)
    for each in documents:
        if each["kind"] == "Certificate":
            each["spec"] = {"chain": issued.chain, "privateKey": issued.private_key}
    return documents


def files(directory: Path) -> bytes:
    """All that a process has on disk, but for the console's key to its secrets. Sockets and pipes are left out."""
    kept = []
    for folder, _, names in os.walk(directory):  # which passes over what goes while it looks, as the store's parts do
        for path in (Path(folder, name) for name in sorted(names) if name != "secrets.key"):
            with contextlib.suppress(FileNotFoundError):
                kept.append(path.read_bytes() if path.is_file() else b"")
    return b"".join(kept)


async def shown(address: str, port: int, context: ssl.SSLContext) -> tuple[bytes, int]:
    """The certificate (DER) that the site shows, and the status of a request."""
    reader, writer = await asyncio.open_connection(address, port, ssl=context, server_hostname=NAME)
    try:
        writer.write(f"GET / HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n".encode())
        status = int((await reader.readline()).split()[1])
        return writer.get_extra_info("ssl_object").getpeercert(True), status
    finally:
        writer.close()


async def test_a_private_key_reaches_the_one_site_that_needs_it_and_nobody_else(shop: Shop, pki: Any) -> None:
    deployment, context = shop.deployment, ssl.create_default_context(cadata=pki.pem)
    first, second = pki.issue(NAME), pki.issue(NAME)
    target = shop.target(SITE)
    port = deployment.plan.port(443)
    for issued in (first, second):
        await deployment.apply(example(shop, issued))
        async with asyncio.timeout(60):
            while True:
                try:
                    certificate, status = await shown(target.address, port, context)
                    if certificate == ssl.PEM_cert_to_DER_cert(issued.pem) and status == 200:
                        break
                except (OSError, ssl.SSLError, IndexError):
                    pass
                await asyncio.sleep(0.05)
    sealed = b"SealedCertificate/shop/secure"
    for name in (CONSOLE, *shop.regions, *shop.sites):
        kept = files(deployment.state(name))
        for issued in (first, second):
            assert issued.private_key.splitlines()[1].encode() not in kept, f"{name} has a private key on disk"
        if name in shop.sites:
            assert (sealed in kept) is (name == SITE), f"the sealed copy at {name}"
    region = b"".join(files(deployment.state(name)) for name in shop.regions)
    assert sealed in region, "it went through the regions, which cannot open it"
    answers = [
        await deployment.ask("GET", "/certificates"),
        await deployment.ask("GET", "/revisions"),
        await deployment.ask("GET", "/status"),
        await deployment.ask("GET", "/namespaces/shop/certificates/secure"),
    ]
    text = json.dumps(answers)
    assert all(issued.private_key.splitlines()[1] not in text for issued in (first, second))
    certificate = answers[-1]
    assert certificate["spec"]["privateKey"].startswith("kept:")

    deployment.kill_engine(SITE, "envoy")
    await wait_until(lambda: deployment.engine(SITE, "envoy") is not None, 60, "Envoy was started again")
    async with asyncio.timeout(60):
        while True:
            try:
                assert (await shown(target.address, port, context))[1] == 200
                break
            except (OSError, ssl.SSLError, IndexError):
                await asyncio.sleep(0.05)
