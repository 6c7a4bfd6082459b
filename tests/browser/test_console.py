"""The console in a real browser, with the demo's live data."""

import re
import secrets
from typing import Any

import httpx
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

from isthmus.demo.deployment import isthmus
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import ask_many

from .conftest import Visit, Visitor

VIEWS = (
    "/",
    "/map",
    "/sites",
    "/sites?q=nowhere",
    "/sites/fra",
    "/sites/new",
    "/graph?since=-5m&compare=-1h",
    "/requests?status=2xx",
    "/requests?path=nowhere-to-be-found",
    "/apis",
    "/apis/shop/shop",
    "/apis/shop/shop?q=nowhere-to-be-found&method=GET&sort=busy",
    "/alerts",
    "/alerts?q=nothing-like-it",
    "/alerts/history",
    "/alerts/silences",
    "/alerts/receivers",
    "/events",
    "/events/revisions",
    "/events/revisions/2",
    "/events/audit",
    "/virtualhosts",
    "/virtualhosts/shop/shop",
    "/objects",
    "/objects/routes",
    "/objects/healthchecks?q=nothing-like-it",
    "/objects/clusters/shop/web",
    "/objects/regions/-/eu",
    "/objects/virtualhosts/shop/shop/edit",
    "/objects/routes/shop/pages/edit?as=yaml",
    "/objects/routes/new",
    "/objects/routes/shop/pages/history",
    "/objects/routes/shop/pages/history/2",
    "/explain?url=http://shop.example/&from=ams",
    "/search?q=shop",
    "/settings",
)


async def serious(visitor: Visitor) -> list[str]:
    """What axe-core finds on the page that keeps people from using it."""
    results = await Axe().run(visitor.page)
    return [
        f"{visitor.page.url}: {each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in results.response["violations"]
        if each["impact"] in ("serious", "critical")
    ]


async def test_traffic_is_seen(shop: Shop, visit: Visit) -> None:
    """Requests appear in the charts, in the graph, and one by one with where their time went."""
    await ask_many(shop.target("ams", "/slow/30?seen=yes"), 20)
    visitor = await visit()
    page = visitor.page
    await visitor.open("/requests?path=seen")
    row = page.get_by_role("link", name="GET shop.example/slow/30?seen=yes").first
    await expect(row).to_be_visible()
    await row.click()
    await expect(page.get_by_role("heading", name="Where the time went")).to_be_visible()
    for place in ("ingress", "fabric", "egress", "application"):  # the sites tell each of its own part, when it can
        await expect(page.locator(".spans")).to_contain_text(place)
    assert await serious(visitor) == []
    await page.get_by_role("link", name="Explain", exact=True).last.click()
    await expect(page.get_by_label("Answer")).to_contain_text("shop/web")
    await visitor.open("/apis/shop/shop?q=/slow/")
    await page.get_by_role("link", name=re.compile("^.slow")).first.click()
    await expect(page.get_by_role("img", name=re.compile("^Latency from"))).to_be_visible()
    await expect(page.get_by_role("link", name="shop/web")).to_be_visible()
    assert await serious(visitor) == []
    await visitor.open("/graph")
    await expect(page.get_by_role("link", name=re.compile("^virtual-host shop"))).to_be_visible()
    await visitor.open("/virtualhosts/shop/shop?since=-5m")
    chart = page.locator(".chart").first
    await expect(chart).to_be_visible()
    await chart.focus()
    await page.keyboard.press("ArrowLeft")
    await expect(chart.locator("figcaption")).to_contain_text(" at ")
    await expect(page.get_by_role("figure", name=re.compile("^Retries and errors: "))).to_be_visible()
    await page.get_by_role("link", name="1 h", exact=True).click()
    await page.wait_for_url(re.compile("since=-1h"))
    assert visitor.complaints == []


async def test_every_view_is_accessible_and_quiet(visit: Visit) -> None:
    """axe-core has no serious finding, and the browser's console no complaint; links to every view work as they are."""
    visitor = await visit()
    found = []
    for path in VIEWS:
        await visitor.open(path)
        found += await serious(visitor)
    assert found == []
    assert visitor.complaints == []


RECEIVER = """
apiVersion: isthmus/v1
kind: AlertReceiver
metadata: {{namespace: shop, name: {name}}}
spec:
  webhook: {{url: "https://10.255.255.1/hook"}}
"""


