"""TLS of clients through real Envoys: who is shown what, who is let in, and what the application hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import pytest
from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

from isthmus.model import Object, ObjectKey

from ...conftest import make_certificate
from ...port import free_port
from ..envoy.material import until
from .conftest import StartApp, StartSite
from .rig import SiteNode, access, parse_objects


def indented(text: str) -> str:
    return "\n      ".join(["|", *text.splitlines()])


def certificate(name: str, issued: Any) -> str:
    return f"""
apiVersion: isthmus/v1
kind: Certificate
metadata: {{name: {name}}}
spec:
  chain: {indented(issued.chain)}
  privateKey: {indented(issued.private_key)}
---"""


def authority(name: str, issued: Any) -> str:
    return f"""
apiVersion: isthmus/v1
kind: TrustedAuthority
metadata: {{name: {name}}}
spec:
  certificates: {indented(issued.pem)}
---"""


def host(name: str, tls: str = "", policies: str = "ams") -> str:
    return f"""
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {{name: {name}}}
spec:
  proxy: HTTPS
  domains: [{name}.example]
  routes: [{{name: all}}]
  advertisePolicies: [{{name: {policies}}}]
  tls: {{certificates: [{{name: {name}}}]{tls}}}
---"""


def policy(name: str, port: int, tls: str = "") -> str:
    return f"""
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {{name: {name}}}
spec: {{where: {{site: ams}}, address: 127.0.0.1, port: {port}{tls}}}
---"""


def application(port: int, site: str = "ams", fabric: dict[str, int] | None = None, cluster: str = "") -> str:
    addresses = {name: f"{{address: 127.0.0.1, port: {each}}}" for name, each in (fabric or {}).items()}
    sites = [
        f"""
apiVersion: isthmus/v1
kind: Site
metadata: {{name: {name}}}
spec: {{fabric: {{addresses: [{addresses.get(name, "")}]}}}}
---"""
        for name in ("ams", "fra")
    ]
    return (
        "".join(sites)
        + f"""
apiVersion: isthmus/v1
kind: Endpoint
metadata: {{name: app}}
spec: {{where: {{site: {site}}}, address: 127.0.0.1, port: {port}}}
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {{name: web}}
spec: {{endpoints: [{{name: app}}]{cluster}}}
---
apiVersion: isthmus/v1
kind: Route
metadata: {{name: all}}
spec: {{forward: {{clusters: [{{cluster: {{name: web}}}}]}}}}
---"""
    )


class Browser:
    """A client that trusts one authority, and may show a certificate."""

    def __init__(self, pki: Any, directory: Path, shown: Any = None, **settings: Any) -> None:
        self.context = ssl.create_default_context(cadata=pki.pem)
        for name, value in settings.items():
            if name == "ciphers":
                self.context.set_ciphers(value)
            else:
                setattr(self.context, name, value)
        if shown is not None:
            file = directory / f"{id(shown)}.pem"
            file.write_text(shown.private_key + shown.chain)
            self.context.load_cert_chain(file)

    async def get(
        self, port: int, name: str, *, http2: bool = True, address: str = "127.0.0.1", **headers: str
    ) -> httpx.Response:
        """A request on a connection of its own."""
        async with httpx.AsyncClient(verify=self.context, http2=http2, timeout=60) as client:
            return await ask(client, port, name, address, **headers)

    async def shown(self, port: int, name: str, address: str = "127.0.0.1") -> tuple[bytes, str | None, str | None]:
        """The server's certificate (DER), the protocol inside, and the version of TLS."""
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        _, writer = await asyncio.open_connection(address, port, ssl=self.context, server_hostname=name)
        tls = writer.get_extra_info("ssl_object")
        found = tls.getpeercert(True), tls.selected_alpn_protocol(), tls.version()
        writer.close()
        return found


async def ask(
    client: httpx.AsyncClient, port: int, name: str, address: str = "127.0.0.1", **headers: str
) -> httpx.Response:
    url = f"https://{address}:{port}/"
    return await client.get(url, headers={"host": name, **headers}, extensions={"sni_hostname": name})


def der(issued: Any) -> bytes:
    return ssl.PEM_cert_to_DER_cert(issued.pem)


