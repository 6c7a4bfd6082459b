"""A deployment of real gobgpds joined by real TLS tunnels, for the contract tests and the benchmarks."""

import asyncio
import datetime
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.emit.gobgp.address import region_address, session_address
from isthmus.engine.gobgp.reflector import Reflector, ReflectorConfig
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler, TunnelServer
from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.codec import RouteSpace
from isthmus.health.event import Event
from isthmus.health.route import EndpointKey, EndpointRoute
from isthmus.health.table import Table

SPACE = RouteSpace.of("contract.test")


class CertificateAuthority:
    """Issues what the tunnels need: a key, a certificate with one URI and one DNS name."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        self._certificate = (
            self._builder(name, name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.bundle = directory / "ca.pem"
        self.bundle.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, uri: str) -> Path:
        """A PEM file with key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = (
            self._builder(subject, self._certificate.subject, key.public_key())
            .add_extension(
                x509.SubjectAlternativeName([x509.DNSName(name), x509.UniformResourceIdentifier(uri)]), critical=False
            )
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        path = self._directory / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path

    def client(self, chain: Path | None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.bundle))
        if chain is not None:
            context.load_cert_chain(chain)
        return context

    def server(self, chain: Path) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain)
        context.load_verify_locations(self.bundle)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    @staticmethod
    def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )


class RegionUnderTest:
    """A reflector and its tunnel server."""

    def __init__(self, deployment: "Deployment", number: int) -> None:
        self.name = f"region{number}"
        self.number = number
        self._authority = deployment.authority
        self.chain = self._authority.issue(self.name, f"spiffe://test/region/{number}")
        self.directory = deployment.directory / self.name
        self.reflector = Reflector(self.directory, SPACE, number)
        self.known: set[int] | None = None
        self.port = 0
        self.server = self._server()

    def _server(self) -> TunnelServer:
        return TunnelServer(lambda: self._authority.server(self.chain), self._neighbour, lambda: self.reflector.door)

    def _neighbour(self, uri: str) -> str | None:
        kind, number = uri.removeprefix("spiffe://test/").split("/")[:2]
        if kind == "site" and (self.known is None or int(number) in self.known):
            return session_address(int(number))
        return region_address(int(number)) if kind == "region" else None

    def renew(self) -> None:
        """Another supervisor, as after a restart of the region's process."""
        self.reflector = Reflector(self.directory, SPACE, self.number)

    async def start(self) -> None:
        await self.reflector.start()
        await self.server.start("127.0.0.1", self.port)
        self.port = self.server.port

    async def cut(self) -> None:
        """Nobody reaches the region any more."""
        await self.server.stop()

    async def mend(self) -> None:
        self.server = self._server()
        await self.server.start("127.0.0.1", self.port)

    async def stop(self) -> None:
        await self.server.stop()
        await self.reflector.stop()

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.port, self.name)


class SiteUnderTest:
    """A speaker, its tunnels, and the table that listens to it."""

    def __init__(self, deployment: "Deployment", number: int, uri: str = "") -> None:
        self.number = number
        self.directory = deployment.directory / f"site{number}"
        self.speaker = Speaker(self.directory, SPACE, number)
        self.table = Table()
        self.history: list[Event] = []
        self._authority = deployment.authority
        self._chain = self._authority.issue(f"site{number}", uri or f"spiffe://test/site/{number}")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, regions: Mapping[str, RegionUnderTest], clusters: set[int]) -> None:
        await self.speaker.set_regions({name: region.number for name, region in regions.items()})
        await self.speaker.set_clusters(clusters)
        await self.speaker.start()
        await self.speaker.apply(AnnouncementPlan())
        self._tasks.append(asyncio.create_task(self._listen()))
        for region in regions.values():
            self.dial(region)

    def dial(self, region: RegionUnderTest) -> None:
        dialler = TunnelDialler(
            lambda: region.target,
            lambda: self._authority.client(self._chain),
            lambda: self.speaker.door,
            region_address(region.number),
        )
        self._tasks.append(asyncio.create_task(dialler.run()))

    async def announce(self, *routes: EndpointRoute) -> None:
        await self.speaker.apply(AnnouncementPlan(announce=routes))

    async def withdraw(self, *endpoints: int) -> None:
        keys = tuple(EndpointKey(self.number, endpoint) for endpoint in endpoints)
        await self.speaker.apply(AnnouncementPlan(withdraw=keys))

    def route(self, endpoint: int, cluster: int, weight: int = 1) -> EndpointRoute:
        return EndpointRoute(self.number, endpoint, cluster, weight, changed_at=time.time_ns() // 1_000_000)

    async def _listen(self) -> None:
        while True:
            for event in await self.speaker.receive():
                self.history.append(event)
                self.table.apply(event, time.time())

    def seen(self, cluster: int) -> set[tuple[int, int]]:
        """The endpoints of a cluster, as (site, endpoint)."""
        return {tuple(entry.route.key) for entry in self.table.entries(cluster)}

    def fresh(self, cluster: int) -> set[tuple[int, int]]:
        return {tuple(e.route.key) for e in self.table.entries(cluster) if e.stale_since is None}

    async def stop(self, *, detach: bool = False) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await (self.speaker.detach() if detach else self.speaker.stop())


class Deployment:
    """Makes regions and sites, and ends all of them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = CertificateAuthority(directory)
        self.regions: list[RegionUnderTest] = []
        self.sites: list[SiteUnderTest] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def region(self, number: int, config: ReflectorConfig) -> RegionUnderTest:
        region = RegionUnderTest(self, number)
        self.regions.append(region)
        await region.reflector.apply(config)
        await region.start()
        return region

    async def site(
        self, number: int, regions: list[RegionUnderTest], clusters: set[int], uri: str = ""
    ) -> SiteUnderTest:
        site = SiteUnderTest(self, number, uri)
        self.sites.append(site)
        await site.start({region.name: region for region in regions}, clusters)
        return site

    async def connect(self, dialling: RegionUnderTest, answering: RegionUnderTest) -> None:
        """A tunnel between two regions."""
        dialler = TunnelDialler(
            lambda: answering.target,
            lambda: self.authority.client(dialling.chain),
            lambda: dialling.reflector.door,
            region_address(answering.number),
        )
        self._tasks.append(asyncio.create_task(dialler.run()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for site in self.sites:
            await site.stop()
        for region in self.regions:
            await region.stop()


async def eventually(condition: Callable[[], bool], what: str, within: float = 75.0) -> None:
    """Waits until the condition holds; fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came true: {what}")
        await asyncio.sleep(0.02)


async def eventually_equal(ask: Callable[[], Awaitable[object]], wanted: object, within: float = 75.0) -> None:
    """Asks until the answer is the wanted one; fails with the last answer after `within` seconds."""
    deadline = time.monotonic() + within
    while (found := await ask()) != wanted:
        assert time.monotonic() < deadline, f"{found} is not {wanted}"
        await asyncio.sleep(0.05)