async def test_silences_and_receivers_of_alerts(visit: Visit) -> None:
    """A silence is made and ended; a receiver is declared, tested, and says why it was not reached."""
    mark = secrets.token_hex(4)  # in one deployment as often as one likes
    visitor = await visit()
    page = visitor.page
    await visitor.open("/")
    await page.get_by_role("navigation").get_by_role("link", name="Alerts", exact=True).first.click()
    await page.get_by_role("link", name="Silences").click()
    await page.get_by_label("Alerts that meet all of these").fill("site=fra\nalertname!=lag")
    await page.get_by_label("Why").fill(f"the cabinet moves {mark}")
    await page.get_by_role("button", name="Silence", exact=True).click()
    row = page.get_by_role("row").filter(has_text=mark)
    await expect(row).to_contain_text("site=fra")
    assert await serious(visitor) == []
    page.once("dialog", lambda dialog: dialog.accept())
    await row.get_by_role("button", name="Expire").click()
    await expect(row).to_contain_text("expired")
    await visitor.open("/objects/alertreceivers/new?as=yaml")
    await page.locator("textarea[name='text']").fill(RECEIVER.format(name=f"hook-{mark}"))
    await page.get_by_role("button", name="Review changes").click()
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_role("status")).to_contain_text("Applied as revision")
    await visitor.open("/alerts/receivers")
    tested = page.get_by_role("row").filter(has_text=f"shop/hook-{mark}")
    await tested.get_by_role("button", name="Test").click()
    await expect(page.get_by_role("alert")).to_contain_text("only addresses that are not public")
    await expect(tested.first).to_contain_text("fails")
    assert await serious(visitor) == []
    assert visitor.complaints == []


async def test_in_the_dark_and_on_a_phone(visit: Visit) -> None:
    """Dark colours keep their contrast, and no page is wider than a phone."""
    visitor = await visit(390, dark=True)
    found = []
    for path in VIEWS:
        await visitor.open(path)
        width = await visitor.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 390, f"{path} is {width} pixels wide"
        if path in (
            "/",
            "/sites/fra",
            "/virtualhosts/shop/shop",
            "/objects/routes/shop/pages/history",
            "/settings",
            "/events/audit",
        ):
            found += await serious(visitor)
    assert found == []
    await visitor.open("/sites")
    await visitor.page.get_by_role("button", name="Menu").click()
    await visitor.page.get_by_role("navigation").get_by_role("link", name="Settings").click()
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Settings")
    assert visitor.complaints == []


async def test_a_link_signs_in_once_and_leaves_no_secret(shop: Shop, visit: Visit) -> None:
    link = await shop.deployment.sign_in_link()
    visitor = await visit(signed_in=False)
    await visitor.open("/sites/fra")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign in to Isthmus")
    assert await serious(visitor) == []
    await visitor.page.goto(link)
    assert "#" not in visitor.page.url
    await visitor.page.get_by_role("button", name="Sign in", exact=True).click()
    await visitor.page.wait_for_url(f"{visitor.url}/")
    cookie = next(each for each in await visitor.context.cookies() if each["name"] == "__Host-isthmus")
    assert cookie["secure"]
    assert cookie["httpOnly"]
    assert await visitor.page.evaluate("document.cookie") == ""

    second = await visit(signed_in=False)
    await second.page.goto(link)
    await second.page.get_by_role("button", name="Sign in", exact=True).click()
    await expect(second.page.get_by_role("alert")).to_contain_text("used already")

    await visitor.page.get_by_role("button", name="Sign out").click()
    await visitor.open("/settings")
    await expect(visitor.page.get_by_role("heading", level=1)).to_have_text("Sign in to Isthmus")
    log = (shop.deployment.directory / "log" / "console.log").read_text()
    assert link.rpartition("#")[2] not in log


