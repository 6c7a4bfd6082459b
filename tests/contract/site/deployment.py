"""A small deployment around real site agents: an authority, one region with its stream and its reflector, sites.

The region is made of the product's own parts (hub, stream server, reflector, tunnels) with a shelf that gives every
site all objects; what a site does not need has no effect on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from isthmus.emit.gobgp.address import session_address
from isthmus.engine.gobgp.reflector import Reflector, ReflectorConfig
from isthmus.engine.gobgp.tunnel import TunnelServer
from isthmus.engine.life import process_life
from isthmus.health.codec import RouteSpace
from isthmus.identity import (
    Authority,
    Credential,
    CredentialDirectory,
    Identity,
    RenewalRequest,
    Role,
    Signer,
    generate_key,
    make_csr,
    parse_identity,
    seal,
    sealing_place,
)
from isthmus.identity.credential import TrustList
from isthmus.model import ObjectKey, SealedSecret, sealed_key
from isthmus.model.cluster_access import ClusterAccess, ClusterAccessSpec
from isthmus.model.document import parse_documents
from isthmus.model.envelope import content_hash, emit_envelope
from isthmus.model.object import Metadata, Object, System
from isthmus.model.sealed import SealedSpec
from isthmus.protocol import (
    AppliedReport,
    Chain,
    Hub,
    HubHandler,
    State,
    StatusReport,
    StreamServer,
    Version,
    make_trust,
)
from isthmus.protocol.manifest import sign_state, sign_successor

from ...port import free_port

DOMAIN = "test.isthmus"
NUMBERED = ("Site", "Cluster", "Region")


class Shelf(HubHandler):
    """Manifests and objects for the sites, and what came back from them."""

    def __init__(self, signer: Signer, authority: Authority) -> None:
        self.signer = signer
        self.authority = authority
        self.chains: dict[str, Chain] = {}
        self.bodies: dict[str, bytes] = {}
        self.acks: dict[str, AppliedReport] = {}
        self.reports: dict[str, dict[str, Any]] = {}

    def chain(self, subject: str, peer: str) -> Chain | None:
        return self.chains.get(subject) if subject == peer else None

    def body(self, digest: str) -> bytes | None:
        return self.bodies.get(digest)

    def subjects(self, peer: str) -> Collection[str]:
        return [peer] if peer in self.chains else []

    def audience(self, subject: str) -> Collection[str]:
        return [subject]

    def publish(self, state: State) -> None:
        before = self.chains.get(state.subject)
        chain = sign_state(state, self.signer) if before is None else sign_successor(before, state, self.signer)
        self.chains[state.subject] = chain

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        return self.authority.renew(request, datetime.now(UTC))[1]

    def applied(self, via: Identity, report: AppliedReport) -> None:
        self.acks[report.subject] = report

    def status(self, via: Identity, report: StatusReport) -> None:
        self.reports[report.subject] = json.loads(report.body)


@dataclass
class Site:
    """One site agent, as a process of its own."""

    name: str
    state: Path
    log: Path
    metrics: int = field(default_factory=lambda: free_port())
    process: asyncio.subprocess.Process | None = None
    pids: list[int] = field(default_factory=list)

    async def start(self) -> None:
        code = (
            "import asyncio, sys; from pathlib import Path\n"
            "from isthmus.site.process import run\n"
            "from isthmus.site.settings import SiteSettings\n"
            "metrics = ('127.0.0.1', int(sys.argv[2]))\n"
            "asyncio.run(run(SiteSettings(state=Path(sys.argv[1]), metrics=metrics)))\n"
        )
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", code, str(self.state), str(self.metrics), stdout=output, stderr=output
            )

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the agent's end."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()

    async def status(self) -> dict[str, Any]:
        """The report, from the local socket. Raises httpx.HTTPError while there is none."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.state / "site.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://site", timeout=60) as client:
            response = await client.get("/status")
            return dict(response.raise_for_status().json())

    async def explain(self, **question: Any) -> tuple[int, dict[str, Any]]:
        """Status and answer of the local socket."""
        transport = httpx.AsyncHTTPTransport(uds=str(self.state / "site.sock"))
        async with httpx.AsyncClient(transport=transport, base_url="http://site", timeout=60) as client:
            response = await client.post("/explain", json=question)
            return response.status_code, dict(response.json())

    def engines(self) -> list[int]:
        """Pids of the living engines, from their state files."""
        pids = []
        for engine in ("envoy", "gobgp"):
            with contextlib.suppress(OSError, ValueError):
                pid = json.loads((self.state / engine / "process.json").read_bytes())["pid"]
                if process_life(pid) is not None:
                    pids.append(pid)
        return pids


