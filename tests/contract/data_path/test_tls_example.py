"""`examples/tls` with real traffic: versions, suites and certificates of clients at two sites; TLS to an endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.demo.address import AddressPlan
from isthmus.demo.example import load_example

from ...conftest import make_certificate
from .conftest import StartApp, StartSite
from .running_example import INGRESS, number_objects
from .test_tls import Browser, der, heard

NAMES = {"shop": "shop.example", "shop-fra": "shop.example", "office": "office.example", "site": "site.internal"}


async def test_example(pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path) -> None:
    plan, internal = AddressPlan(), make_certificate(authority=True)
    issued = {name: (internal if name == "site" else pki).issue(each) for name, each in NAMES.items()}
    documents = load_example("tls", plan)
    for each in documents:
        name = each["metadata"]["name"]
        if each["kind"] == "Certificate":
            each["spec"] = {"chain": issued[name].chain, "privateKey": issued[name].private_key}
        elif each["kind"] == "TrustedAuthority":
            each["spec"] = {"certificates": (internal if name == "internal" else pki).pem}
    backend = internal.issue("backend.internal")
    (tmp_path / "backend.pem").write_text(backend.private_key + backend.chain)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=internal.pem)
    server.verify_mode = ssl.CERT_REQUIRED  # so an answer shows that the site has shown its own
    server.load_cert_chain(tmp_path / "backend.pem")
    await start_app("backend", tls=server, address=plan.address(INGRESS["fra"]), port=plan.port(9443))
    objects = number_objects(documents)
    for site in INGRESS:
        await (await start_site(site)).apply(objects)

    port, (ams, fra) = plan.port(443), (plan.address(each) for each in INGRESS.values())
    anybody, alice = Browser(pki, tmp_path), Browser(pki, tmp_path, pki.issue("alice.example"))
    old = {"maximum_version": ssl.TLSVersion.TLSv1_2}
    for address in (ams, fra):
        await until_answered(anybody, port, address)
    assert await anybody.shown(port, "shop.example", ams) == (der(issued["shop"]), "h2", "TLSv1.3")
    assert await anybody.shown(port, "shop.example", fra) == (der(issued["shop-fra"]), "h2", "TLSv1.2")
    for address in (ams, fra):
        response = await anybody.get(port, "shop.example", address=address)
        assert (response.status_code, "alt-svc" in response.headers) == (200, address == ams)
        assert "x-forwarded-client-cert" not in heard(response)
    with pytest.raises(httpx.ConnectError):
        await Browser(pki, tmp_path, **old).get(port, "shop.example", address=ams)
    for suite, fits in (("ECDHE-ECDSA-AES256-GCM-SHA384", True), ("ECDHE-ECDSA-AES128-GCM-SHA256", False)):
        client = Browser(pki, tmp_path, **old, ciphers=suite)
        if fits:
            assert (await client.get(port, "shop.example", address=fra)).status_code == 200
        else:
            with pytest.raises(httpx.ConnectError):
                await client.get(port, "shop.example", address=fra)
    with pytest.raises(httpx.TransportError):
        await anybody.get(port, "office.example", address=ams)
    response = await alice.get(port, "office.example", address=ams)
    assert "DNS=alice.example" in heard(response)["x-forwarded-client-cert"]


async def until_answered(browser: Browser, port: int, address: str) -> None:
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await browser.get(port, "shop.example", address=address)).status_code == 200:
                    return
            await asyncio.sleep(0.05)
