"""The stream over real gRPC with mTLS: a console's server, and uplinks of sites and regions as in their processes."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest.mock import patch

import grpc
import pytest

from isthmus.generated import stream_pb2 as wire
from isthmus.identity import (
    LIFETIME,
    Authority,
    CertificateRefused,
    Credential,
    CredentialDirectory,
    Identity,
    RenewalRequest,
    Role,
    Signer,
    TrustList,
    generate_key,
    identity_of,
    make_csr,
    parse_leaf_der,
)
from isthmus.protocol import (
    Admission,
    AppliedReport,
    Hub,
    HubHandler,
    PresenceReport,
    Publisher,
    QueryFailed,
    Refused,
    Rejection,
    StatusReport,
    StreamServer,
    Uplink,
    UplinkHandler,
    Upstream,
    Version,
    make_trust,
)
from isthmus.protocol.server import METHOD

FRA, NYC = "default/site/fra", "default/site/nyc"
CONSOLE = Identity("example.net", Role.CONSOLE)


async def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Waits, bounded, until something is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        await asyncio.sleep(0.01)


@dataclass
class Heard(HubHandler):
    authority: Authority
    reports: list[Any] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    requests: list[RenewalRequest] = field(default_factory=list)
    applications: set[AppliedReport] = field(default_factory=set)

    def applied(self, via: Identity, report: AppliedReport) -> None:
        self.reports.append(report)
        self.applications.add(report)

    def status(self, via: Identity, report: StatusReport) -> None:
        self.reports.append(report)

    def presence(self, via: Identity, report: PresenceReport) -> None:
        self.reports.append((report.subject, report.connected))

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        identity, chain = self.authority.renew(request, datetime.now(UTC))
        if identity.subject != subject:
            raise CertificateRefused("Not for itself.")
        self.renewals.append(subject)
        self.requests.append(request)
        return chain


@dataclass
class Site(UplinkHandler):
    answers: dict[str, bytes] = field(default_factory=dict)
    refusals: list[Refused] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    adoptions: int = 0

    def adopted(self, subjects: frozenset[str]) -> None:
        self.adoptions += 1

    def refused(self, upstream: str, refusal: Refused) -> None:
        self.refusals.append(refusal)

    def credential(self, credential: Credential) -> None:
        self.credentials.append(credential)

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        if kind == "slow":
            await asyncio.sleep(30)
        if kind not in self.answers:
            raise QueryFailed("unknown_kind", f"No {kind}.")
        return self.answers[kind] + body


class World:
    """A deployment: authority, signer, objects, one server that serves sites directly."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = Authority.create("example.net", datetime.now(UTC))
        self.signer = Signer.create()
        self.bodies: dict[str, bytes] = {}
        self.publisher = Publisher(self.signer, self.bodies.get)
        self.heard = Heard(self.authority)
        self.trust = TrustList(1, self.authority.bundle_pem, (self.signer.public_pem,))
        self.credential = self.make(CONSOLE).load()
        self.uplinks: list[Uplink] = []
        self.server: StreamServer | None = None
        self.port = 0
        self.hub: Hub

    def make(
        self, identity: Identity, issued: datetime | None = None, authority: Authority | None = None, place: str = ""
    ) -> CredentialDirectory:
        key, now = generate_key(), issued or datetime.now(UTC)
        chain = (authority or self.authority).issue(make_csr(key), identity, now, LIFETIME)
        store = CredentialDirectory(self.directory / (place or identity.subject.replace("/", "-")))
        store.save(Credential(key, chain, self.trust))
        return store

    def put(self, subject: str, revision: int, **objects: str) -> None:
        entries = {}
        for name, text in objects.items():
            digest = sha256(text.encode()).hexdigest()
            self.bodies[digest] = text.encode()
            entries[f"default/Cluster/shop/{name}"] = digest
        self.publisher.publish(subject, Version(1, revision), entries, regions=["eu"])

    def publish(self, subject: str, revision: int, **objects: str) -> None:
        self.put(subject, revision, **objects)
        self.hub.changed([subject])

    async def serve(self, admission: Admission | None = None) -> None:
        self.hub = Hub(
            self.publisher,
            self.heard,
            trust=make_trust(self.signer, self.trust),
            release="1.0",
            roles=[Role.SITE, Role.REGION],
        )
        self.server = StreamServer(self.hub, lambda: self.credential, admission)
        self.port = await self.server.start(f"127.0.0.1:{self.port}")

    async def stop_serving(self) -> None:
        assert self.server is not None
        await self.server.stop(0.0)

    def upstream(self, dns_name: str = CONSOLE.dns_name) -> Upstream:
        return Upstream("eu", "127.0.0.1", self.port, dns_name)

    def connect(self, subject: str = FRA, handler: Site | None = None, **changes: Any) -> Uplink:
        name = subject.replace("/", "-")
        store = CredentialDirectory(self.directory / name)
        if not store.exists:
            self.make(identity_of(subject, "example.net"))
        uplink = Uplink(store.directory / "stream", store, handler or Site(), release="1.0", **changes)
        uplink.set_upstreams([self.upstream()])
        uplink.start()
        self.uplinks.append(uplink)
        return uplink

    async def close(self) -> None:
        for uplink in self.uplinks:
            await uplink.stop()
        if self.server is not None:
            await self.server.stop(0.0)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World(tmp_path)
    await world.serve()
    yield world
    await world.close()


