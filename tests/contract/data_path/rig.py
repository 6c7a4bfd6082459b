"""Sites reduced to their data path: real Envoys on loopback, fed by the compiler and the emitter, without any plane."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx

from isthmus.compile import Compiler
from isthmus.compile.intent import Cluster, Intent
from isthmus.emit.envoy import EnvoyEmitter, EnvoyPaths, emit_assignments, emit_secrets, name
from isthmus.emit.envoy.bootstrap import Bootstrap, emit_bootstrap
from isthmus.emit.envoy.tls import emit_certificate, emit_trusted_authority
from isthmus.engine.envoy import Admin, AdsServer, EnvoyProcess, EnvoySettings
from isthmus.health.choice import SiteChoice, SiteState
from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.model import Certificate, ClusterAccess, Object, ObjectKey, System, TrustedAuthority
from isthmus.model.cluster_access import ClusterAccessSpec
from isthmus.model.document import parse_yaml
from isthmus.model.object import Metadata

TRUST_DOMAIN = "isthmus.test"


def parse_objects(text: str) -> dict[ObjectKey, Object]:
    """YAML to objects, numbered as the console would."""
    parsed = parse_yaml(text)
    assert parsed.diagnostics == ()
    return {
        obj.key: obj.with_system(System(created=index, number=index if obj.kind in ("Site", "Cluster") else None))
        for index, obj in enumerate(parsed.objects, 1)
    }


def access(cluster: str, *callers: str) -> Object:
    """Who may call a cluster of the namespace `default`."""
    return ClusterAccess(
        kind="ClusterAccess",
        metadata=Metadata(namespace="default", name=cluster),
        spec=ClusterAccessSpec(callers=callers),
    )


def everybody(cluster: Cluster, subset: str = "") -> list[SiteChoice]:
    """Every member with endpoints of a subset (any when empty) healthy, the own site first, then by name."""
    weights = {
        member: sum(each.weight for each in member.endpoints if not subset or subset in each.subsets)
        for member in sorted(cluster.members, key=lambda member: (not member.own, member.site))
    }
    if subset and cluster.fallback not in (None, subset) and not any(weights.values()):
        return everybody(cluster, cluster.fallback)
    able = ((member.site, weight) for member, weight in weights.items() if weight)
    return [choice(site, index, weight, cluster) for index, (site, weight) in enumerate(able)]


def choice(site: str, order: int, weight: int, cluster: Cluster, state: SiteState = SiteState.HEALTHY) -> SiteChoice:
    return SiteChoice(site, order if cluster.selection == "LOCAL_PREFERRED" else 0, weight, state, "test")


def join_headers(lines: Iterable[Sequence[str]]) -> dict[str, str]:
    """Headers by name in lower case; the values of a repeated one with commas between them."""
    found: dict[str, str] = {}
    for key, value in lines:
        name = key.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


@dataclass
class App:
    """An HTTP/1 application that says who it is and what it was asked."""

    name: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    address: str = "127.0.0.1"
    requests: int = 0
    connections: int = 0
    healthy: bool = True
    delay: float = 0
    held: asyncio.Event | None = None
    """No request is answered before this is set."""
    seen: list[dict[str, str]] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def open(self) -> set[asyncio.StreamWriter]:
        """Connections that have not ended."""
        return self._writers

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = join_headers(line.split(": ", 1) for line in lines[1:] if line)
                if headers.get("upgrade") == "websocket" and "sec-websocket-key" in headers:
                    await self._echo(reader, writer)
                    break
                await reader.readexactly(int(headers.get("content-length", 0)))
                if path == "/healthz":
                    status, body = (200 if self.healthy else 500), b"{}"
                else:
                    self.requests += 1
                    self.seen.append(headers | {":path": path})
                    status = int(headers.get("x-app-status", self.status))
                    body = json.dumps({"app": self.name, "method": method, "path": path, "headers": headers}).encode()
                    await asyncio.sleep(float(headers.get("x-app-delay", self.delay)))
                    if self.held is not None:
                        await self.held.wait()
                extra = "".join(f"{key}: {value}\r\n" for key, value in self.headers.items())
                head = f"HTTP/1.1 {status} Status\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
                writer.write(head.encode() + (b"" if method == "HEAD" else body))
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Accept the upgrade, then say everything back."""
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        while data := await reader.read(1024):
            writer.write(data)
            await writer.drain()


