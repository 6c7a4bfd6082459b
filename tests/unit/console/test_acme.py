"""The console gets certificates: sites answer before the server asks, and nothing that goes wrong disturbs serving."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from isthmus.console.acme import AcmeWorker
from isthmus.console.acme.account import account_place
from isthmus.console.acme.due import next_attempt, renewal_time, why_due
from isthmus.console.acme.server import AcmeFailed, Order, parse_retry_after
from isthmus.console.acme.worker import Pace
from isthmus.model.acme import AcmeSpec, AcmeState, Challenge
from isthmus.model.document import parse_documents
from isthmus.model.key import ObjectKey
from isthmus.protocol import AppliedReport, PresenceReport, Rejection

DOMAIN = "shop.example"
KEY = ObjectKey("default", "Certificate", "default", "auto")
SITES = ("default/site/fra", "default/site/nyc")
REGION = "default/region/eu"


@dataclass
class FakeServer:
    """Says what a server would; issues with an authority of the test's."""

    pki: Any
    failure: AcmeFailed | None = None
    extra: tuple[str, ...] = ()
    days: float = 90
    said: list[str] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)
    orders: int = 0
    external: Any = None
    request: bytes = b""

    def __call__(self, directory: str, secret: str, authorities: str | None) -> Any:
        self.accounts.append(secret)
        return self

    def open(self, email: str | None, external: Any = None) -> None:
        self.external = external
        self.said.append("open")

    def order(self, request: bytes, kind: Any) -> Order:
        self.request, self.orders = request, self.orders + 1
        token = f"token-{self.orders}"
        return Order((Challenge(type=kind, domain=DOMAIN, token=token, answer=f"{token}.x"),), None, (None,))

    def cut(self) -> None:
        self.said.append("cut")

    def close(self) -> None:
        pass

    def answer(self, order: Order) -> None:
        self.said.append("asked")

    def is_validated(self, order: Order) -> bool:
        if self.failure is not None:
            raise self.failure
        return True

    def finalize(self, order: Order) -> None:
        self.said.append("finalize")

    def fetch(self, order: Order) -> str:
        request = x509.load_pem_x509_csr(self.request)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        key = _Public(request.public_key())
        all_names = (*names.get_values_for_type(x509.DNSName), *self.extra)
        return str(self.pki.issue(*all_names, key=key, days=self.days).chain)


class _Public:
    """Stands for a key of which only the public half is known."""

    def __init__(self, public: Any) -> None:
        self._public = public

    def public_key(self) -> Any:
        return self._public


def host(documents: Any, **acme: Any) -> list[Any]:
    """A certificate, and a virtual host at both sites that shows it."""
    return [
        documents("Region", "eu", {"address": "192.0.2.10"}),
        *(documents("Site", name, {"regions": ["eu"]}, labels={"in": "all"}) for name in ("fra", "nyc")),
        documents("VirtualSite", "all", {"selector": ["in=all"]}),
        documents("AdvertisePolicy", "all", {"where": {"virtualSite": "all"}, "address": "192.0.2.1", "port": 443}),
        documents("Route", "all", {"redirect": {"scheme": "https"}}),
        documents("Certificate", "auto", {"acme": {"domains": [DOMAIN], "termsOfServiceAgreed": True, **acme}}),
        documents(
            "VirtualHost",
            "shop",
            {
                "proxy": "HTTPS",
                "domains": [DOMAIN],
                "routes": [{"name": "all"}],
                "advertisePolicies": [{"name": "all"}],
                "tls": {"certificates": [{"name": "auto"}]},
            },
        ),
    ]


class Desk:
    """A running console with a worker of the test's own, and sites that say what the test has them say."""

    def __init__(self, console: Any, server: FakeServer, tmp_path: Path, patience: float = 60) -> None:
        """`patience`: seconds that it waits for sites."""
        self.console = console
        context = console.console.context
        self.deployment, self.observation = context.deployment, context.observation
        pace = Pace(start=0, look=0.01, sites=patience, settle=0, verdict=60, issue=60, poll=0.01)
        self.worker = AcmeWorker(self.deployment, self.observation, context.store, tmp_path / "acme", server, pace)
        context.acme = self.worker
        self.task = asyncio.create_task(self.worker.run())

    def connect(self, site: str) -> None:
        self.observation.presence(REGION, PresenceReport(site, True, 1.0))

    async def apply(self, site: str, *rejections: Rejection) -> None:
        """The site uses all that was declared until now, but for what it rejects."""
        await self.deployment.published()
        version = self.deployment.publication.version(site)
        self.observation.applied(AppliedReport(site, version, rejections), version, 1.0)

    async def until(self, good: Callable[[], Any]) -> Any:
        async with asyncio.timeout(60):
            while True:
                found = good()
                if found:
                    return found
                await asyncio.sleep(0.01)

    @property
    def object(self) -> Any:
        return self.deployment.records[KEY].object

    @property
    def challenges(self) -> Any:
        return self.object.system.acme.challenges if self.object.system.acme is not None else ()

    async def status(self) -> Any:
        answer = await self.console.ask("GET", "/namespaces/default/certificates/auto")
        assert "PRIVATE" not in str(answer)
        return answer["status"]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The console's own worker, which begins after a while, asks nobody here."""
    run = AcmeWorker.run

    async def run_or_wait(worker: AcmeWorker) -> None:
        if worker._pace == Pace():
            await asyncio.Event().wait()
        await run(worker)

    monkeypatch.setattr(AcmeWorker, "run", run_or_wait)