def contents(uplink: Uplink) -> dict[str, str]:
    state = uplink.state()
    if state is None:
        return {}
    return {key.rsplit("/", 1)[1]: body.decode() for key, body in uplink.objects(state).items()}


async def test_a_site_gets_its_objects_and_every_change(world: World) -> None:
    world.publish(FRA, 1, web="a", far="z")
    site = world.connect()
    await until(lambda: contents(site) == {"web": "a", "far": "z"})
    world.publish(FRA, 2, web="b", far="z")
    await until(lambda: contents(site) == {"web": "b", "far": "z"})
    assert (FRA, True) in world.heard.reports


async def test_what_a_site_has_survives_its_restart_and_the_servers_absence(world: World) -> None:
    world.publish(FRA, 1, web="a")
    site = world.connect()
    await until(lambda: contents(site) == {"web": "a"})
    await site.stop()
    world.uplinks.remove(site)
    await world.stop_serving()
    again = world.connect()
    assert contents(again) == {"web": "a"}
    await until(lambda: "eu" in again.connections and not again.connections["eu"].connected)
    assert contents(again) == {"web": "a"}


async def test_a_site_comes_back_to_a_server_that_comes_back(world: World) -> None:
    world.publish(FRA, 1, web="a", far="z")
    site = world.connect()
    await until(lambda: contents(site))
    await world.stop_serving()
    await until(lambda: not site.connections["eu"].connected)
    await world.serve()
    world.publish(FRA, 2, web="b", far="z")
    await until(lambda: contents(site) == {"web": "b", "far": "z"})
    await until(lambda: site.connections["eu"].connected)


async def test_reports_go_up_and_again_to_a_server_that_comes_back(world: World) -> None:
    world.publish(FRA, 1, web="a")
    site = world.connect()
    await until(lambda: contents(site))
    rejection = Rejection("default/Cluster/shop/web", "unsupported", "spec.x", "Not known here.")
    site.acknowledge(Version(1, 1), [rejection])
    site.status(b'{"endpoints":3}')
    applied = AppliedReport(FRA, Version(1, 1), (rejection,))
    for _ in range(2):
        await until(lambda: applied in world.heard.reports)
        await until(lambda: any(isinstance(each, StatusReport) for each in world.heard.reports))
        await world.stop_serving()
        world.heard.reports.clear()
        await world.serve()
    await until(lambda: applied in world.heard.reports)


async def test_questions_reach_the_site_and_answers_come_back(world: World) -> None:
    world.connect(handler=Site(answers={"explain": b"because "}))
    await until(lambda: world.hub.connected(FRA))
    assert await world.hub.query(FRA, "explain", b"it is so") == b"because it is so"
    with pytest.raises(QueryFailed, match="No weather") as failure:
        await world.hub.query(FRA, "weather", b"")
    assert failure.value.code == "unknown_kind"
    with pytest.raises(QueryFailed, match="did not answer"):
        await world.hub.query(FRA, "slow", b"", timeout=0.05)
    with pytest.raises(QueryFailed, match="not connected"):
        await world.hub.query(NYC, "explain", b"")


