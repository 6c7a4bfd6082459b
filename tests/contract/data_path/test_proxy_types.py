"""`examples/proxy-types` with real traffic: every proxy type, from an edge site to a data centre."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
import yaml

from isthmus.demo.address import AddressPlan
from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.model import parse_envelope
from isthmus.slice import SliceIndex

from .conftest import StartSite
from .echo import Echo, ask, connected
from .rig import App, parse_objects, until_served

EXAMPLE = Path(__file__).parents[3] / "examples" / "proxy-types" / "proxy-types.yaml"


def server_context(authority: Authority, directory: Path) -> ssl.SSLContext:
    key = generate_key()
    identity = Identity(trust_domain="isthmus.test", role=Role.SITE, tenant="default", name="mail", node="0")
    (directory / "mail.pem").write_bytes(authority.issue(make_csr(key), identity, datetime.now(UTC)) + emit_key(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "mail.pem")
    return context


async def test_example(start_site: StartSite, client: httpx.AsyncClient, authority: Authority, tmp_path: Path) -> None:
    plan = AddressPlan()
    documents = plan.resolve(list(yaml.safe_load_all(EXAMPLE.read_text())))
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
            await (await start_site(site)).apply({obj.key: obj for obj in held})
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