@pytest.fixture
async def desk(request: pytest.FixtureRequest, console: Any, pki: Any, tmp_path: Path) -> Any:
    server = FakeServer(pki)
    found = Desk(console, server, tmp_path, getattr(request, "param", 60))
    yield found, server
    found.task.cancel()
    await asyncio.wait([found.task])


async def test_every_connected_site_answers_before_the_server_asks(desk: Any, documents: Any) -> None:
    found, server = desk
    for site in SITES:
        found.connect(site)
    await found.console.apply(*host(documents))
    await found.until(lambda: found.challenges)
    await found.apply(SITES[0])
    await found.until(lambda: found.worker.standing(KEY).activity == "bringing the answers to the sites")
    await asyncio.sleep(0.3)
    assert "asked" not in server.said, "one site does not answer yet"
    assert (await found.status())["acme"]["activity"] == "bringing the answers to the sites"
    await found.apply(SITES[1])
    await found.until(lambda: found.object.chain)
    assert server.said == ["open", "asked", "finalize"]
    assert found.challenges == ()
    told = await found.status()
    assert told["certificate"]["names"] == [DOMAIN]
    assert told["acme"]["state"] == "issued"
    (secret,) = found.deployment.vault.texts(found.object).values()
    public = x509.load_pem_x509_certificates(found.object.chain.encode())[0].public_key()
    assert load_pem_private_key(secret.encode(), None).public_key() == public
    (newest, *_) = (await found.console.ask("GET", "/revisions"))["items"]
    assert newest["who"] == "acme"
    assert "BEGIN CERTIFICATE" in newest["changes"][0]["diff"]
    again = await found.console.apply(*host(documents))
    assert {each["action"] for each in again["changes"]} == {"unchanged"}
    before = found.object
    await found.console.apply(*host(documents, email="a@b.example"))
    assert found.object.chain == before.chain, "the document written again keeps what was issued"


async def test_a_refusal_is_told_and_leaves_the_old_certificate(desk: Any, documents: Any) -> None:
    found, server = desk
    found.connect(SITES[0])
    await found.console.apply(*host(documents))

    async def follow() -> None:
        while True:
            await found.apply(SITES[0])
            await asyncio.sleep(0.01)

    following = asyncio.create_task(follow())
    try:
        await found.until(lambda: found.object.chain)
        old = found.object.chain
        server.failure = AcmeFailed("shop.example was not validated: dns: no such name", timedelta(hours=2))
        await found.console.apply(*host(documents, keyType="RSA_2048"))
        await found.until(lambda: found.worker.standing(KEY).failures)
        orders = server.orders
        await found.until(lambda: found.challenges == ())
        told = (await found.status())["acme"]
        assert told["lastError"] == "shop.example was not validated: dns: no such name"
        assert told["failures"] == 1
        assert told["offlineSites"] == ["nyc"], "asked without it, and says so"
        assert told["nextAttempt"] > (datetime.now(UTC) + timedelta(minutes=110)).isoformat()
        await asyncio.sleep(0.1)
        assert server.orders == orders, "it is left alone"
        assert len(set(server.accounts)) == 1, "one account for all orders"
        server.failure, server.days = None, 90
        await found.console.apply(*host(documents, email="other@shop.example", keyType="RSA_2048"))
        await found.until(lambda: found.worker.standing(KEY).failures == 0 and found.object.chain != old)
    finally:
        following.cancel()
    assert server.accounts[0].splitlines()[1].encode() not in b"".join(
        path.read_bytes() for path in found.console.state.rglob("*.db*")
    )