async def test_a_due_certificate_is_renewed_and_used(world: World) -> None:
    identity = identity_of(FRA, "example.net")
    old = world.make(identity, datetime.now(UTC) - timedelta(days=5)).load()
    handler = Site()
    site = world.connect(handler=handler, renewal_check_seconds=0.05)
    await until(lambda: handler.credentials)
    new = CredentialDirectory(world.directory / "default-site-fra").load()
    assert new.leaf.valid_until > old.leaf.valid_until
    assert new.key_pem != old.key_pem
    assert site.credential.chain_pem == new.chain_pem
    assert world.heard.renewals == [FRA]


async def test_a_site_says_its_sealing_key_when_asked_to_and_when_it_has_never_said_it(world: World) -> None:
    credentials = world.make(identity_of(FRA, "example.net"))
    site = world.connect(renewal_check_seconds=0.05)
    await until(lambda: credentials.sealing_key())
    assert world.heard.renewals == [FRA], "it joined before there were such keys"
    first = world.heard.requests[0].sealing_key
    known = credentials.sealing_key()
    assert known is not None
    assert known.public == first
    with patch("isthmus.protocol.uplink.OFFER_AGAIN", 0.0):
        site.offer_sealing_key()
        await until(lambda: len(world.heard.renewals) == 2)
    assert world.heard.requests[1].sealing_key == first


async def test_a_server_uses_its_renewed_certificate_without_a_restart(world: World) -> None:
    renewed = world.make(CONSOLE, place="renewed").load()
    await asyncio.to_thread(shown_serial, world.port, world.make(identity_of(FRA, "example.net")))
    world.credential = renewed
    store = CredentialDirectory(world.directory / "default-site-fra")
    assert await asyncio.to_thread(shown_serial, world.port, store) == renewed.leaf.serial


def shown_serial(port: int, store: CredentialDirectory) -> int:
    """The serial number of the certificate that the server shows."""
    context = store.client_context()
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=CONSOLE.dns_name) as tls,
    ):
        der = tls.getpeercert(binary_form=True)
        assert der is not None
        return parse_leaf_der(der).serial


async def test_a_new_trust_list_reaches_the_site_and_its_disk(world: World) -> None:
    handler, other = Site(), Signer.create()
    world.connect(handler=handler)
    await until(lambda: world.hub.connected(FRA))
    newer = TrustList(2, world.authority.bundle_pem, (world.signer.public_pem, other.public_pem))
    world.hub.set_trust(make_trust(world.signer, newer))
    await until(lambda: handler.credentials)
    assert CredentialDirectory(world.directory / "default-site-fra").load().trust == newer


async def test_a_client_of_another_deployment_is_refused(world: World) -> None:
    stranger = Authority.create("example.net", datetime.now(UTC))
    world.make(identity_of(FRA, "example.net"), authority=stranger)
    world.publish(FRA, 1, web="a")
    site = world.connect()
    await until(lambda: "eu" in site.connections and site.connections["eu"].error)
    assert not site.connections["eu"].connected
    assert contents(site) == {}


async def test_a_client_without_a_certificate_is_refused(world: World) -> None:
    credentials = grpc.ssl_channel_credentials(root_certificates=world.authority.bundle_pem)
    options = [("grpc.ssl_target_name_override", CONSOLE.dns_name)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.port}", credentials, options=options) as channel:
        call: Any = channel.stream_stream(METHOD, wire.Up.SerializeToString, wire.Down.FromString)()
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            await call.read()
    assert failure.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_site_cannot_take_another_sites_stream(world: World) -> None:
    world.publish(NYC, 1, web="secret")
    store = world.make(identity_of(FRA, "example.net")).load()
    credentials = grpc.ssl_channel_credentials(store.bundle_pem, store.key_pem, store.chain_pem)
    options = [("grpc.ssl_target_name_override", CONSOLE.dns_name)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.port}", credentials, options=options) as channel:
        call: Any = channel.stream_stream(METHOD, wire.Up.SerializeToString, wire.Down.FromString)()
        await call.write(wire.Up(hello=wire.Hello(version_min=1, version_max=1, subject=NYC)))
        with pytest.raises(grpc.aio.AioRpcError, match="may not have"):
            await call.read()


async def test_a_server_that_is_somebody_else_is_not_spoken_to(world: World) -> None:
    world.credential = world.make(identity_of(NYC, "example.net"), place="posing").load()
    world.publish(FRA, 1, web="a")
    site = world.connect()
    await until(lambda: "eu" in site.connections and site.connections["eu"].error)
    assert contents(site) == {}
    assert not world.hub.streams


