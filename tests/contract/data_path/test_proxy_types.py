"""`examples/proxy-types` with real traffic: every proxy type, from an edge site to a data centre."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from isthmus.demo.address import AddressPlan
from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.model import parse_envelope
from isthmus.slice import SliceIndex

from ...port import free_port
from .conftest import StartApp, StartSite
from .echo import Echo, ask, connected
from .rig import App, parse_objects, until_served
from .test_tls import Browser, application, certificate, der, host, policy, started

EXAMPLE = Path(__file__).parents[3] / "examples" / "proxy-types" / "proxy-types.yaml"


def server_context(authority: Authority, directory: Path) -> ssl.SSLContext:
    key = generate_key()
    identity = Identity(trust_domain="isthmus.test", role=Role.SITE, tenant="default", name="mail", node="0")
    (directory / "mail.pem").write_bytes(authority.issue(make_csr(key), identity, datetime.now(UTC)) + emit_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "mail.pem")
    return context


async def test_example(
    pki: Any, start_site: StartSite, client: httpx.AsyncClient, authority: Authority, tmp_path: Path
) -> None:
    plan, issued = AddressPlan(), pki.issue("shop.example")
    documents = plan.resolve(list(yaml.safe_load_all(EXAMPLE.read_text())))
    for each in documents:
        if each["kind"] == "Certificate":  # in place of files at the site
            each["spec"] = {"chain": issued.chain, "privateKey": issued.private_key}
    objects = parse_objects("\n---\n".join(json.dumps(each) for each in documents))
    app = App("shop", port=plan.port(8080), address=plan.host(30))
    tls = server_context(authority, tmp_path)
    echoes = [
        Echo(name, plan.host(30), plan.port(port), tls if name == "mail" else None)
        for name, port in (("database", 5432), ("mail", 8443), ("dns", 53), ("secrets", 8200))
    ]
    index = SliceIndex(objects.values())
    for server in (app, *echoes):
        await server.start()
    try:
        for site in ("ams", "fra"):
            bodies = (index.body(digest) for digest in index.slice_of(f"default/site/{site}").values())
            held = [parse_envelope(body) for body in bodies if body is not None]
            # private keys travel by a way of their own
            own = {obj.key: objects[obj.key] if obj.kind == "Certificate" else obj for obj in held}
            await (await start_site(site)).apply(own)
        response = await until_served(client, f"http://{plan.host(10)}:{plan.port(80)}/", "shop.example")
        assert response.json()["app"] == "shop"
        for name, host, port in (("database", 11, 5432), ("secrets", 12, 8200)):
            async with connected(plan.port(port), plan.host(host)) as connection:
                assert connection.name == name
                assert await connection.say(b"select 1") == b"select 1"
        trust = ssl.create_default_context(cadata=authority.bundle_pem.decode())
        trust.check_hostname = False
        async with connected(plan.port(443), plan.host(10), trust, "imap.mail.example") as connection:
            assert connection.name == "mail"
        # the same address and port, where TLS ends for another name
        browser = Browser(pki, tmp_path)
        response = await browser.get(plan.port(443), "shop.example", address=plan.host(10))
        assert (response.status_code, response.json()["app"]) == (200, "shop")
        assert (await browser.shown(plan.port(443), "shop.example", plan.host(10)))[0] == der(issued)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connected(plan.port(443), plan.host(10), trust, "other.example"):
                pass
        assert await ask(plan.port(53), b"who", plan.host(10)) == b"dns who"
        # the site that is no edge, and is on neither network, takes no client in
        for port in (80, 443, 5432, 8200):
            with pytest.raises(ConnectionError):
                async with connected(plan.port(port), plan.host(20)):
                    pass
    finally:
        await app.stop()
        for echo in echoes:
            echo.stop()


async def test_tls_that_ends_here_and_tls_that_passes_share_a_socket(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    app, port = await start_app("app"), free_port()
    shop, mail = pki.issue("shop.example"), pki.issue("imap.mail.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "mail.pem").write_text(mail.private_key + mail.chain)
    context.load_cert_chain(tmp_path / "mail.pem")
    echo = Echo("mail", tls=context)
    await echo.start()
    text = application(app.port) + certificate("shop", shop) + policy("ams", port) + host("shop")
    text += f"""
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: mail}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {echo.port}}}
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: mail}}
spec: {{endpoints: [{{name: mail}}]}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: mail}}
spec: {{forward: {{clusters: [{{cluster: {{name: mail}}}}]}}}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {{name: mail}}
spec: {{proxy: TCP_SNI, domains: ["*.mail.example"], routes: [{{name: mail}}], advertisePolicies: [{{name: ams}}]}}"""
    node, objects = await started(start_site, text)
    browser = Browser(pki, tmp_path)
    async with connected(port, tls=browser.context, server_name="imap.mail.example") as connection:
        assert connection.name == "mail"
        assert (await browser.get(port, "shop.example")).status_code == 200
        # the other virtual host leaves, and this connection does not notice
        await node.apply({key: obj for key, obj in objects.items() if key.path != "default/shop"})
        assert await connection.say(b"on as before") == b"on as before"
    echo.stop()