async def test_edit_diff_apply_revert(shop: Shop, visit: Visit) -> None:
    """A route is edited as a form, checked while typed, reviewed, applied, and reverted with one click."""
    before = await shop.deployment.ask("GET", "/namespaces/shop/routes/pages")
    visitor = await visit()
    page = visitor.page
    await visitor.open("/objects/routes/shop/pages/edit")
    timeout = page.locator("[name='spec.forward.timeout']")
    await timeout.fill("ten seconds")
    check = page.locator("#check")
    await expect(check).to_contain_text("is not a duration")
    await expect(timeout).to_have_attribute("aria-invalid", "true")
    await timeout.fill("10s")
    await expect(check.locator(".add")).to_contain_text("timeout: 10s")
    await page.get_by_role("button", name="Review changes").click()
    await expect(page.locator(".diff .add")).to_contain_text("timeout: 10s")
    assert (await shop.deployment.ask("GET", "/namespaces/shop/routes/pages"))["spec"] == before["spec"]
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_role("status")).to_contain_text("Applied as revision")
    changed = await shop.deployment.ask("GET", "/namespaces/shop/routes/pages")
    assert changed["spec"]["forward"]["timeout"] == "10s"

    await visitor.open("/objects/routes/shop/pages/history")
    await page.get_by_role("button", name="Revert to this").last.click()
    await expect(page.get_by_role("status")).to_contain_text("again, in revision")
    after = await shop.deployment.ask("GET", "/namespaces/shop/routes/pages")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["revision"] > changed["metadata"]["revision"]
    assert visitor.complaints == []


async def test_make_an_object_as_a_form_and_as_yaml(shop: Shop, visit: Visit) -> None:
    """Lists grow and parts are set in the form; what was typed goes along to YAML; the object can be deleted."""
    visitor = await visit()
    page = visitor.page
    await visitor.open("/objects/routes/new?namespace=shop")
    await page.locator("[name='metadata.name']").fill("from-browser")
    await page.get_by_role("button", name="Set forward", exact=True).click()
    await page.locator("[data-path='spec.forward.clusters']").get_by_role("button", name="Add to").click()
    await page.locator("[name='spec.forward.clusters[0].cluster']").fill("web")
    await page.locator("[data-path='spec.match']").get_by_role("button", name="Add to").click()
    await page.get_by_role("button", name="Edit as YAML").click()
    text = page.locator("textarea[name='text']")
    assert "from-browser" in await text.input_value()
    await text.fill((await text.input_value()).replace("spec:", "spec:\n  nonsense: 1"))
    await expect(page.locator("#check")).to_contain_text("unknown field")
    await text.fill((await text.input_value()).replace("  nonsense: 1\n", ""))
    await expect(page.locator("#check")).to_contain_text("would be created")
    await page.get_by_role("button", name="Review changes").click()
    await page.get_by_role("button", name="Apply").click()
    await expect(page.get_by_role("status")).to_contain_text("Applied as revision")
    made = await shop.deployment.ask("GET", "/namespaces/shop/routes/from-browser")
    assert made["spec"]["forward"]["clusters"] == [{"cluster": {"name": "web"}}]
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Delete").click()
    await expect(page.get_by_role("status")).to_contain_text("was deleted")
    assert visitor.complaints == []


