"""Alerts are delivered to real receivers on this machine: web servers with TLS, and mail servers."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

from isthmus.console.alert_register import Delivery
from isthmus.console.notifier import Notifier
from isthmus.console.session import MOST_TESTS
from isthmus.console.settings import ConsoleSettings
from isthmus.protocol import PresenceReport

from ...conftest import Issued
from .conftest import SHOP, Running, document

LOOPBACK = (ip_network("127.0.0.0/8"),)
Until = Callable[[Callable[[], Any], str], Awaitable[None]]
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def settings(settings: ConsoleSettings) -> ConsoleSettings:
    return replace(settings, alert_networks=LOOPBACK)


@dataclass
class Tls:
    """A certificate of this machine that the system believes in."""

    context: ssl.SSLContext
    authority: str


@pytest.fixture
def tls(tmp_path: Path, pki: Issued, monkeypatch: pytest.MonkeyPatch) -> Tls:
    issued = pki.issue("localhost", "127.0.0.1")
    (tmp_path / "server.pem").write_text(issued.private_key + issued.chain)
    (tmp_path / "ca.pem").write_text(pki.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return Tls(context, pki.pem)


@dataclass
class Hook:
    """A web server that remembers what it was sent. `answers`: the statuses that it gives, the last for ever. Nobody is
    answered while `free` is not set."""

    url: str = ""
    free: asyncio.Event = field(default_factory=asyncio.Event)
    answers: list[int] = field(default_factory=lambda: [200])
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        self.headers.append(dict(request.headers))
        await self.free.wait()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, text="said", headers={"Location": self.url} if status == 302 else None)


@pytest.fixture
async def hook(tls: Tls) -> AsyncIterator[Hook]:
    hook = Hook()
    hook.free.set()
    app = web.Application()
    app.router.add_post("/{tail:.*}", hook.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.context)
    await site.start()
    hook.url = f"https://localhost:{runner.addresses[0][1]}/hook"
    yield hook
    await runner.cleanup()


@dataclass
class Mailbox:
    """A mail server that remembers what it was sent."""

    port: int = 0
    envelopes: list[Envelope] = field(default_factory=list)
    logins: list[bytes] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        return "250 taken"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Envelope, address: str, options: Any) -> str:
        if address.startswith("nobody"):
            return "550 unknown"
        envelope.rcpt_tos.append(address)
        return "250 known"

    def log_in(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login)
        return AuthResult(success=data.password == b"sesame", handled=False)


@pytest.fixture
async def mailbox(tls: Tls) -> AsyncIterator[Mailbox]:
    box = Mailbox()
    options: dict[str, Any] = {"tls_context": tls.context, "require_starttls": True, "auth_required": True}
    make = lambda: SMTP(box, authenticator=box.log_in, hostname="localhost", **options)  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()
    await server.wait_closed()


def secret(name: str, value: str) -> dict[str, Any]:
    return document("Secret", name, {"value": value}, namespace="default")


def receiver(name: str, **spec: Any) -> dict[str, Any]:
    return document("AlertReceiver", name, spec, namespace="default")


async def press(console: Running, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = await console.ask("POST", f"/namespaces/default/alertreceivers/{name}/test")
    return answer


async def test_each_receiver_takes_a_test(console: Running, hook: Hook, mailbox: Mailbox) -> None:
    email = {
        "to": ["ops@example.org"], "sender": "isthmus@example.org", "host": "localhost", "port": mailbox.port,
        "username": "isthmus", "password": {"name": "mail"},
    }  # fmt: skip
    await console.apply(
        secret("token", "t0ken"), secret("slack", f"{hook.url}/services/T0/B0/XX"), secret("pd", KEY),
        secret("mail", "sesame"),
        receiver("hook", webhook={"url": f"{hook.url}?team=a", "bearerToken": {"name": "token"}}),
        receiver("slack", slack={"urlSecret": {"name": "slack"}}),
        receiver("pd", pagerDuty={"routingKey": {"name": "pd"}, "url": hook.url}),
        receiver("mail", email=email),
    )  # fmt: skip
    for name in ("hook", "slack", "pd", "mail"):
        answer = await press(console, name)
        assert (name, answer["state"]) == (name, "delivered"), answer
        assert answer["title"].startswith("[TEST] [FIRING] test")
    webhook, slack, event = hook.bodies
    assert (webhook["version"], webhook["receiver"]) == ("4", "default/hook")
    assert hook.headers[0]["Authorization"] == "Bearer t0ken"
    assert hook.headers[0]["Host"] == hook.url.split("/")[2]
    assert slack["blocks"][0]["text"]["text"].startswith("[TEST]")
    assert (event["routing_key"], event["event_action"]) == (KEY, "trigger")
    [envelope] = mailbox.envelopes
    assert (mailbox.logins, envelope.rcpt_tos) == ([b"isthmus"], ["ops@example.org"])
    content = envelope.content
    assert isinstance(content, bytes)
    body = message_from_bytes(content, policy=policy.default).get_body(("plain",))
    assert body is not None
    assert "a test that admin asked for" in body.get_content()
    shown = await console.ask("GET", "/alerts/receivers")
    assert {each["key"].rpartition("/")[2]: each["works"] for each in shown["items"]} == dict.fromkeys(
        ("hook", "mail", "pd", "slack"), True
    )
    listed = await console.ask("GET", "/alerts/deliveries")
    everything = str(listed) + str(shown) + str(await console.ask("GET", "/audit"))
    for private in ("t0ken", KEY, "sesame", "/services/T0/B0/XX"):
        assert private not in everything
    metrics = (await console.http.get("/metrics")).text
    assert 'isthmus_alert_deliveries_total{outcome="delivered",type="pagerDuty"} 1.0' in metrics


async def test_what_goes_wrong_is_said(console: Running, hook: Hook, mailbox: Mailbox, pki: Issued) -> None:
    mail = {"to": ["nobody@example.org"], "sender": "a@example.org", "host": "localhost", "port": mailbox.port}
    other = pki.issue("other", authority=True).pem
    log_in = {"username": "isthmus", "password": {"name": "wrong"}}
    await console.apply(
        secret("wrong", "wrong"), secret("text", "no url"), secret("plain", "http://localhost:1/x"),
        document("TrustedAuthority", "own", {"certificates": other}, namespace="default"),
        receiver("hook", webhook={"url": hook.url}),
        receiver("strange", webhook={"url": hook.url, "trustedAuthority": {"name": "own"}}),
        receiver("text", slack={"urlSecret": {"name": "text"}}),
        receiver("plain", slack={"urlSecret": {"name": "plain"}}),
        receiver("login", email={**mail, **log_in}),
        receiver("unencrypted", email={**mail, "tls": "NONE"}),
    )  # fmt: skip
    said = {}
    for status in (302, 404, 500):
        hook.answers = [status]
        answer = await press(console, "hook")
        assert answer["state"] == "failed"
        said[status] = answer["detail"]
    assert said[302] == "localhost answers 302, a redirect, which is not followed."
    assert said[404] == "localhost answers 404: said."
    assert len(hook.bodies) == 3
    expected = {
        "strange": "its certificate is not believed",
        "text": "The URL in the Secret is not a URL",
        "plain": "A secret would be sent over http://",
        "login": "answers 535",
        "unencrypted": "answers 530",
    }
    for name, text in expected.items():
        answer = await press(console, name)
        assert answer["state"] == "failed"
        assert text in answer["detail"], answer
    assert mailbox.envelopes == []
    await console.ask("POST", "/namespaces/default/alertreceivers/none/test", status=404)


async def test_a_secret_that_cannot_be_sent_is_refused_and_not_shown(
    console: Running, hook: Hook, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here those that are kept from before: newer ones are refused when they are applied."""
    monkeypatch.setattr("isthmus.console.deployment.find_faulty", lambda *_: ())
    email: dict[str, Any] = {
        "host": "localhost", "port": mailbox.port, "sender": "isthmus@example.org", "to": ["ops@example.org"],
        "username": "isthmus", "password": {"name": "password"},
    }  # fmt: skip
    token = {"url": hook.url, "bearerToken": {"name": "token"}}
    await console.apply(
        secret("token", "t0ken\nx-other: 1"), secret("password", "sésame"),
        receiver("hook", webhook=token), receiver("mail", email=email),
    )  # fmt: skip
    answers = [await press(console, "hook"), await press(console, "mail")]
    for broken in ("t0ken\x01", "t0kén"):
        await console.apply(secret("token", broken))
        answers.append(await press(console, "hook"))
    assert {each["state"] for each in answers} == {"failed"}, answers
    assert all("ASCII" in each["detail"] for each in answers), answers
    shown = json.dumps([*answers, await console.ask("GET", "/alerts/receivers")], ensure_ascii=False)
    assert not [part for part in ("t0k", "sésame", "x-other") if part in shown]
    assert (hook.bodies, mailbox.envelopes) == ([], [])