async def test_a_console_connects_to_nobody_as_a_client(world: World) -> None:
    store = world.make(Identity("example.net", Role.CONSOLE), place="console-as-client").load()
    credentials = grpc.ssl_channel_credentials(store.bundle_pem, store.key_pem, store.chain_pem)
    options = [("grpc.ssl_target_name_override", CONSOLE.dns_name)]
    async with grpc.aio.secure_channel(f"127.0.0.1:{world.port}", credentials, options=options) as channel:
        call: Any = channel.stream_stream(METHOD, wire.Up.SerializeToString, wire.Down.FromString)()
        with pytest.raises(grpc.aio.AioRpcError, match="no business here"):
            await call.read()


class Tampering(Publisher):
    """A relay that has changed what it relays."""

    def __init__(self, honest: Publisher, change: Callable[[bytes], bytes], bodies: Callable[[bytes], bytes]) -> None:
        self.__dict__.update(honest.__dict__)
        self._change, self._change_body = change, bodies

    def chain(self, subject: str, peer: str) -> Any:
        chain = super().chain(subject, peer)
        return chain and replace(chain, full=replace(chain.full, signed=self._change(chain.full.signed)))

    def body(self, digest: str) -> bytes | None:
        body = super().body(digest)
        return None if body is None else self._change_body(body)


@pytest.mark.parametrize("what", ["manifest", "object"])
async def test_a_region_that_tampers_is_found_out(tmp_path: Path, what: str) -> None:
    world, handler = World(tmp_path), Site()
    world.put(FRA, 1, web="money to fra")
    honest = world.publisher

    def rewrite(body: bytes) -> bytes:
        return body.replace(b"shop/web", b"shop/bad").replace(b"to fra", b"to eve")

    same: Callable[[bytes], bytes] = bytes
    world.publisher = Tampering(honest, rewrite if what == "manifest" else same, rewrite)
    await world.serve()
    site = world.connect(handler=handler)
    await until(lambda: handler.refusals, "a refusal")
    assert handler.refusals[0].code == {"manifest": "signature", "object": "object"}[what]
    assert contents(site) == {}
    await world.stop_serving()
    world.publisher = honest
    await world.serve()
    await until(lambda: contents(site) == {"web": "money to fra"})
    await world.close()


async def test_a_full_server_says_when_to_come_again(tmp_path: Path) -> None:
    world = World(tmp_path)
    await world.serve(Admission(per_second=20, burst=1))
    sites = [world.connect(f"default/site/s{number}") for number in range(4)]
    await until(
        lambda: all("eu" in site.connections and site.connections["eu"].connected for site in sites),
        "a stream of every site",
    )
    assert len(world.hub.streams) == 4
    await world.close()


async def test_an_upstream_that_is_no_longer_wanted_is_left(world: World) -> None:
    site = world.connect()
    await until(lambda: world.hub.connected(FRA))
    site.set_upstreams([])
    await until(lambda: not world.hub.connected(FRA))
    assert site.connections == {}
    assert world.heard.reports[-1] == (FRA, False)


async def test_a_stream_can_be_ended_at_any_moment(world: World) -> None:
    world.publish(FRA, 1, web="a")
    for steps in range(0, 120, 3):
        site = world.connect()
        for _ in range(steps):
            await asyncio.sleep(0.0002)
        async with asyncio.timeout(60):
            await site.stop()
        world.uplinks.remove(site)
    await until(lambda: not world.hub.streams)


async def test_many_sites_get_a_change_and_answer(world: World) -> None:
    subjects = [f"default/site/s{number}" for number in range(60)]
    for subject in subjects:
        world.publish(subject, 1, web="a", far="z")
    uplinks = [world.connect(subject) for subject in subjects]
    await until(lambda: all(contents(uplink) for uplink in uplinks))
    for subject in subjects:
        world.publish(subject, 2, web="b", far="z")
    await until(lambda: all(contents(uplink)["web"] == "b" for uplink in uplinks))
    for uplink in uplinks:
        uplink.acknowledge(Version(1, 2))
    await until(lambda: {AppliedReport(subject, Version(1, 2)) for subject in subjects} <= world.heard.applications)