class Deployment:
    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="is-"))
        self.authority = Authority.create(DOMAIN, datetime.now(UTC))
        self.signer = Signer.create()
        self.trust = TrustList(1, self.authority.bundle_pem, (self.signer.public_pem,))
        self.shelf = Shelf(self.signer, self.authority)
        self.sites: dict[str, Site] = {}
        self.revision = 0
        self.numbers: dict[str, int] = {}
        self.region_credentials = CredentialDirectory(self.root / "region")
        self.region_credentials.save(self.issue(Identity(DOMAIN, Role.REGION, "default", "eu")))
        self.port = free_port()
        self.bgp_port = free_port()
        self.hub: Hub | None = None
        self.server: StreamServer | None = None
        self.reflector: Reflector | None = None
        self.tunnels: TunnelServer | None = None

    def issue(self, identity: Identity, age: timedelta = timedelta(0)) -> Credential:
        key = generate_key()
        return Credential(key, self.authority.issue(make_csr(key), identity, datetime.now(UTC) - age), self.trust)

    # ---- the region

    async def start_region(self) -> None:
        self.hub = Hub(
            self.shelf, self.shelf, trust=make_trust(self.signer, self.trust), release="test", roles={Role.SITE}
        )
        self.server = StreamServer(self.hub, self.region_credentials.load)
        await self.server.start(f"127.0.0.1:{self.port}")
        self.reflector = Reflector(self.root / "reflector", RouteSpace.of(DOMAIN), self.numbers.get("eu", 1))
        await self._reflect()
        await self.reflector.start()
        self.tunnels = TunnelServer(
            self.region_credentials.server_context, self._neighbour, lambda: self.reflector and self.reflector.door
        )
        await self.tunnels.start("127.0.0.1", self.bgp_port)

    async def stop_region(self) -> None:
        if self.tunnels is not None:
            await self.tunnels.stop()
        if self.reflector is not None:
            await self.reflector.stop()
        if self.server is not None:
            await self.server.stop(0)
        self.hub = self.server = self.reflector = self.tunnels = None

    async def _reflect(self) -> None:
        if self.reflector is not None:
            states = [chain.state for chain in self.shelf.chains.values()]
            sites = {state.site_number: state.import_clusters for state in states}
            await self.reflector.apply(ReflectorConfig(sites=sites))

    def _neighbour(self, uri: str) -> str | None:
        identity = parse_identity(uri)
        number = self.numbers.get(f"default/Site//{identity.name}")
        return session_address(number) if identity.role is Role.SITE and number else None

    # ---- sites

    def add_site(self, name: str, age: timedelta = timedelta(0)) -> Site:
        site = Site(name, self.root / name, self.root / f"{name}.log")
        identity = Identity(DOMAIN, Role.SITE, "default", name)
        directory = site.state / "identity"
        credentials = CredentialDirectory(directory)
        credentials.save(self.issue(identity, age))
        credentials.offered_sealing_key()
        credentials.confirm_sealing_key()
        membership = {
            "subject": identity.subject,
            "trust_domain": DOMAIN,
            "object": {},
            "regions": [{"name": "eu", "address": "127.0.0.1", "port": self.port, "bgp_port": self.bgp_port}],
            "console": {"address": "127.0.0.1", "port": 1},
        }
        (directory / "membership.json").write_text(json.dumps(membership))
        self.sites[name] = site
        return site

    async def publish(self, documents: list[dict[str, Any]], raw: dict[str, bytes] | None = None) -> int:
        """Give every site these objects (and `raw` envelopes by key); returns the revision."""
        region = {"address": "127.0.0.1", "port": self.port, "bgpPort": self.bgp_port}
        parsed = parse_documents([*documents, document("Region", "eu", region)], "default")
        assert not parsed.diagnostics, parsed.diagnostics
        objects = [self._numbered(obj) for obj in parsed.objects]
        objects += [self._access(obj) for obj in objects if obj.kind == "Cluster"]
        bodies = {str(obj.key): emit_envelope(obj) for obj in objects} | (raw or {})
        self.shelf.bodies |= {content_hash(body): body for body in bodies.values()}
        self.revision += 1
        clusters = tuple(obj.system.number or 0 for obj in objects if obj.kind == "Cluster")
        entries = {key: content_hash(body) for key, body in bodies.items()}
        for name in self.sites:
            state = State(
                f"default/site/{name}",
                Version(1, self.revision),
                entries,
                self.numbers[f"default/Site//{name}"],
                clusters,
                ("eu",),
            )
            self.shelf.publish(state)
        await self._reflect()
        if self.hub is not None:
            self.hub.changed(self.shelf.chains)
        return self.revision

    def _access(self, cluster: Object) -> Object:
        metadata = Metadata(namespace=cluster.metadata.namespace, name=cluster.metadata.name)
        return ClusterAccess(metadata=metadata, spec=ClusterAccessSpec(callers=tuple(self.sites)))

    def _numbered(self, obj: Object) -> Object:
        if obj.kind not in NUMBERED:
            return obj
        number = self.numbers.setdefault(str(obj.key), len(self.numbers) + 1)
        if obj.kind == "Region":
            self.numbers[obj.metadata.name] = number = 1
        return obj.with_system(System(created=number, number=number))

    def applied(self, name: str, revision: int) -> bool:
        ack = self.shelf.acks.get(f"default/site/{name}")
        return ack is not None and ack.version.revision >= revision

    def rejections(self, name: str) -> list[tuple[str, str]]:
        return [(each.key, each.code) for each in self.shelf.acks[f"default/site/{name}"].rejections]

    async def close(self) -> None:
        for site in self.sites.values():
            if site.process is not None and site.process.returncode is None:
                try:
                    await site.end(signal.SIGINT)
                except TimeoutError:
                    site.process.kill()
                    await site.process.wait()
            for pid in site.engines():
                os.kill(pid, signal.SIGKILL)
        await self.stop_region()
        for site in self.sites.values():  # what pytest shows of a test that failed
            if site.log.exists():
                print(f"---- site {site.name}", site.log.read_text(errors="replace")[-8_000:], sep="\n")
        if os.environ.get("KEEP_STATE") != "1":
            shutil.rmtree(self.root)


def document(kind: str, name: str, spec: dict[str, Any], namespace: str = "") -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": spec}


def sealed(site: Site, name: str, value: str) -> dict[str, bytes]:
    """What the console sends to a site of a Secret in the namespace `shared`."""
    key = ObjectKey("default", "Secret", "shared", name)
    recipient = CredentialDirectory(site.state / "identity").sealing_key()
    copy = sealed_key(key)
    assert recipient is not None
    assert copy is not None
    text = seal(value, sealing_place(f"default/site/{site.name}", str(key), "value"), recipient.public, b"s" * 32)
    metadata = Metadata(tenant="default", namespace="shared", name=name)
    obj = SealedSecret(kind="SealedSecret", metadata=metadata, spec=SealedSpec(values={"value": text}))
    return {str(copy): emit_envelope(obj)}
