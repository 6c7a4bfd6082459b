"""People who sign in: their passwords, and how much they may do of what is kept for ever."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.console.api.limit import FORM_BYTES, FORM_TYPE, UNKNOWN_BYTES
from isthmus.console.record import Account, ApiToken
from isthmus.console.session import MOST_SESSIONS, MOST_TURNS, SessionBook, caller_of
from isthmus.console.token import TokenBook
from isthmus.console.web.sign_in import peer_group

from .conftest import Running
from .visitor import PASSWORD, Browser, admin, exchange

OTHER = "another horse battery"


async def test_who_is_signed_in_needs_the_password_of_now_for_another(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "admin", "password": PASSWORD}, status=201)
    await browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert 'name="current"' in (await browser.http.get("/settings")).text
    for given in ({}, {"current": OTHER}):
        refused = await browser.act("/settings/users/ada/password", password=OTHER, **given)
        assert refused.status_code == 403
        assert "not the password that ada has now" in refused.text
    short = await browser.act("/settings/users/ada/password", password="short", current=PASSWORD)
    assert (short.status_code, "at least 12" in short.text) == (422, True)
    assert (await browser.http.get("/settings")).status_code == 200, "nothing has changed"
    changed = await browser.act("/settings/users/ada/password", password=OTHER, current=PASSWORD)
    assert changed.status_code == 303
    assert (await browser.http.get("/settings")).status_code == 303, "signed out"
    assert (await browser.post("/sign-in", {"name": "ada", "password": OTHER})).status_code == 303


async def test_a_session_cannot_guess_the_password_for_long(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "read", "password": PASSWORD}, status=201)
    await browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    csrf = await browser.csrf()
    form = {"csrf": csrf, "password": OTHER}
    for number in range(10):
        answer = await browser.post("/settings/users/ada/password", {**form, "current": f"guess {number} of many"})
        assert answer.status_code == 403
    late = await browser.post("/settings/users/ada/password", {**form, "current": PASSWORD})
    assert (late.status_code, "Try again in" in late.text) == (429, True)


async def test_an_administrator_gives_somebody_else_a_password_without_theirs(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "read", "password": PASSWORD}, status=201)
    await admin(browser, shop)
    assert 'name="current"' not in (await browser.http.get("/settings")).text
    assert (await browser.act("/settings/users/ada/password", password=OTHER)).status_code == 303


async def test_who_may_only_read_cannot_fill_the_audit(browser: Browser, shop: Running) -> None:
    made = await shop.ask("POST", "/tokens", {"role": "read", "name": "visitor"}, status=201)
    visitor = shop.client(made["token"])
    answers = [(await visitor.post("/api/v1/sign-in-codes")) for _ in range(MOST_TURNS + 5)]
    await visitor.aclose()
    assert [answer.status_code for answer in answers] == [201] * MOST_TURNS + [429] * 5
    assert "60 times in an hour" in answers[-1].json()["error"]["message"]
    refused = await browser.post("/sign-in", {"token": made["token"]})
    assert (refused.status_code, "Try again in" in refused.text) == (429, True)
    entries = (await shop.ask("GET", "/audit", params={"limit": 1000}))["items"]
    assert sum(each["who"] == "visitor" for each in entries) == MOST_TURNS
    await shop.ask("POST", "/sign-in-codes", {}, status=201)
    assert (await admin(browser, shop)).http.cookies, "others go on"


async def test_one_caller_has_few_sessions_and_its_oldest_end(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    first = dict(browser.http.cookies)
    for _ in range(MOST_SESSIONS):
        await admin(browser, shop)
    assert (await browser.http.get("/sites")).status_code == 200
    with sqlite3.connect(shop.state / "console.db") as database:
        assert database.execute("select count(*) from session").fetchone() == (MOST_SESSIONS,)
    browser.http.cookies.clear()
    browser.http.cookies.update(first)
    assert (await browser.http.get("/sites")).status_code == 303


def test_sessions_of_others_do_not_end_for_one_s_own() -> None:
    now = datetime.now(UTC)
    ada, eve = Account("ada", "read", "", now), Account("eve", "read", "", now)
    token = ApiToken("1", "", "read", "program", now)
    book = SessionBook(TokenBook([token]), [ada, eve])
    kept = [book.open(caller, now)[1] for caller in (caller_of(eve), token)]
    ended = [book.open(caller_of(ada), now + timedelta(seconds=each))[2] for each in range(MOST_SESSIONS + 2)]
    assert [len(each) for each in ended] == [0] * MOST_SESSIONS + [1, 1]
    assert all(book.find(secret, now) for secret in kept)


def test_turns_come_back_and_are_each_caller_s_own() -> None:
    now = datetime.now(UTC)
    ada, eve = (caller_of(Account(name, "read", "", now)) for name in ("ada", "eve"))
    root = caller_of(Account("root", "admin", "", now))
    book = SessionBook(TokenBook([]))
    assert not any(book.turn(ada, now) for _ in range(MOST_TURNS))
    assert book.turn(ada, now) == 3600
    assert (book.turn(eve, now), book.turn(ada, now + timedelta(hours=1))) == (0, 0)
    assert not any(book.turn(root, now) for _ in range(MOST_TURNS + 1))


@pytest.mark.parametrize(
    ("host", "group"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_attempts_from_one_ipv6_network_are_one_s(host: str, group: str) -> None:
    assert peer_group(host) == group


async def test_a_large_object_can_be_edited_as_yaml(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    text = f"""# {"x" * 2 * UNKNOWN_BYTES}
apiVersion: isthmus/v1
kind: Route
metadata: {{name: all}}
spec:
  directResponse: {{status: 204}}
"""
    revision = str((await shop.ask("GET", "/namespaces/default/routes/all"))["metadata"]["revision"])
    form = {"as": "yaml", "text": text, "revision": revision, "do": "review"}
    review = await browser.act("/objects/routes/default/all/edit", **form)
    assert (review.status_code, "+  directResponse:" in review.text) == (200, True)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.http.cookies.items())
    head = f"POST /objects/routes/check HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nContent-Type: {FORM_TYPE}\r\n"
    much = await exchange(shop, f"{head}Content-Length: {FORM_BYTES + 1}\r\n\r\n".encode())
    assert much.startswith(b"HTTP/1.1 413 ")
    assert b"A form has at most 16 MB" in much


async def test_who_may_not_edit_sends_no_large_form(browser: Browser, shop: Running) -> None:
    made = await shop.ask("POST", "/tokens", {"role": "read", "name": "visitor"}, status=201)
    await browser.post("/sign-in", {"token": made["token"]})
    refused = await browser.act("/objects/routes/check", text="x" * UNKNOWN_BYTES)
    assert refused.status_code == 401