def heard(response: httpx.Response) -> dict[str, str]:
    """The headers that the application was sent."""
    found: dict[str, str] = json.loads(response.text)["headers"]
    return found


async def started(start_site: StartSite, text: str) -> tuple[SiteNode, dict[ObjectKey, Object]]:
    objects = parse_objects(text)
    node = await start_site("ams")
    await node.apply(objects)
    return node, objects


async def test_each_name_has_its_certificate_and_its_policy(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    """Certificates by server name, HTTP/1.1 and HTTP/2, versions and suites, another certificate at another policy."""
    app, port, other, strict = await start_app("app"), free_port(), free_port(), free_port()
    shop, region, middle = pki.issue("shop.example"), pki.issue("shop.example"), pki.issue("Between", authority=True)
    mail = middle.issue("mail.example")
    text = application(app.port) + certificate("shop", shop) + certificate("mail", mail) + certificate("cn", region)
    text += policy("ams", port) + policy("china", other, ", tls: {certificates: [{name: cn}], minVersion: TLSv1.3}")
    suites = f", tls: {{certificates: [{{name: cn}}], maxVersion: TLSv1.2, cipherSuites: [{SUITE}]}}"
    text += policy("old", strict, suites)
    text += host("shop") + host("mail") + host("shop", policies="china").replace("name: shop}\nspec", "name: cn}\nspec")
    text += host("shop", policies="old").replace("name: shop}\nspec", "name: old}\nspec")
    await started(start_site, text)
    browser = Browser(pki, tmp_path)
    assert await browser.shown(port, "shop.example") == (der(shop), "h2", "TLSv1.3")
    assert (await browser.shown(port, "mail.example"))[0] == der(mail)
    assert (await browser.shown(other, "shop.example"))[0] == der(region)
    for http2, version in ((True, "HTTP/2"), (False, "HTTP/1.1")):
        response = await browser.get(port, "shop.example", http2=http2)
        assert (response.status_code, response.http_version) == (200, version)
        assert heard(response)["x-forwarded-proto"] == "https"
    async with httpx.AsyncClient(verify=browser.context, http2=True) as client:
        assert (await ask(client, port, "shop.example")).status_code == 200
        wrong = await client.get(
            f"https://127.0.0.1:{port}/", headers={"host": "mail.example"}, extensions={"sni_hostname": "shop.example"}
        )
        assert wrong.status_code == 421, "a connection made for one virtual host does not reach another"
    with pytest.raises(httpx.ConnectError):
        await browser.get(port, "unknown.example")
    old = Browser(pki, tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2)
    assert (await old.shown(port, "shop.example"))[2] == "TLSv1.2"
    with pytest.raises(httpx.ConnectError):
        await old.get(other, "shop.example")
    assert (await browser.shown(strict, "shop.example"))[2] == "TLSv1.2"
    weak = Browser(pki, tmp_path, maximum_version=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256")
    with pytest.raises(httpx.ConnectError):
        await weak.get(strict, "shop.example")


SUITE = "ECDHE-ECDSA-AES256-GCM-SHA384"


async def test_clients_show_certificates_and_the_application_hears_whose_across_sites(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    app, port, fabric = await start_app("app"), free_port(), {"ams": free_port(), "fra": free_port()}
    names = ("must", "may", "none")
    text = application(app.port, "fra", fabric) + policy("ams", port) + authority("staff", pki)
    text += "".join(certificate(name, pki.issue(f"{name}.example")) for name in names)
    wanted = ", clientCertificates: {trustedAuthority: {name: staff}%s}"
    text += host("must", wanted % "") + host("may", wanted % ", mode: optional") + host("none")
    objects = parse_objects(text)
    ams, fra = await start_site("ams"), await start_site("fra")
    allowed = access("web", "ams")
    await fra.apply({**objects, allowed.key: allowed})
    await ams.apply(objects)
    forged = {"x-forwarded-client-cert": "By=forged;Subject=root"}
    anybody = Browser(pki, tmp_path)
    alice = Browser(pki, tmp_path, pki.issue("alice.example", uri="spiffe://staff/alice"))
    stranger = Browser(pki, tmp_path, make_certificate(authority=True).issue("alice.example"))
    for name in names:
        response = await alice.get(port, f"{name}.example", **forged)
        assert response.status_code == 200, response.text
        said = heard(response).get("x-forwarded-client-cert", "")
        assert "forged" not in said
        assert ("URI=spiffe://staff/alice" in said) is (name != "none")
        assert ("DNS=alice.example" in said) is (name != "none")
    for name in ("may", "none"):
        response = await anybody.get(port, f"{name}.example", **forged)
        assert response.status_code == 200
        assert "x-forwarded-client-cert" not in heard(response)
    with pytest.raises(httpx.TransportError):
        await anybody.get(port, "must.example")
    for name in ("must", "may"):
        with pytest.raises(httpx.TransportError):
            await stranger.get(port, f"{name}.example")


async def test_a_certificate_is_replaced_under_load_and_no_connection_notices(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    app, port = await start_app("app"), free_port()
    first, second = pki.issue("shop.example"), pki.issue("shop.example")

    def objects(issued: Any) -> dict[ObjectKey, Object]:
        text = application(app.port) + policy("ams", port) + certificate("shop", issued) + host("shop")
        return parse_objects(text)

    node = await start_site("ams")
    await node.apply(objects(first))
    browser, counts, stop = Browser(pki, tmp_path), {"kept": 0, "new": 0}, asyncio.Event()

    async def keep() -> None:
        """All on one connection."""
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=browser.context, server_hostname="shop.example"
        )
        while not stop.is_set():
            writer.write(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
            counts["kept"] += 1
        writer.close()

    async def renew() -> None:
        while not stop.is_set():
            assert (await browser.get(port, "shop.example")).status_code == 200
            counts["new"] += 1

    async with asyncio.TaskGroup() as group:
        for work in (keep, keep, renew, renew):
            group.create_task(work())
        for issued in (second, first, second):
            await node.apply(objects(issued))
            while (await browser.shown(port, "shop.example"))[0] != der(issued):
                assert not stop.is_set()
            goal = counts["new"] + 10, counts["kept"] + 50
            await until(lambda goal=goal: counts["new"] >= goal[0] and counts["kept"] >= goal[1])
        stop.set()
    dump = json.dumps(await node.admin.config_dump())
    assert "certificate/default/default/shop" in dump
    for issued in (first, second):
        assert b64encode(issued.private_key.encode()).decode() not in dump
        assert issued.private_key.splitlines()[1] not in dump


async def test_connections_to_endpoints_are_verified_and_may_show_a_certificate(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    """At the egress site, for requests of another site; the health check goes the same way."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pki.pem)
    server.verify_mode = ssl.CERT_REQUIRED
    shown, client = pki.issue("backend.example", "127.0.0.1"), pki.issue("site.example")
    (tmp_path / "server.pem").write_text(shown.private_key + shown.chain)
    server.load_cert_chain(tmp_path / "server.pem")
    server.set_alpn_protocols(["http/1.1"])
    asked: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked.append(name)
    app, port, fabric = await start_app("app", tls=server), free_port(), {"ams": free_port(), "fra": free_port()}
    check = """
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: http}
spec: {http: {path: /healthz}, interval: 50ms, timeout: 60s, healthyThreshold: 1}
---"""
    fixed = policy("ams", port) + certificate("shop", pki.issue("shop.example")) + host("shop")
    fixed += check + certificate("site", client) + authority("good", pki)
    fixed += authority("bad", make_certificate(authority=True))
    ams, fra = await start_site("ams"), await start_site("fra")
    browser, allowed = Browser(pki, tmp_path), access("web", "ams")

    async def status(tls: str, protocol: str = "HTTP1") -> int:
        cluster = f", tls: {{{tls}}}, protocol: {protocol}, healthChecks: [{{name: http}}]"
        objects = parse_objects(application(app.port, "fra", fabric, cluster) + fixed)
        await fra.apply({**objects, allowed.key: allowed})
        await ams.apply(objects)
        return (await browser.get(port, "shop.example")).status_code

    certified = "certificate: {name: site}, "
    good = certified + "trustedAuthority: {name: good}, "
    for tls, protocol, expected in (
        (good + "sni: backend.example", "HTTP1", 200),
        (good + "sni: backend.example", "AUTO", 200),
        (good + "subjectNames: [127.0.0.1]", "HTTP1", 200),
        (good + "sni: other.example, subjectNames: [backend.example]", "HTTP1", 200),
        (good + "sni: other.example", "HTTP1", 503),
        (certified + "trustedAuthority: {name: bad}, sni: backend.example", "HTTP1", 503),
        (certified + "sni: backend.example", "HTTP1", 503),  # the system trusts none of these
        (certified + "verify: false", "HTTP1", 200),
        ("trustedAuthority: {name: good}, sni: backend.example", "HTTP1", 503),
        (good + "sni: backend.example, maxVersion: TLSv1.2", "HTTP1", 200),
    ):
        for _ in range(100):  # the first health check may be under way
            found = await status(tls, protocol)
            if found == expected:
                break
            await asyncio.sleep(0.05)
        assert found == expected, tls
    assert {"backend.example", "other.example", None} <= set(asked)


class Quic(QuicConnectionProtocol):
    """A client that speaks HTTP/3 and gathers the one answer."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.http = H3Connection(self._quic)
        self.headers: dict[str, str] = {}
        self.body = b""
        self.ended = asyncio.Event()

    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self.http.handle_event(event):
            if isinstance(each, HeadersReceived):
                self.headers = {key.decode(): value.decode() for key, value in each.headers}
            elif isinstance(each, DataReceived):
                self.body += each.data
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                self.ended.set()

    async def get(self, host: str, body: bytes = b"") -> tuple[dict[str, str], bytes]:
        stream = self._quic.get_next_available_stream_id()
        head = {
            ":method": "POST",
            ":scheme": "https",
            ":authority": host,
            ":path": "/",
            "content-length": str(len(body)),
        }
        self.http.send_headers(stream, [(key.encode(), value.encode()) for key, value in head.items()])
        self.http.send_data(stream, body, end_stream=True)
        self.transmit()
        async with asyncio.timeout(60):
            await self.ended.wait()
        return self.headers, self.body


async def test_a_certificate_that_is_not_there_holds_up_no_other_for_long(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    app, port = await start_app("app"), free_port()
    text = application(app.port) + policy("ams", port) + certificate("shop", pki.issue("shop.example"))
    text += """
apiVersion: isthmus/v1
kind: Certificate
metadata: {name: later}
spec: {chainFile: /later.pem, privateKeyFile: /later.key}
---"""
    text += host("shop") + host("later")
    await started(start_site, text)
    browser = Browser(pki, tmp_path)
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(httpx.TransportError):
                assert (await browser.get(port, "shop.example")).status_code == 200
                break
            await asyncio.sleep(0.05)
    with pytest.raises(httpx.TransportError):
        await browser.get(port, "later.example")


async def test_http3_is_served_beside_tls_and_said_so(
    pki: Any, start_site: StartSite, start_app: StartApp, tmp_path: Path
) -> None:
    app, port = await start_app("app"), free_port()
    issued = {name: pki.issue(f"{name}.example") for name in ("shop", "mail", "plain")}
    text = application(app.port) + policy("ams", port)
    text += "".join(certificate(name, each) for name, each in issued.items())
    text += host("shop", ", http3: true") + host("mail", ", http3: true") + host("plain")
    await started(start_site, text)
    told = f'h3=":{port}"; ma=86400'

    async def ask_quic(name: str, body: bytes = b"", patience: float = 60) -> tuple[dict[str, str], bytes]:
        configuration = QuicConfiguration(
            alpn_protocols=H3_ALPN, is_client=True, server_name=f"{name}.example", idle_timeout=patience
        )
        configuration.load_verify_locations(cadata=pki.pem.encode())
        async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Quic) as client:
            assert isinstance(client, Quic)
            return await client.get(f"{name}.example", body)

    browser = Browser(pki, tmp_path)
    for name in ("shop", "mail"):
        assert (await browser.get(port, f"{name}.example")).headers["alt-svc"] == told
        headers, body = await ask_quic(name, b"x" * 100_000)
        assert (headers[":status"], headers["alt-svc"]) == ("200", told)
        assert json.loads(body)["headers"]["host"] == f"{name}.example"
        assert json.loads(body)["headers"]["x-forwarded-proto"] == "https"
    assert "alt-svc" not in (await browser.get(port, "plain.example")).headers
    with pytest.raises(ConnectionError):
        await ask_quic("plain", patience=5)
