"""The console's pages without a browser: who gets in, what a form needs, what every page carries."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import yaml

from isthmus.console.api.telemetry_answer import RecordAnswer, RequestPath
from isthmus.console.difference import diff_of, document_of, emit_yaml
from isthmus.console.record import Account, PastChange, Revision
from isthmus.console.session import (
    MOST_CODES,
    SESSION_LIFETIME,
    Attempts,
    SessionBook,
    caller_of,
    hash_password,
    verify_password,
)
from isthmus.console.token import TokenBook
from isthmus.console.watch import Watch, parse_brief
from isthmus.console.web import blank
from isthmus.console.web.form import Form
from isthmus.console.web.geometry import HEIGHT, WIDTH, project, world_path
from isthmus.console.web.history import HistoryBroken, past_text, take_back
from isthmus.console.web.record import awaited_site
from isthmus.console.web.sign_in import Gate
from isthmus.console.web.visit import COOKIE, local_target
from isthmus.demo.example import example_directory
from isthmus.model.document import parse_documents, parse_yaml
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import Object
from isthmus.protocol import StatusReport

from .conftest import Running
from .visitor import PASSWORD, Browser, admin


async def test_nobody_gets_in_without_signing_in(browser: Browser) -> None:
    for path in ("/", "/sites", "/virtualhosts/default/shop", "/settings", "/objects/routes"):
        answer = await browser.http.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in")
    assert (await browser.post("/sites/fra/drain", {})).headers["location"] == "/sign-in"
    answer = await browser.http.get("/sites", headers={"HX-Request": "true"})
    assert answer.headers["hx-refresh"] == "true"


async def test_a_token_signs_in_and_leads_where_one_wanted_to_go(browser: Browser, shop: Running) -> None:
    token = (shop.state / "admin.token").read_text().strip()
    answer = await browser.post("/sign-in", {"token": token, "next": "/sites/fra"})
    assert answer.headers["location"] == "/sites/fra"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert token not in cookie
    page = await browser.http.get("/sites/fra")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert "<script>" not in page.text
    assert " style=" not in page.text
    assert " onclick=" not in page.text


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/\\evil.example", "\t//evil.example"])
def test_signing_in_leads_to_no_other_host(target: str) -> None:
    assert local_target(target) == "/"


async def test_wrong_credentials_are_refused_and_then_slowed_down(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "admin", "password": PASSWORD}, status=201)
    for _ in range(10):
        answer = await browser.post("/sign-in", {"token": "isthmus-admin.guess"})
        assert answer.status_code == 403
        assert "not valid" in answer.text
    answer = await browser.post("/sign-in", {"name": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert "Try again in" in answer.text
    entries = (await shop.ask("GET", "/audit"))["items"]
    assert sum(each["action"] == "sign-in.refused" for each in entries) == 10


async def test_a_user_signs_in_until_removed(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "read", "password": PASSWORD}, status=201)
    assert PASSWORD not in str(await shop.ask("GET", "/accounts"))
    wrong = await browser.post("/sign-in", {"name": "ada", "password": "something else entirely"})
    assert wrong.status_code == 403
    assert "do not belong together" in wrong.text
    unknown = await browser.post("/sign-in", {"name": "eve", "password": PASSWORD})
    assert "do not belong together" in unknown.text
    assert (await browser.post("/sign-in", {"name": "ada", "password": PASSWORD})).status_code == 303
    assert (await browser.http.get("/settings")).status_code == 200
    await shop.ask("PUT", "/accounts/ada/password", {"password": PASSWORD + "!"})
    assert (await browser.http.get("/settings")).status_code == 303
    assert (await browser.post("/sign-in", {"name": "ada", "password": PASSWORD + "!"})).status_code == 303
    await shop.ask("DELETE", "/accounts/ada")
    assert (await browser.http.get("/settings")).status_code == 303


async def test_a_code_works_once(browser: Browser, shop: Running) -> None:
    code = (await shop.ask("POST", "/sign-in-codes", {}, status=201))["code"]
    assert (await browser.post("/sign-in", {"code": code})).status_code == 303
    other = Browser(shop)
    refused = await other.post("/sign-in", {"code": code})
    await other.http.aclose()
    assert refused.status_code == 403
    assert "used already" in refused.text


async def test_a_session_ends_with_its_token_and_outlives_the_console(browser: Browser, shop: Running) -> None:
    made = await shop.ask("POST", "/tokens", {"role": "read", "name": "visitor"}, status=201)
    await browser.post("/sign-in", {"token": made["token"]})
    await shop.restart()
    assert (await browser.http.get("/sites")).status_code == 200
    await shop.ask("DELETE", f"/tokens/{made['id']}")
    assert (await browser.http.get("/sites")).status_code == 303


async def test_forged_forms_are_refused(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    csrf = await browser.csrf()
    for form, headers in (
        ({}, {}),
        ({"csrf": "0" * 64}, {}),
        ({"csrf": csrf}, {"Origin": "https://evil.example"}),
        ({"csrf": csrf}, {"Origin": "null"}),
    ):
        assert (await browser.post("/sites/fra/drain", form, **headers)).status_code == 403
    assert (await browser.http.post("/sites/fra/drain", content=f"csrf={csrf}")).status_code == 403
    assert "drained" not in (await shop.ask("GET", "/sites/fra"))["spec"]
    assert (await browser.post("/sites/fra/drain", {"csrf": csrf})).status_code == 303
    assert (await shop.ask("GET", "/sites/fra"))["spec"]["drained"] is True


async def test_who_reads_cannot_edit(browser: Browser, shop: Running) -> None:
    made = await shop.ask("POST", "/tokens", {"role": "read", "name": "visitor"}, status=201)
    await browser.post("/sign-in", {"token": made["token"]})
    before = await shop.ask("GET", "/status")
    for path in (
        "/sites/fra/drain",
        "/sites/fra/remove",
        "/sites/fra/token",
        "/sites/new",
        "/objects/routes/default/all/edit",
        "/objects/routes/default/all/delete",
        "/objects/routes/default/all/history/1/revert",
        "/objects/routes/check",
        "/settings/tokens",
        "/settings/users",
    ):
        answer = await browser.act(path, name="x", role="admin", do="apply")
        assert answer.status_code == 403, path
        assert "may only read" in answer.text
    assert (await browser.http.get("/objects/routes/new")).status_code == 403
    assert (await shop.ask("GET", "/status"))["revision"] == before["revision"]


async def test_edit_review_apply_and_revert(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    page = (await browser.http.get("/objects/routes/default/all/edit?as=yaml")).text
    revision = re.search(r'name="revision" value="(\d+)"', page)
    assert revision is not None
    text = "apiVersion: isthmus/v1\nkind: Route\nmetadata: {name: all}\nspec:\n  directResponse: {status: 204}\n"
    common = {"as": "yaml", "text": text, "revision": revision[1]}
    review = await browser.act("/objects/routes/default/all/edit", **common, do="review")
    assert "+  directResponse:" in review.text
    assert "directResponse" not in str(await shop.ask("GET", "/namespaces/default/routes/all"))
    applied = await browser.act("/objects/routes/default/all/edit", **common, do="apply")
    assert applied.status_code == 303
    assert (await shop.ask("GET", "/namespaces/default/routes/all"))["spec"] == {"directResponse": {"status": 204}}
    late = {**common, "text": text.replace("204", "200")}
    stale = await browser.act("/objects/routes/default/all/edit", **late, do="apply")
    assert stale.status_code == 422
    assert "is at revision" in stale.text
    await browser.act(f"/objects/routes/default/all/history/{revision[1]}/revert")
    assert "forward" in (await shop.ask("GET", "/namespaces/default/routes/all"))["spec"]


async def test_what_was_deleted_can_be_brought_back(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    before = await shop.ask("GET", "/namespaces/default/virtualhosts/shop")
    assert (await browser.act("/objects/virtualhosts/default/shop/delete")).status_code == 303
    assert (await browser.http.get("/virtualhosts/default/shop")).status_code == 404
    assert "Bring it back" in (await browser.http.get("/objects/virtualhosts/default/shop/history")).text
    await browser.act(f"/objects/virtualhosts/default/shop/history/{before['metadata']['revision']}/revert")
    assert (await shop.ask("GET", "/namespaces/default/virtualhosts/shop"))["spec"] == before["spec"]


async def test_what_others_need_is_not_deleted_and_the_page_says_why(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    answer = await browser.act("/objects/clusters/default/web/delete")
    assert answer.status_code == 409
    assert "Route default/all refers to it" in answer.text


async def test_errors_are_pages_for_browsers_and_json_for_programs(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    page = await browser.http.get("/nowhere", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<h1>Not found</h1>" in page.text
    assert (await browser.http.get("/nowhere")).json()["error"]["code"] == "not-found"
    assert (await browser.http.get("/api/v1/nowhere", headers={"Accept": "text/html"})).json()["error"]


async def test_names_in_pages_are_text(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    await shop.apply(
        {"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "x", "description": "<script>alert(1)"}}
    )
    for path in ("/objects/namespaces/-/x", "/search?q=%3Cscript%3E", "/objects/namespaces", "/events/revisions/2"):
        page = await browser.http.get(path)
        assert "<script>alert" not in page.text
        assert "<script>" not in page.text


async def test_lists_page_on_the_server(browser: Browser, shop: Running) -> None:
    await admin(browser, shop)
    names = [f"e{number:03}" for number in range(120)]
    await shop.apply(
        *(
            {
                "apiVersion": "isthmus/v1",
                "kind": "Endpoint",
                "metadata": {"name": name},
                "spec": {"where": {"site": "nyc"}, "address": "127.0.0.1", "port": 80},
            }
            for name in names
        )
    )
    page = (await browser.http.get("/objects/endpoints?page=2")).text
    shown = re.findall(r">default/(e\d{3})<", page)
    assert shown == names[50:100]
    assert "51–100 of 121" in page
    assert re.findall(r">default/(e\d{3})<", (await browser.http.get("/objects/endpoints?q=e11")).text) == names[110:]
    assert (await browser.http.get("/objects/endpoints?page=99999999")).status_code == 200


def examples() -> list[Object]:
    found = []
    for path in sorted(example_directory().rglob("*.yaml")):
        parsed = parse_yaml(path.read_text())
        assert not parsed.diagnostics
        found += parsed.objects
    return found


def test_a_form_gives_every_example_back() -> None:
    """Drawn as a form and sent untouched, an object is what it was: the form loses nothing."""
    for obj in examples():
        document = document_of(obj)
        fields = blank.draw(obj.kind, document, new=True)
        again = blank.read(obj.kind, Form(list(blank.sent(fields))), {"metadata": {}})
        (found,) = parse_documents([again]).objects
        assert found == obj or (obj.kind == "Secret" and document_of(found) == document), obj.key


def test_every_kind_has_a_form() -> None:
    for name in PUBLIC_KINDS:
        paths = [each.path for each in blank.draw(name, {}, new=True)]
        assert "metadata.name" in paths


def test_items_of_a_form_move_and_leave() -> None:
    start = {"spec.routes#": "3", "spec.routes[0]": "a", "spec.routes[1]": "b", "spec.routes[2]": "c"}
    form = Form(list(start.items()))

    def routes(changed: Form) -> Any:
        return [each["name"] for each in blank.read("VirtualHost", changed, {})["spec"]["routes"]]

    assert routes(blank.change(form, "up:spec.routes[2]")) == ["a", "c", "b"]
    assert routes(blank.change(form, "down:spec.routes[0]")) == ["b", "a", "c"]
    assert routes(blank.change(form, "drop:spec.routes[1]")) == ["a", "c"]
    assert blank.change(form, "add:spec.routes").get("spec.routes#") == "4"
    assert blank.change(form, "drop:spec.routes[9]").pairs == form.pairs


def routes_over_time() -> list[Object]:
    texts = (
        "{directResponse: {status: 200}}",
        "{match: [{path: {prefix: /a}}], directResponse: {status: 200, body: one}}",
        "{match: [{path: {prefix: /b}}, {methods: [GET]}], directResponse: {status: 404, body: one}}",
        "{redirect: {host: other.example}}",
    )
    frame = {"apiVersion": "isthmus/v1", "kind": "Route", "metadata": {"name": "r"}}
    return [parse_documents([{**frame, "spec": yaml.safe_load(text)}]).objects[0] for text in texts]


def test_every_past_form_can_be_made_again() -> None:
    forms: list[Object | None] = [None, *routes_over_time(), None]
    now = datetime.now(UTC)
    revisions = [
        Revision(number, now, "ada", (PastChange("default/Route/default/r", "updated", diff_of(old, new)),))
        for number, (old, new) in enumerate(pairwise(forms), start=1)
    ]
    newest_first = list(reversed(revisions))
    for number, form in enumerate(forms):
        wanted = emit_yaml(document_of(form)) if form is not None else ""
        assert past_text(forms[-1], newest_first, number) == wanted


def test_a_difference_of_another_text_is_refused() -> None:
    old, new, other, *_ = routes_over_time()
    with pytest.raises(HistoryBroken):
        take_back(emit_yaml(document_of(other)).splitlines(), diff_of(old, new))


def test_passwords_are_hashed_each_with_its_salt() -> None:
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert verify_password(PASSWORD, first)
    assert not verify_password(PASSWORD + "x", first)


async def test_attempts_at_once_are_as_many_as_attempts_in_turn(browser: Browser, shop: Running) -> None:
    await shop.ask("POST", "/accounts", {"name": "ada", "role": "admin", "password": PASSWORD}, status=201)
    answers = await asyncio.gather(
        *(browser.post("/sign-in", {"name": "ada", "password": f"guess {number} of many"}) for number in range(14))
    )
    assert sorted(answer.status_code for answer in answers) == [403] * 10 + [429] * 4


def test_a_sign_in_by_token_gives_no_further_guesses_at_a_name() -> None:
    gate = Gate()
    for moment in range(9):
        gate.fail("127.0.0.1", "ada", moment)
    gate.fail("127.0.0.1", "", 9)
    gate.pass_("127.0.0.1", "", 9)
    gate.fail("127.0.0.1", "ada", 10)
    assert gate.wait("192.0.2.1", "ada", 11) > 0


def test_of_one_caller_s_sign_in_codes_only_the_newest_work() -> None:
    now = datetime.now(UTC)
    account = Account("ada", "read", "", now)
    book = SessionBook(TokenBook([]), [account])
    codes = [book.add_code(caller_of(account), now)[0] for _ in range(MOST_CODES + 3)]
    assert [book.use_code(code, now) is not None for code in codes] == [False] * 3 + [True] * MOST_CODES


def test_attempts_are_counted_in_a_window_and_forgotten() -> None:
    attempts = Attempts(3, 60, most=2)
    for moment in (0.0, 10.0, 20.0):
        assert attempts.wait("a", moment) == 0
        attempts.fail("a", moment)
    assert attempts.wait("a", 30) == 30
    assert attempts.wait("a", 61) == 0
    attempts.fail("b", 61)
    attempts.fail("c", 61)
    assert attempts.wait("a", 30) == 0


def test_places_are_where_they_belong() -> None:
    assert project(0, 0)[0] == pytest.approx(WIDTH / 2)
    west, east = project(-74, 40.7), project(8.7, 50.1)
    assert west[0] < east[0]
    assert east[1] < west[1]
    assert all(0 <= y <= HEIGHT for _, y in (west, east, project(151, -33.9), project(25, 71)))
    assert world_path().startswith("M")
    assert world_path().count("z") > 150


@pytest.mark.parametrize("document", [{}, {"envoy": 3}, {"bgp": {"sessions": 1}}, {"endpoints": [3, {"healthy": "x"}]}])
def test_reports_of_another_form_do_not_stop_the_watch(document: dict[str, Any]) -> None:
    brief = parse_brief("fra", document)
    assert all(each.healthy is None for each in brief.endpoints)


def test_events_say_in_which_cluster_an_endpoint_fails() -> None:
    watch = Watch()
    endpoint = {"cluster": "default/Cluster/shop/web", "endpoint": "default/Endpoint/shop/fra-1", "since": 1.0}
    for healthy, reason in ((True, ""), (False, "fails its health check: timeout"), (True, "")):
        document = {"endpoints": [{**endpoint, "healthy": healthy, "reason": reason}]}
        watch.feed_status(StatusReport("default/site/fra", json.dumps(document).encode(), 1.0))
    again, down = watch.events()
    assert (down.level, down.text) == ("bad", "is unhealthy in shop/web: fails its health check: timeout")
    assert (again.level, again.text, again.key) == ("good", "is healthy again in shop/web", endpoint["endpoint"])


def test_a_session_is_short() -> None:
    assert timedelta(hours=1) < SESSION_LIFETIME <= timedelta(hours=24)


def test_a_request_awaits_the_site_that_it_went_out_at() -> None:
    def hop(log: str, site: str, peer: str) -> RecordAnswer:
        return RecordAnswer.model_construct(log=log, site=site, peer=peer)

    def awaited(*hops: RecordAnswer) -> str:
        return awaited_site(RequestPath.model_construct(hops=list(hops)))

    came = hop("ingress", "ams", "fra")
    assert awaited(came) == "fra"
    assert awaited(came, hop("egress", "fra", "ams")) == ""
    assert awaited(hop("ingress", "ams", "ams")) == ""
    assert awaited(hop("ingress", "ams", "")) == ""


def test_a_number_that_no_float_holds_is_none() -> None:
    assert parse_brief("fra", {"started": 10**400}) == parse_brief("fra", {})
