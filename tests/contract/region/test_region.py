"""A region with its real stream and its real GoBGP, between a console's stream server and sites' uplinks."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.emit.gobgp.address import region_address
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler
from isthmus.exporter.setting import OtlpSettings
from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.codec import RouteSpace
from isthmus.health.event import Announced, Event
from isthmus.health.route import EndpointRoute
from isthmus.identity import (
    Authority,
    Credential,
    CredentialDirectory,
    CredentialMissing,
    Identity,
    JoinToken,
    RenewalRequest,
    Role,
    Signer,
    TrustList,
    generate_key,
    identity_of,
    make_csr,
)
from isthmus.model import Region, emit_envelope
from isthmus.protocol import (
    AppliedReport,
    Hub,
    HubHandler,
    PresenceReport,
    Publisher,
    QueryFailed,
    StatusReport,
    StreamServer,
    Uplink,
    UplinkHandler,
    Upstream,
    Version,
    make_trust,
)
from isthmus.region.error import RegionRefused
from isthmus.region.process import RegionProcess
from isthmus.region.settings import RegionSettings
from isthmus.telemetry.setting import HttpSettings

from ...port import free_port
from ..telemetry.collector import Collector

CONSOLE = Identity("example.net", Role.CONSOLE)
FRA, NYC = "default/site/fra", "default/site/nyc"
NUMBERS = {FRA: 11, NYC: 12}
REGIONS = {"eu": 1, "us": 2}


async def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Waits, bounded, until something is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        await asyncio.sleep(0.01)


class Heard(HubHandler):
    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self.reports: list[Any] = []
        self.renewals: list[tuple[str, str]] = []

    def applied(self, via: Identity, report: AppliedReport) -> None:
        self.reports.append(report)

    def status(self, via: Identity, report: StatusReport) -> None:
        self.reports.append(report)

    def presence(self, via: Identity, report: PresenceReport) -> None:
        self.reports.append((via.subject, report.subject, report.connected))

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        self.renewals.append((via.subject, subject))
        return self.authority.renew(request, datetime.now(UTC))[1]


@dataclass
class SiteHandler(UplinkHandler):
    credentials: list[Credential] = field(default_factory=list)

    def credential(self, credential: Credential) -> None:
        self.credentials.append(credential)

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        return b"answer to " + kind.encode()


class Deployment:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.create("example.net", datetime.now(UTC))
        self.signer = Signer.create()
        self.bodies: dict[str, bytes] = {}
        self.publisher = Publisher(self.signer, self.bodies.get)
        self.heard = Heard(self.authority)
        self.trust = TrustList(1, self.authority.bundle_pem, (self.signer.public_pem,))
        self.credential = self.credentials(CONSOLE).load()
        self.ports = {name: (free_port(), free_port()) for name in REGIONS}
        self.console_port = 0
        self.server: StreamServer | None = None
        self.closers: list[Callable[[], Any]] = []
        self.hub = self.make_hub()

    def make_hub(self) -> Hub:
        trust = make_trust(self.signer, self.trust)
        return Hub(self.publisher, self.heard, trust=trust, release="1.0", roles=[Role.REGION])

    def credentials(self, identity: Identity, issued: datetime | None = None) -> CredentialDirectory:
        store = CredentialDirectory(self.directory / identity.subject.replace("/", "-"))
        if not store.exists:
            key = generate_key()
            chain = self.authority.issue(make_csr(key), identity, issued or datetime.now(UTC))
            store.save(Credential(key, chain, self.trust))
        return store

    def region_object(self, name: str) -> bytes:
        stream, bgp = self.ports[name]
        document = {
            "apiVersion": "isthmus/v1",
            "kind": "Region",
            "metadata": {"name": name},
            "spec": {"address": "127.0.0.1", "port": stream, "bgpPort": bgp},
            "system": {"created": 1, "number": REGIONS[name]},
        }
        return emit_envelope(Region.model_validate(document))

    def publish(
        self,
        subject: str,
        revision: int,
        regions: tuple[str, ...] = ("eu",),
        clusters: tuple[int, ...] = (),
        **objects: str,
    ) -> None:
        bodies = {f"default/Cluster/shop/{name}": text.encode() for name, text in objects.items()}
        if "/region/" in subject:
            bodies = {f"default/Region//{name}": self.region_object(name) for name in regions}
        entries = {key: sha256(body).hexdigest() for key, body in bodies.items()}
        self.bodies.update({sha256(body).hexdigest(): body for body in bodies.values()})
        self.publisher.publish(
            subject,
            Version(1, revision),
            entries,
            site_number=NUMBERS.get(subject, 0),
            import_clusters=clusters,
            regions=() if "/region/" in subject else regions,
        )
        self.hub.changed([subject])

    async def serve(self) -> None:
        self.hub = self.make_hub()
        self.server = StreamServer(self.hub, lambda: self.credential)
        self.console_port = await self.server.start(f"127.0.0.1:{self.console_port}")

    async def stop_serving(self) -> None:
        assert self.server is not None
        await self.server.stop(0.0)
        self.server = None

    async def region(self, name: str = "eu", **settings: Any) -> RegionProcess:
        identity = Identity("example.net", Role.REGION, "default", name)
        state = self.credentials(identity).directory
        membership = {
            "subject": identity.subject,
            "trust_domain": "example.net",
            "object": json.loads(self.region_object(name)),
            "regions": [],
            "console": {"address": "127.0.0.1", "port": self.console_port},
        }
        (state / "membership.json").write_text(json.dumps(membership))
        region = await RegionProcess.prepare(RegionSettings(state, **settings))
        await region.start()
        self.closers.append(lambda: region.stop(engines=True))
        return region

    def site(self, subject: str, regions: tuple[str, ...] = ("eu",), **changes: Any) -> tuple[Uplink, SiteHandler]:
        store, handler = self.credentials(identity_of(subject, "example.net")), SiteHandler()
        uplink = Uplink(store.directory / "stream", store, handler, release="1.0", **changes)
        uplink.set_upstreams(
            Upstream(name, "127.0.0.1", self.ports[name][0], f"{name}.default.region.example.net") for name in regions
        )
        uplink.start()
        self.closers.append(uplink.stop)
        return uplink, handler

    async def close(self) -> None:
        for closer in reversed(self.closers):
            await closer()
        if self.server is not None:
            await self.server.stop(0.0)


@pytest.fixture
async def deployment() -> AsyncIterator[Deployment]:
    with tempfile.TemporaryDirectory(prefix="isth") as directory:
        deployment = Deployment(Path(directory))
        await deployment.serve()
        yield deployment
        await deployment.close()


def contents(uplink: Uplink) -> dict[str, str]:
    state = uplink.state()
    if state is None:
        return {}
    return {key.rsplit("/", 1)[1]: body.decode() for key, body in uplink.objects(state).items()}


async def test_objects_go_down_and_reports_go_up(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu",))
    deployment.publish(FRA, 1, web="not even JSON", far="z")
    await deployment.region()
    site, _ = deployment.site(FRA)
    await until(lambda: contents(site) == {"web": "not even JSON", "far": "z"})
    deployment.publish(FRA, 2, web="changed", far="z")
    await until(lambda: contents(site) == {"web": "changed", "far": "z"})
    site.acknowledge(Version(1, 2))
    site.status(b'{"site":"fra"}')
    await until(lambda: AppliedReport(FRA, Version(1, 2)) in deployment.heard.reports)
    await until(lambda: AppliedReport("default/region/eu", Version(1, 1)) in deployment.heard.reports)
    await until(lambda: ("default/region/eu", FRA, True) in deployment.heard.reports)
    bodies = {each.subject: each.body for each in deployment.heard.reports if isinstance(each, StatusReport)}
    assert bodies[FRA] == b'{"site":"fra"}'


async def test_a_site_gets_only_its_own_and_only_through_a_region_it_names(deployment: Deployment) -> None:
    deployment.publish(FRA, 1, ("us",), web="a")
    deployment.publish(NYC, 1, ("eu",), web="b")
    region = await deployment.region("eu")
    nyc, _ = deployment.site(NYC)
    fra, _ = deployment.site(FRA)
    await until(lambda: contents(nyc) == {"web": "b"})
    await until(lambda: "eu" in fra.connections and fra.connections["eu"].connected)
    assert contents(fra) == {}
    assert region.uplink.holdings.subjects == [NYC]


async def test_sites_are_served_from_disk_while_the_console_is_gone(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu",))
    deployment.publish(FRA, 1, web="a")
    region = await deployment.region()
    await until(lambda: region.uplink.state(FRA))
    await region.stop(engines=True)
    deployment.closers.clear()
    await deployment.stop_serving()
    await deployment.region()
    site, _ = deployment.site(FRA)
    await until(lambda: contents(site) == {"web": "a"})


async def test_what_sites_said_meanwhile_is_told_when_the_console_is_back(deployment: Deployment) -> None:
    deployment.publish(FRA, 1, web="a")
    await deployment.region()
    site, _ = deployment.site(FRA)
    await until(lambda: contents(site))
    await deployment.stop_serving()
    site.acknowledge(Version(1, 1))
    deployment.heard.reports.clear()
    await deployment.serve()
    await until(lambda: AppliedReport(FRA, Version(1, 1)) in deployment.heard.reports)
    await until(lambda: ("default/region/eu", FRA, True) in deployment.heard.reports)


async def test_a_site_that_leaves_learns_so_from_the_region_it_leaves(deployment: Deployment) -> None:
    deployment.publish(FRA, 1, ("eu",), web="a")
    await deployment.region()
    site, _ = deployment.site(FRA)
    await until(lambda: contents(site))
    deployment.publish(FRA, 2, ("us",), web="a")
    await until(lambda: (state := site.state()) is not None and state.regions == ("us",))


async def test_questions_go_through_the_region(deployment: Deployment) -> None:
    deployment.publish(FRA, 1, web="a")
    deployment.publish("default/region/eu", 1, ("eu",))
    await deployment.region()
    deployment.site(FRA)
    await until(lambda: deployment.hub.connected(FRA))
    assert await deployment.hub.query(FRA, "explain", b"{}") == b"answer to explain"
    with pytest.raises(QueryFailed, match="not connected"):
        await deployment.hub.query(NYC, "explain", b"{}")
    status = json.loads(await deployment.hub.query("default/region/eu", "status", b"{}"))
    assert status["sites"]["list"] == [{"subject": FRA, "connected": True, "session": False, "revision": 1}]


async def test_certificates_of_sites_and_of_the_region_are_renewed_through_it(deployment: Deployment) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=5)
    deployment.credentials(identity_of(FRA, "example.net"), long_ago)
    deployment.publish(FRA, 1, web="a")
    region = await deployment.region()
    site, handler = deployment.site(FRA, renewal_check_seconds=0.05)
    await until(lambda: handler.credentials)
    assert deployment.heard.renewals[0] == ("default/region/eu", FRA)
    before = region.uplink.credential.leaf.serial
    await region.uplink.renew_own(datetime.now(UTC))
    assert region.uplink.credential.leaf.serial != before
    await until(lambda: site.connections["eu"].connected)


async def test_a_new_trust_list_reaches_the_sites_even_after_a_restart_of_the_region(deployment: Deployment) -> None:
    deployment.publish(FRA, 1, web="a")
    region = await deployment.region()
    newer = TrustList(2, deployment.authority.bundle_pem, (deployment.signer.public_pem, Signer.create().public_pem))
    await until(lambda: deployment.hub.streams)
    deployment.trust = newer
    deployment.hub.set_trust(make_trust(deployment.signer, newer))
    await until(lambda: region.uplink.credential.trust == newer)
    await region.stop(engines=True)
    deployment.closers.clear()
    await deployment.stop_serving()
    await deployment.region()
    store = deployment.credentials(identity_of(FRA, "example.net"))
    store.save(store.load().trusting(TrustList(1, newer.bundle_pem, newer.signing_keys[:1])))
    site, handler = deployment.site(FRA)
    await until(lambda: handler.credentials)
    assert site.credential.trust == newer


async def test_the_monitor_speaks_http_on_loopback_only(deployment: Deployment) -> None:
    port = free_port()
    collector = Collector()
    await collector.start()
    deployment.closers.append(collector.stop)
    otlp = OtlpSettings(HttpSettings(collector.url, "OTLP"), metrics=100)
    region = await deployment.region(metrics=("127.0.0.1", port), otlp=otlp)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        health = await client.get("/healthz")
        metrics = await client.get("/metrics")
        assert (await client.get("/")).status_code == 404
        assert (await client.post("/healthz")).status_code == 405
    assert (health.status_code, health.text.split(";")[0].split(",")[0]) == (200, "ok")
    assert "isthmus_region_streams 0.0" in metrics.text
    assert "isthmus_region_certificate_expires" in metrics.text

    shown = {line.split()[2] for line in metrics.text.splitlines() if line.startswith("# TYPE isthmus_region_")}
    shown -= {"isthmus_region_refusals_total", "isthmus_region_refusals_created"}  # of nothing yet
    shown = {name for name in shown if not name.endswith("_created")}
    await collector.until(lambda: shown <= {metric.name for _, metric in collector.metrics})
    assert (collector.resources["eu"]["service.name"], len(shown)) == ("isthmus-region", 12)
    [told] = (await region.read_status())["otlp"]
    assert (told["signal"], told["target"]) == ("metrics", f"OTLP {collector.url}")
    with pytest.raises(RegionRefused, match="loopback"):
        await deployment.region("us", metrics=("0.0.0.0", 0))


async def test_two_regions_do_not_share_a_state_directory(deployment: Deployment) -> None:
    await deployment.region()
    with pytest.raises(RegionRefused, match="Another region runs"):
        await deployment.region()


async def test_a_token_of_a_site_makes_no_region(tmp_path: Path) -> None:
    token = JoinToken.create(("https://127.0.0.1:1",), "00" * 32, Role.SITE, "fra").encode()
    with pytest.raises(RegionRefused, match="not for a region"):
        await RegionProcess.prepare(RegionSettings(tmp_path / "state", token))


async def test_without_a_token_the_first_start_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match="join token"):
        await RegionProcess.prepare(RegionSettings(tmp_path / "state"))


# ---- BGP


class Speaking:
    """A site's BGP side: a real gobgpd with tunnels to regions."""

    def __init__(self, deployment: Deployment, subject: str) -> None:
        self.number = NUMBERS[subject]
        self.credentials = deployment.credentials(identity_of(subject, "example.net"))
        self.speaker = Speaker(self.credentials.directory / "bgp", RouteSpace.of("example.net"), self.number)
        self.deployment = deployment
        self.heard: list[Event] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, regions: tuple[str, ...], clusters: set[int], *routes: EndpointRoute) -> None:
        await self.speaker.set_regions({name: REGIONS[name] for name in regions})
        await self.speaker.set_clusters(clusters)
        await self.speaker.start()
        await self.speaker.apply(AnnouncementPlan(announce=routes))
        self.deployment.closers.append(self.stop)
        for name in regions:
            target = Target("127.0.0.1", self.deployment.ports[name][1], f"{name}.default.region.example.net")
            dialler = TunnelDialler(
                lambda target=target: target,  # type: ignore[misc]
                self.credentials.client_context,
                lambda: self.speaker.door,
                region_address(REGIONS[name]),
            )
            self.tasks.append(asyncio.create_task(dialler.run()))
        self.tasks.append(asyncio.create_task(self.listen()))

    async def listen(self) -> None:
        while True:
            self.heard.extend(await self.speaker.receive())

    def routes(self) -> set[tuple[int, int]]:
        return {(each.route.site, each.route.cluster) for each in self.heard if isinstance(each, Announced)}

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.speaker.stop()