async def test_a_site_from_enrolment_to_removal(shop: Shop, visit: Visit) -> None:
    """The page shows the command, and by itself that the site has joined; then it is drained and removed."""
    visitor = await visit()
    page = visitor.page
    page.on("dialog", lambda dialog: dialog.accept())
    await visitor.open("/sites/new")
    await page.locator("[name='name']").fill("tyo")
    await page.locator("[name='latitude']").fill("35.68")
    await page.locator("[name='longitude']").fill("139.69")
    await page.get_by_role("button", name="Declare the site").click()
    await expect(page.get_by_role("heading", name="Waiting for tyo to join")).to_be_visible()
    await page.get_by_role("button", name="Make a join token").click()
    command = await page.locator("#command").inner_text()
    found = re.fullmatch(r"isthmus site --state \S+ --token-file - <<'TOKEN'\n(\S+)\nTOKEN", command.strip())
    assert found is not None, command
    token_file = shop.deployment.directory / "tyo.token"
    token_file.touch(mode=0o600)
    token_file.write_text(found[1])
    shop.deployment.start(
        "tyo", [*isthmus("site"), "--state", str(shop.deployment.state("tyo")), "--token-file", str(token_file)]
    )
    await expect(page.get_by_role("heading", name="tyo has joined")).to_be_visible()
    await visitor.open("/map?view=0,0,1000")
    await expect(page.get_by_role("link", name=re.compile("^Site tyo"))).to_be_visible()
    await visitor.open("/sites/tyo")
    await page.get_by_role("button", name="Drain", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text("is being drained")
    await page.get_by_role("button", name="Undrain").click()
    await expect(page.get_by_role("status")).to_contain_text("takes requests from other sites again")
    await page.get_by_role("button", name="Remove").click()
    await expect(page.get_by_role("status")).to_contain_text("Site tyo was removed")
    await shop.deployment.stop("tyo")
    assert visitor.complaints == []


async def test_what_breaks_shows_by_itself(shop: Shop, visit: Visit) -> None:
    """An instance dies: the overview, which nobody reloads, says so, and says when it is mended."""
    visitor = await visit()
    await visitor.open("/")
    heading = visitor.page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Everything works")
    await shop.deployment.kill("nyc-1")
    await expect(heading).to_contain_text("attention")
    await expect(visitor.page.locator(".events li.bad").first).to_contain_text("shop/nyc-1")
    shop.start_instance("nyc-1")
    await expect(heading).to_have_text("Everything works")
    assert visitor.complaints == []


async def test_by_keyboard(visit: Visit) -> None:
    """The first Tab leads past the navigation, and a slash to the search."""
    visitor = await visit()
    page = visitor.page
    await visitor.open("/sites")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Find an object")).to_be_focused()
    await page.keyboard.type("nyc-2")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("shop/nyc-2")


async def test_who_only_reads_changes_nothing(shop: Shop, visit: Visit) -> None:
    """A user with a password and the role read sees everything, and neither pages nor forged forms let it edit."""
    password = "correct horse battery"
    body = {"name": "rita", "role": "read", "password": password}
    await shop.deployment.ask("POST", "/accounts", body)
    visitor = await visit(signed_in=False)
    page = visitor.page
    await visitor.open("/virtualhosts/shop/shop")
    await page.get_by_label("User").fill("rita")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("shop/shop")
    assert await page.get_by_role("link", name="Edit").count() == 0
    await visitor.open("/explain?url=http://shop.example/&from=ams")
    await expect(page.get_by_label("Answer")).to_contain_text("shop/web")
    cookies = {each["name"]: each["value"] for each in await visitor.context.cookies()}
    token = await page.locator("input[name='csrf']").first.get_attribute("value")
    assert token is not None
    async with httpx.AsyncClient(verify=False, base_url=visitor.url, cookies=cookies) as client:
        headers = {"Origin": visitor.url, "X-CSRF-Token": token}
        answer = await client.post("/sites/fra/drain", headers=headers)
    assert answer.status_code == 403
    assert "may only read" in answer.text
    site: dict[str, Any] = await shop.deployment.ask("GET", "/sites/fra")
    assert not site["spec"].get("drained")


async def test_how_sites_are_is_seen(shop: Shop, visit: Visit) -> None:
    """The page of a site says what was up and when, over a time that can be held; the map says what is up now."""
    visitor = await visit()
    page = visitor.page
    await visitor.open("/sites/fra?since=-1h")
    for lane in ("Envoy", "BGP speaker", "Stream to eu", "BGP session with us"):
        told = page.get_by_role("img", name=re.compile(f"^{lane}: .* % up"))
        await expect(told).to_be_visible(timeout=100_000)  # a site without requests tells once a minute
    await expect(page.get_by_role("figure", name=re.compile("^Certificate ends in: left .* h"))).to_be_visible()
    await page.get_by_role("link", name="Hold", exact=True).click()
    await page.wait_for_url(re.compile(r"since=\d+&until=\d+"))
    held = page.url
    await page.get_by_role("link", name="Earlier", exact=True).click()
    await page.wait_for_url(lambda url: url != held)
    await page.get_by_role("link", name="Now", exact=True).click()
    await page.wait_for_url(lambda url: "until" not in url)
    assert await serious(visitor) == []
    await visitor.open("/objects/endpoints/shop/fra-1?since=-1h")
    await expect(page.get_by_role("figure", name=re.compile("^Changes of health: "))).to_be_visible()
    assert await serious(visitor) == []
    await visitor.open("/map")
    site = "Site fra: healthy; 2 of 2 streams up, 2 of 2 BGP sessions live"
    await expect(page.get_by_role("link", name=site, exact=True)).to_be_visible()
    await expect(page.get_by_role("row", name=re.compile("^eu healthy 3 of 3 3 of 3"))).to_be_visible()
    assert visitor.complaints == []