async def test_a_certificate_that_is_due_once_issued_is_asked_for_later(desk: Any, documents: Any) -> None:
    found, server = desk
    server.days, server.extra = 10, ("www.shop.example",)  # issued 60 days ago, so its renewal is due at once
    found.connect(SITES[0])
    await found.console.apply(*host(documents))
    await found.until(lambda: found.challenges)
    await found.apply(SITES[0])
    await found.until(lambda: found.worker.standing(KEY).failures)
    await asyncio.sleep(0.1)
    assert server.orders == 1, "it is left alone"
    told = await found.status()
    assert told["certificate"]["names"] == [DOMAIN, "www.shop.example"], "it is served meanwhile"
    assert told["acme"]["lastError"] == "the server issued one, but its renewal is due"
    assert told["acme"]["nextAttempt"] > (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
    (kept,) = await found.until(found.console.console.context.store.acme_attempts)
    assert kept.failures == 1


@pytest.mark.parametrize("desk", [0.5], indirect=True, ids=["hasty"])
async def test_nothing_is_asked_for_that_no_site_serves_or_while_none_is_connected(desk: Any, documents: Any) -> None:
    found, server = desk
    *rest, virtual_host = host(documents)
    await found.console.apply(*rest)
    await found.until(lambda: found.worker.standing(KEY).activity)
    assert (await found.status())["acme"]["activity"].startswith("no site is to serve it")
    assert server.orders == 0
    await found.console.apply(virtual_host)
    await found.until(lambda: found.worker.standing(KEY).failures)
    assert (await found.status())["acme"]["lastError"] == "no site that serves it is connected: fra, nyc"
    assert "asked" not in server.said


async def test_a_site_that_serves_the_name_without_the_certificate_is_named(desk: Any, documents: Any) -> None:
    found, server = desk
    server.failure = AcmeFailed("shop.example was not validated: unauthorized: 404")
    plain = {"domains": [f"{DOMAIN}:80"], "routes": [{"name": "all"}], "advertisePolicies": [{"name": "lon"}]}
    found.connect(SITES[0])
    await found.console.apply(
        documents("Site", "lon", {"regions": ["eu"]}),
        documents("AdvertisePolicy", "lon", {"where": {"site": "lon"}, "address": "192.0.2.1"}),
        documents("VirtualHost", "plain", plain),
        *host(documents),
    )
    await found.until(lambda: found.challenges)
    await found.apply(SITES[0])
    await found.until(lambda: found.worker.standing(KEY).failures)
    assert (await found.status())["acme"]["lastError"] == (
        "shop.example was not validated: unauthorized: 404; lon serves the name too, but nothing that names this "
        "certificate is there"
    )


async def test_a_site_that_cannot_answer_is_not_asked(desk: Any, documents: Any) -> None:
    found, server = desk
    found.connect(SITES[0])
    await found.console.apply(*host(documents))
    await found.until(lambda: found.challenges)
    pending = Rejection(str(KEY), "certificate-pending", "spec.acme", "it is yet to be issued")
    taken = Rejection(str(KEY), "socket-in-use", "spec.acme.challenge", "192.0.2.1:80 is not for HTTP")
    await found.apply(SITES[0], pending, taken)
    await found.until(lambda: found.worker.standing(KEY).failures)
    assert (await found.status())["acme"]["lastError"] == "Site fra does not answer: 192.0.2.1:80 is not for HTTP"
    assert "asked" not in server.said
    await found.console.apply(*host(documents, email="a@b.example"))
    await found.until(lambda: found.challenges)
    await found.apply(SITES[0], pending)
    await found.until(lambda: found.object.chain)


async def test_a_site_that_answers_on_another_port_is_asked_and_named_when_that_fails(
    desk: Any, documents: Any
) -> None:
    found, server = desk
    server.failure = AcmeFailed("shop.example was not validated: connection: refused")
    for site in SITES:
        found.connect(site)
    await found.console.apply(*host(documents))
    await found.until(lambda: found.challenges)
    elsewhere = Rejection(str(KEY), "pages-elsewhere", "spec.acme.challenge", "192.0.2.1:80 is used by VirtualHost a/b")
    for site in SITES:
        await found.apply(site, elsewhere)
    await found.until(lambda: found.worker.standing(KEY).failures)
    assert "asked" in server.said
    assert (await found.status())["acme"]["lastError"] == (
        "shop.example was not validated: connection: refused; Site fra says: 192.0.2.1:80 is used by VirtualHost a/b"
    )


async def test_an_account_elsewhere_is_named_and_its_key_stays_private(desk: Any, documents: Any) -> None:
    found, server = desk
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    found.connect(SITES[0])
    external = {"keyId": "kid-1", "macKey": {"name": "mac"}}
    await found.console.apply(
        documents("Secret", "mac", {"value": f"{key}\n"}), *host(documents, externalAccount=external)
    )
    await found.until(lambda: server.said)
    assert server.external == ("kid-1", key)
    index = found.deployment.index
    assert index.sites_of(KEY._replace(kind="Secret", name="mac")) == frozenset(), "no site needs it"
    refused = await found.console.apply(delete=["default/Secret/default/mac"], status=409)
    assert refused["diagnostics"][0]["message"] == "Certificate default/auto refers to it"
    await found.status()


def certificate(pki: Any, days: float, *names: str, **acme: Any) -> Any:
    spec = {"acme": {"domains": [DOMAIN], "termsOfServiceAgreed": True, **acme}}
    document = {"apiVersion": "isthmus/v1", "kind": "Certificate", "metadata": {"name": "x"}, "spec": spec}
    (found,) = parse_documents([document]).objects
    chain = pki.issue(*(names or (DOMAIN,)), days=days).chain  # issued 60 days ago
    return found.with_acme(AcmeState(chain=chain, directory=found.spec.acme.directory))


def test_namespaces_share_no_account() -> None:
    def place(namespace: str, mac: dict[str, str] | None = None, name: str = "auto") -> str:
        bound = {"externalAccount": {"keyId": "key-1", "macKey": mac}} if mac is not None else {}
        declared = {"domains": [DOMAIN], "termsOfServiceAgreed": True, "email": "operations@shop.example", **bound}
        spec = AcmeSpec.model_validate_json(json.dumps(declared))
        return account_place(ObjectKey("default", "Certificate", namespace, name), spec)

    assert place("shop") == place("shop", name="other"), "certificates of one namespace use one account"
    assert place("shop") != place("pay")
    shared = {"namespace": "shop", "name": "mac"}
    assert place("shop", shared) == place("shop", {"name": "mac"})
    assert len({place("shop", shared), place("pay", shared), place("pay", {"name": "mac"}), place("shop")}) == 4


def test_when_it_is_renewed(pki: Any) -> None:
    now = datetime.now(UTC)
    assert why_due(certificate(pki, 31), now) is None
    assert why_due(certificate(pki, 29), now) == "its renewal is due"
    assert why_due(certificate(pki, 29, renewBefore="240h"), now) is None
    assert why_due(certificate(pki, 61, renewBefore="8784h"), now) is None, "never before half of its lifetime"
    assert why_due(certificate(pki, 59, renewBefore="8784h"), now) == "its renewal is due"
    assert why_due(certificate(pki, 90, "www.shop.example"), now) == "it is not for all declared names"
    assert why_due(certificate(pki, 90, DOMAIN, "www.shop.example"), now) is None, "servers may add names"
    assert why_due(certificate(pki, 90, keyType="RSA_2048"), now) == "it has another kind of key"
    moved = certificate(pki, 90).with_acme(AcmeState(chain=certificate(pki, 90).chain, directory="https://o.example"))
    assert why_due(moved, now) == "it is from another ACME server"
    renewal = renewal_time(certificate(pki, 30))
    assert renewal is not None
    assert abs(renewal - now) < timedelta(minutes=1)


def test_it_is_tried_again_later_each_time() -> None:
    now, chance = datetime(2026, 1, 1, tzinfo=UTC), random.Random(1).random
    waits = [next_attempt(failures, now, None, lambda: 0.0) - now for failures in range(1, 9)]
    assert waits[:3] == [timedelta(minutes=3), timedelta(minutes=6), timedelta(minutes=12)]
    assert waits[-1] == timedelta(hours=6)
    assert sum(waits[:5], timedelta()) > timedelta(hours=1), "at most five attempts in an hour"
    several = {next_attempt(1, now, None, chance) for _ in range(20)}
    assert len(several) == 20
    assert max(several) <= now + timedelta(minutes=3) * 1.2
    assert next_attempt(1, now, timedelta(days=1), lambda: 0.0) == now + timedelta(days=1)


def test_how_long_a_server_wants_to_be_left_alone() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert parse_retry_after("120", now) == timedelta(minutes=2)
    assert parse_retry_after("Thu, 01 Jan 2026 01:00:00 GMT", now) == timedelta(hours=1)
    assert parse_retry_after("Wed, 31 Dec 2025 01:00:00 GMT", now) == timedelta(0)
    for nothing in (None, "", "soon", "-5"):
        assert parse_retry_after(nothing, now) is None


async def test_a_console_that_starts_again_waits_as_it_would_have(
    console: Any, pki: Any, documents: Any, tmp_path: Path
) -> None:
    first = Desk(console, FakeServer(pki), tmp_path, 0.5)
    await console.apply(*host(documents))
    await first.until(console.console.context.store.acme_attempts)
    known = first.worker.standing(KEY)
    first.task.cancel()
    await asyncio.wait([first.task])
    await console.restart()
    server = FakeServer(pki)
    second = Desk(console, server, tmp_path, 0.5)
    try:
        await second.until(lambda: second.worker.standing(KEY).failures)
        await asyncio.sleep(0.1)
        assert server.orders == 0
        again = second.worker.standing(KEY)
        assert (again.error, again.next_attempt) == (known.error, known.next_attempt)
        await console.apply(*host(documents, email="a@b.example"))
        await second.until(lambda: server.orders)
    finally:
        second.task.cancel()
        await asyncio.wait([second.task])