def route(subject: str, cluster: int, site: int | None = None) -> EndpointRoute:
    return EndpointRoute(site or NUMBERS[subject], 1, cluster, 1, changed_at=time.time_ns() // 1_000_000)


async def test_health_goes_from_site_to_site_across_two_regions(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu", "us"))
    deployment.publish("default/region/us", 1, ("eu", "us"))
    deployment.publish(FRA, 1, ("eu",), (5,), web="a")
    deployment.publish(NYC, 1, ("us",), (5,), web="a")
    await deployment.region("eu")
    await deployment.region("us")
    fra, nyc = Speaking(deployment, FRA), Speaking(deployment, NYC)
    await fra.start(("eu",), {5, 6})
    await nyc.start(("us",), set(), route(NYC, 5), EndpointRoute(NUMBERS[NYC], 2, 6, 1, changed_at=1))
    await until(lambda: (NUMBERS[NYC], 5) in fra.routes(), "the route of nyc at fra")
    assert (NUMBERS[NYC], 6) not in fra.routes(), "the manifest of fra imports cluster 5 alone"


async def test_a_region_adopts_its_gobgp_after_its_own_restart(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu",))
    deployment.publish(FRA, 1, ("eu",), (5,), web="a")
    deployment.publish(NYC, 1, ("eu",), (5,), web="a")
    region = await deployment.region()
    fra, nyc = Speaking(deployment, FRA), Speaking(deployment, NYC)
    await nyc.start(("eu",), set(), route(NYC, 5))
    await fra.start(("eu",), {5})
    await until(lambda: (NUMBERS[NYC], 5) in fra.routes(), "the route of nyc at fra")
    pid = region.reflection.pid
    deployment.closers.pop(0)
    await region.stop(engines=False)
    again = await deployment.region()
    await until(lambda: again.reflection.pid is not None)
    assert again.reflection.pid == pid
    both = frozenset(NUMBERS.values())
    deadline = time.monotonic() + 60
    while (status := await again.reflection.status()).sites != both:
        assert time.monotonic() < deadline, "the sessions did not come back"
        await asyncio.sleep(0.05)
    assert status.routes == 1


async def test_a_gobgp_that_dies_is_started_again(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu",))
    region = await deployment.region()
    await until(lambda: region.reflection.ready)
    pid = region.reflection.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: region.reflection.ready and region.reflection.pid != pid)
    assert region.reflection.restarts == 1


async def test_a_site_cannot_announce_another_sites_endpoint(deployment: Deployment) -> None:
    deployment.publish("default/region/eu", 1, ("eu",))
    deployment.publish(FRA, 1, ("eu",), (5,), web="a")
    deployment.publish(NYC, 1, ("eu",), (5,), web="a")
    region = await deployment.region()
    fra, nyc = Speaking(deployment, FRA), Speaking(deployment, NYC)
    await fra.start(("eu",), {5})
    await nyc.start(("eu",), set(), route(NYC, 5, site=77), route(NYC, 5))
    await until(lambda: (NUMBERS[NYC], 5) in fra.routes(), "the honest route")
    assert fra.routes() == {(NUMBERS[NYC], 5)}
    assert (await region.reflection.status()).routes == 1


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def start_process(state: Path) -> tuple[asyncio.subprocess.Process, int]:
    """The region as a process of its own, and its gobgpd."""
    code = (
        "import asyncio, pathlib, sys\n"
        "from isthmus.region.process import run\n"
        "from isthmus.region.settings import RegionSettings\n"
        "asyncio.run(run(RegionSettings(pathlib.Path(sys.argv[1]))))\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(state), stdout=-3, stderr=-3)
    record: dict[str, Any] = {}

    def ready() -> bool:
        with suppress(FileNotFoundError, ValueError):
            record.update(json.loads((state / "bgp" / "process.json").read_text()))
        return bool(record.get("tuned")) and running(record["pid"])

    await until(ready, "a gobgpd")
    return process, record["pid"]


async def test_sigterm_leaves_gobgp_for_the_next_start_and_sigint_ends_it(deployment: Deployment) -> None:
    region = await deployment.region()
    state = deployment.credentials(region.identity).directory
    deployment.closers.clear()
    await region.stop(engines=True)
    process, pid = await start_process(state)
    await until(lambda: deployment.hub.connected("default/region/eu"))
    process.terminate()
    assert await process.wait() == 0
    assert running(pid)
    process, adopted = await start_process(state)
    await until(lambda: deployment.hub.connected("default/region/eu"))
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert adopted == pid
    await until(lambda: not running(pid), "the end of gobgpd")