class SiteNode:
    """One site's Envoy."""

    def __init__(self, site: str, directory: Path, authority: Authority, *, log_service: bool = False) -> None:
        directory.mkdir()
        self.site = site
        self.directory = directory
        self.access_log = directory / "access.log"
        self.health_events = directory / "health.log"
        self.compiler = Compiler(ObjectKey("default", "Site", "", site), TRUST_DOMAIN)
        self.emitter = EnvoyEmitter(EnvoyPaths(str(self.access_log), str(self.health_events), log_service))
        self.intent = Intent("default", site)
        self.admin = Admin(directory / "admin.sock")
        self._server = AdsServer(directory / "ads.sock")
        self.log_socket = directory / "log.sock"
        sockets = [str(directory / name) for name in ("ads.sock", "admin.sock", "log.sock")]
        bootstrap = Bootstrap("default", site, "0", *sockets[: 3 if log_service else 2])
        self.process = EnvoyProcess(EnvoySettings(directory, emit_bootstrap(bootstrap)))
        key = generate_key()
        chain = authority.issue(
            make_csr(key),
            Identity(trust_domain=TRUST_DOMAIN, role=Role.SITE, tenant="default", name=site, node="0"),
            datetime.now(UTC),
        )
        self.chain, self.key, self.bundle = chain, emit_key(key), authority.bundle_pem
        self._secrets = emit_secrets(chain, self.key, self.bundle)
        self._objects: set[ObjectKey] = set()

    async def start(self) -> None:
        await self._server.start()

    async def apply(
        self,
        objects: Mapping[ObjectKey, Object],
        choices: Mapping[str, Iterable[SiteChoice]] | None = None,
    ) -> None:
        """Make these the site's objects, and wait until Envoy has taken everything. `choices`: by cluster name."""
        gone: dict[ObjectKey, Object | None] = {key: None for key in self._objects if key not in objects}
        compilation = self.compiler.update({**gone, **objects})
        self._objects = set(objects)
        self.intent = compilation.intent
        resources = {kind: dict(each) for kind, each in self.emitter.emit(self.intent).items()}
        resources[name.SECRET_TYPE] = {**self._secrets, **_secrets_of(objects.values())}
        resources[name.ENDPOINT_TYPE].update(self._assignments(choices or {}))
        push = self._server.set(resources)
        if not self.process.pid:
            await self.process.start()
        assert await asyncio.wait_for(push.acked(), 60) == ()

    async def choose(self, cluster: str, choices: Iterable[SiteChoice], subset: str = "") -> None:
        """Change what health says of one cluster, or of one subset of it."""
        target = f"{cluster}/{subset}" if subset else cluster
        push = self._server.update({name.ENDPOINT_TYPE: self._assignments({target: choices}, only=cluster)})
        assert await asyncio.wait_for(push.acked(), 60) == ()

    def cluster(self, cluster: str) -> Cluster:
        return next(each for each in self.intent.clusters if each.key.name == cluster)

    def _assignments(self, choices: Mapping[str, Iterable[SiteChoice]], only: str = "") -> dict[str, bytes]:
        def chosen(cluster: Cluster, subset: str) -> Iterable[SiteChoice]:
            target = f"{cluster.key.name}/{subset}" if subset else cluster.key.name
            return choices.get(target, everybody(cluster, subset))

        found: dict[str, bytes] = {}
        for each in self.intent.clusters:
            if only in ("", each.key.name):
                found |= emit_assignments(each, partial(chosen, each))
        return found

    async def kill(self) -> None:
        """Take the whole data path away."""
        await self.process.stop(0)

    async def stop(self) -> None:
        await self.admin.close()
        await self._server.stop()
        await self.process.stop(1)


def _secrets_of(objects: Iterable[Object]) -> dict[str, bytes]:
    """What a site's agent serves of certificates and authorities."""
    found: dict[str, bytes] = {}
    for obj in objects:
        if isinstance(obj, Certificate) and obj.spec.chain is not None:  # files of the others are not there
            found |= emit_certificate(obj.key, obj.spec.chain, obj.private["privateKey"].text or "")
        elif isinstance(obj, TrustedAuthority):
            found |= emit_trusted_authority(obj.key, obj.spec.certificates)
    return found


async def until_served(client: httpx.AsyncClient, url: str, host: str, status: int = 200) -> httpx.Response:
    """Poll until a URL answers with a status."""
    last = "no answer"
    deadline = asyncio.get_running_loop().time() + 60
    while asyncio.get_running_loop().time() < deadline:
        with contextlib.suppress(httpx.TransportError):
            response = await client.get(url, headers={"host": host})
            if response.status_code == status:
                return response
            last = f"{response.status_code} {response.text}"
        await asyncio.sleep(0.02)
    raise AssertionError(f"{url} never answered {status}; last: {last}")