async def test_nobody_has_more_tests_on_their_way_than_their_part(console: Running, hook: Hook, until: Any) -> None:
    others = receiver("hook", webhook={"url": hook.url})
    others["metadata"]["namespace"] = "shop"
    await console.apply(document("Namespace", "shop"), others, receiver("hook", webhook={"url": hook.url}))
    own, theirs = (f"/api/v1/namespaces/{name}/alertreceivers/hook/test" for name in ("default", "shop"))
    token = (await console.ask("POST", "/tokens", {"role": "admin", "name": "other"}, status=201))["token"]
    hook.free.clear()
    async with console.client(token) as other:
        running = [asyncio.create_task(console.http.post(own)) for _ in range(2)]
        await until(lambda: len(hook.bodies) == 2, "two tests are on their way")
        for who, path in ((console.http, own), (console.http, theirs), (other, own)):
            refused = await who.post(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too-many")
            assert int(refused.headers["Retry-After"]) > 0
        running.append(asyncio.create_task(other.post(theirs)))
        await until(lambda: len(hook.bodies) == 3, "another's test of another namespace is sent meanwhile")
        hook.free.set()
        assert [(await each).status_code for each in running] == [200] * 3
        assert (await console.http.post(own)).status_code == 200
    assert len(hook.bodies) == 4


async def test_nobody_asks_for_more_tests_in_a_minute_than_the_audit_can_bear(console: Running, hook: Hook) -> None:
    await console.apply(receiver("hook", webhook={"url": hook.url}))
    path = "/api/v1/namespaces/default/alertreceivers/hook/test"
    token = (await console.ask("POST", "/tokens", {"role": "admin", "name": "other"}, status=201))["token"]
    tests = console.console.context.sessions.tests
    caller = next(each.id for each in console.console.context.tokens.list() if each.name == "admin")
    for _ in range(MOST_TESTS):
        tests.fail(caller, time.monotonic())
    refused = await console.http.post(path)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too-many")
    assert 0 < int(refused.headers["Retry-After"]) <= 61
    assert hook.bodies == []
    async with console.client(token) as other:
        assert (await other.post(path)).status_code == 200, "others go on"
    entries = (await console.ask("GET", "/audit"))["items"]
    assert [each["who"] for each in entries if each["action"] == "receiver.tested"] == ["other"]


async def test_a_reader_may_look_and_not_send(console: Running, hook: Hook) -> None:
    await console.apply(receiver("hook", webhook={"url": hook.url}))
    token = (await console.ask("POST", "/tokens", {"role": "read", "name": "eyes"}, status=201))["token"]
    async with console.client(token) as eyes:
        assert (await eyes.get("/api/v1/alerts/receivers")).status_code == 200
        assert (await eyes.post("/api/v1/namespaces/default/alertreceivers/hook/test")).status_code == 403
        body = {"matchers": ["site=fra"], "durationSeconds": 60, "comment": "x"}
        assert (await eyes.post("/api/v1/alerts/silences", json=body)).status_code == 403
    assert hook.bodies == []


POLICY = document(
    "AlertPolicy",
    "all",
    {
        "receivers": [{"namespace": "shared", "name": "hook"}], "match": {"rules": ["site-offline"]},
        "groupWait": "0s", "groupInterval": "1ms", "repeatInterval": "1h",
    },
    namespace="shared",
)  # fmt: skip


def shared(hook: Hook) -> dict[str, Any]:
    return document("AlertReceiver", "hook", {"webhook": {"url": hook.url}}, namespace="shared")


def connect(console: Running, *names: str, up: bool = True) -> None:
    observation = console.console.context.observation
    for name in names:
        observation.presence("x", PresenceReport(f"default/site/{name}", up, time.time()))


async def offline(console: Running) -> list[dict[str, Any]]:
    """The alerts of sites that are offline."""
    return [each for each in (await console.ask("GET", "/alerts"))["items"] if each["rule"] == "site-offline"]


async def look(console: Running, later: float) -> None:
    assert console.console.context.alerting is not None
    await console.console.context.alerting.look(time.time() + later)


async def test_alerts_reach_their_receiver_through_failures_and_starts(
    console: Running, hook: Hook, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("isthmus.console.notifier._FIRST", 0.05)
    await console.apply(*SHOP, shared(hook), POLICY)
    connect(console, "fra")
    hook.answers = [503, 429, 200]
    await look(console, 100)
    assert hook.bodies == []
    await look(console, 200)
    await until(lambda: len(hook.bodies) == 3, "a message that is tried until it is taken")
    assert [each["subject"] for body in hook.bodies for each in (a["labels"] for a in body["alerts"])] == [
        "Site nyc"
    ] * 3

    async def delivered() -> bool:
        found = (await console.ask("GET", "/alerts/deliveries"))["items"]
        return [(each["state"], each["attempts"]) for each in found] == [("delivered", 3)]

    await until(delivered, "a delivery that is noted")

    await console.restart()
    connect(console, "fra")
    assert [each["state"] for each in await offline(console)] == ["firing"]
    await look(console, 10)  # within the time in which nobody is missed
    await look(console, 300)
    run = await console.ask("GET", "/alerts/dry-run")
    assert [(each["reason"], len(each["firing"])) for each in run["groups"]] == [("repeat", 1)]
    assert len(hook.bodies) == 3

    connect(console, "nyc")
    await look(console, 310)
    await until(lambda: len(hook.bodies) == 4, "the end of the alert")
    assert (hook.bodies[3]["status"], hook.bodies[3]["groupKey"]) == ("resolved", hook.bodies[0]["groupKey"])
    history = (await console.ask("GET", "/alerts/history?text=nyc"))["items"]
    assert [(each["state"], each["subject"]) for each in history] == [("resolved", "Site nyc")]


async def test_a_message_that_was_kept_is_sent_after_a_start(console: Running, hook: Hook, until: Until) -> None:
    await console.apply(*SHOP, shared(hook), POLICY)
    connect(console, "fra")
    context = console.console.context
    quiet = Notifier(context.deployment, context.store, LOOPBACK)  # plans, and ends before it sends
    alerting = context.alerting
    assert alerting is not None
    running, alerting.notifier = alerting.notifier, quiet
    await look(console, 100)
    await look(console, 200)
    alerting.notifier = running
    assert quiet.waiting() == 1
    assert hook.bodies == []
    await console.restart()
    await until(lambda: len(hook.bodies) == 1, "the message that was kept")
    assert hook.bodies[0]["alerts"][0]["labels"]["subject"] == "Site nyc"


async def test_a_silence_keeps_what_it_is_of_from_everybody(console: Running, hook: Hook) -> None:
    await console.apply(*SHOP, shared(hook), POLICY)
    connect(console, "fra")
    body = {"matchers": ["site=nyc"], "durationSeconds": 3600, "comment": "moving house"}
    made = await console.ask("POST", "/alerts/silences", body, status=201)
    assert (made["state"], made["author"], made["matchers"]) == ("active", "admin", ["site=nyc"])
    await look(console, 100)
    await look(console, 200)
    [item] = await offline(console)
    assert (item["state"], item["silence"]) == ("firing", made["id"])
    run = await console.ask("GET", "/alerts/dry-run")
    assert ([each["subject"] for each in run["silenced"]], run["groups"]) == (["Site nyc"], [])
    assert {each["rule"] for each in run["unsent"]} == {"region-offline"}
    await console.restart()
    [kept] = (await console.ask("GET", "/alerts/silences"))["items"]
    assert kept["id"] == made["id"]
    assert (await console.ask("DELETE", f"/alerts/silences/{made['id']}"))["state"] == "expired"
    await console.ask("DELETE", "/alerts/silences/none", status=404)
    answer = await console.ask("POST", "/alerts/silences", {**body, "matchers": ["size=big"]}, status=422)
    assert "is no matcher" in answer["error"]["message"]
    [group] = (await console.ask("GET", "/alerts/dry-run"))["groups"]
    assert (group["reason"], group["receivers"]) == ("new", ["default/AlertReceiver/shared/hook"])
    assert hook.bodies == []


async def test_one_receiver_holds_up_no_other(console: Running, hook: Hook, until: Until) -> None:
    """Nobody listens at the first; messages to the second go on, and those to the first wait in order."""
    await console.apply(
        receiver("dead", webhook={"url": "https://localhost:1/"}), receiver("hook", webhook={"url": hook.url})
    )
    notifier = console.console.context.alerting.notifier  # type: ignore[union-attr]
    made = (await press(console, "hook"))["id"]
    [sent] = [each for each in await asyncio.to_thread(console.console.context.store.deliveries, 9) if each.id == made]
    for index, name in enumerate(("dead", "dead", "hook", "hook")):
        key = f"default/AlertReceiver/default/{name}"
        notifier._waiting.setdefault(key, []).append(Delivery(str(index), key, sent.notification, time.time()))
    notifier._wake.set()
    await until(lambda: len(hook.bodies) == 3, "messages to the one that works")
    await until(lambda: notifier.outcomes.get("default/AlertReceiver/default/dead"), "the one that does not")
    assert notifier.waiting("default/AlertReceiver/default/dead") == 2
    assert "cannot be reached" in notifier.outcomes["default/AlertReceiver/default/dead"].detail


async def test_one_namespace_holds_up_no_other(console: Running, hook: Hook, tls: Tls, until: Until) -> None:
    """Forty receivers of one do not answer. They have their part of the places, and no more."""
    opened: list[asyncio.StreamWriter] = []

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0, ssl=tls.context)
    url = f"https://localhost:{server.sockets[0].getsockname()[1]}/"
    names = [f"slow-{index}" for index in range(40)]
    await console.apply(
        document("Namespace", "loud", {}),
        *(document("AlertReceiver", name, {"webhook": {"url": url}}, namespace="loud") for name in names),
        receiver("hook", webhook={"url": hook.url}),
    )
    notifier = console.console.context.alerting.notifier  # type: ignore[union-attr]
    made = (await press(console, "hook"))["id"]
    [sent] = [each for each in await asyncio.to_thread(console.console.context.store.deliveries, 9) if each.id == made]
    keys = [f"default/AlertReceiver/loud/{name}" for name in names]
    for index, key in enumerate(keys):
        notifier._waiting[key] = [Delivery(str(index), key, sent.notification, time.time())]
    notifier._wake.set()
    await until(lambda: len(opened) >= 4, "messages to those that say nothing")
    key = "default/AlertReceiver/default/hook"
    notifier._waiting[key] = [Delivery("last", key, sent.notification, time.time())]
    notifier._wake.set()
    await until(lambda: len(hook.bodies) == 2, "the message of the other namespace")
    assert len(notifier._busy & set(keys)) <= 4
    server.close()
    for writer in opened:
        writer.transport.abort()
