"""What a region on a real stream gets from a running console, and what the console learns from it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from isthmus.identity import CredentialDirectory, join, parse_token
from isthmus.model import parse_envelope
from isthmus.model.key import parse_key
from isthmus.protocol import (
    AppliedReport,
    PresenceReport,
    QueryFailed,
    Rejection,
    StatusReport,
    Uplink,
    UplinkHandler,
    Upstream,
)

FRA, NYC, EU = "default/site/fra", "default/site/nyc", "default/region/eu"


class Answers(UplinkHandler):
    """Answers questions as a site would."""

    async def query(self, subject: str, kind: str, body: bytes) -> bytes:
        if kind == "explain":
            return json.dumps({"asked": json.loads(body), "by": subject}).encode()
        raise QueryFailed("unknown_kind", f"No {kind} here.")


async def connect(console: Any, directory: Path, region: str = "eu") -> Uplink:
    """A region as its process would be, without sites."""
    state = directory / region
    if not (state / "membership.json").exists():
        answer = await console.ask("POST", "/tokens", {"role": "region", "name": region}, status=201)
        await join(parse_token(answer["token"]), state)
    credentials = CredentialDirectory(state)
    uplink = Uplink(state / "stream", credentials, Answers(), release="test", accepts=lambda subject: True)
    uplink.set_upstreams([Upstream("console", "127.0.0.1", console.console.stream_port, "console.test.example")])
    uplink.start()
    return uplink


@pytest.fixture
async def region(shop: Any, directory: Path) -> AsyncIterator[Uplink]:
    uplink = await connect(shop, directory)
    yield uplink
    await uplink.stop()


def names(uplink: Uplink, subject: str) -> set[str]:
    state = uplink.state(subject)
    return set(state.entries) if state is not None else set()


async def test_a_region_gets_itself_and_its_sites(region: Uplink, until: Any) -> None:
    await until(lambda: all(region.state(s) for s in (EU, FRA, NYC)), "manifests arrive")
    assert names(region, EU) == {"default/Region//eu", "default/Region//us"}
    assert names(region, FRA) == {
        "default/Site//fra",
        "default/Region//eu",
        "default/VirtualSite//edge",
        "default/AdvertisePolicy/default/edge",
        "default/VirtualHost/default/shop",
        "default/Route/default/all",
        "default/Cluster/default/web",
        "default/Endpoint/default/web-1",
        "default/Site//nyc",
    }
    assert names(region, NYC) == {
        "default/Site//nyc",
        "default/Region//eu",
        "default/Region//us",
        "default/Endpoint/default/web-1",
        "default/Cluster/default/web",
        "default/ClusterAccess/default/web",
    }
    fra, nyc = region.state(FRA), region.state(NYC)
    assert fra is not None
    assert nyc is not None
    assert (fra.version, fra.site_number, fra.import_clusters, fra.regions) == ((1, 1), 1, (1,), ("eu",))
    assert (nyc.site_number, nyc.import_clusters, nyc.regions) == (2, (), ("eu", "us"))
    access = parse_envelope(region.objects(nyc)["default/ClusterAccess/default/web"])
    assert access.spec.callers == ("fra",)
    for key, body in region.objects(fra).items():
        assert parse_envelope(body).key == parse_key(key)


async def test_a_change_reaches_the_sites_that_it_concerns_and_no_others(
    shop: Any, region: Uplink, documents: Any, until: Any
) -> None:
    await until(lambda: all(region.state(s) for s in (EU, FRA, NYC)), "manifests arrive")
    await shop.apply(documents("Route", "all", {"directResponse": {"status": 204}}))
    await until(lambda: region.state(FRA).version == (1, 2), "the change arrives")  # type: ignore[union-attr]
    assert "default/Cluster/default/web" not in names(region, FRA)
    await until(lambda: region.state(NYC).version == (1, 2), "callers change")  # type: ignore[union-attr]
    await shop.apply(documents("VirtualSite", "edge", {"selector": ["place=america"]}))
    await until(lambda: "default/VirtualHost/default/shop" in names(region, NYC), "the selector moves the host")
    await until(lambda: names(region, FRA) == {"default/Site//fra", "default/Region//eu"}, "and takes it away there")
    assert region.state(EU).version == (1, 1)  # type: ignore[union-attr]


async def test_a_restart_of_the_console_moves_nothing(shop: Any, region: Uplink, documents: Any, until: Any) -> None:
    await shop.apply(documents("Route", "all", {"directResponse": {"status": 204}}))
    await until(lambda: region.state(FRA) and region.state(FRA).version == (1, 2), "manifests arrive")
    await until(lambda: region.state(NYC) and region.state(EU), "manifests arrive")
    before = {subject: region.state(subject) for subject in (EU, FRA, NYC)}
    await shop.restart()
    await until(lambda: region.connections["console"].connected, "the region is connected again")
    assert {subject: region.state(subject) for subject in (EU, FRA, NYC)} == before
    status = await shop.ask("GET", "/status")
    assert {s["name"]: s["manifest"]["revision"] for s in status["sites"]} == {"fra": 2, "nyc": 2}
    await shop.apply(documents("Route", "all", {"directResponse": {"status": 205}}))
    await until(lambda: region.state(FRA).version == (1, 3), "changes go on")  # type: ignore[union-attr]


async def test_the_status_shows_who_uses_what(shop: Any, region: Uplink, documents: Any, until: Any) -> None:
    await until(lambda: all(region.state(s) for s in (EU, FRA, NYC)), "manifests arrive")
    fra = region.state(FRA)
    assert fra is not None
    region.acknowledge(region.state(EU).version)  # type: ignore[union-attr]
    region.reports.put_presence(PresenceReport(FRA, True, 1.0))
    rejection = Rejection("default/Route/default/all", "refused-by-envoy", "spec", "no")
    region.reports.put_applied(AppliedReport(FRA, fra.version, (rejection,)))
    region.reports.put_status(StatusReport(FRA, b'{"endpoints":[]}', 2.0))

    async def seen() -> Any:
        site = (await shop.ask("GET", "/status"))["sites"][0]
        return site if site["applied"] and site["status"] and site["connected"] else None

    await until(seen, "the status arrives")
    site = await seen()
    assert (site["name"], site["via"], site["lagSeconds"]) == ("fra", ["eu"], 0.0)
    assert site["applied"] == site["manifest"] == {"epoch": 1, "revision": 1}
    assert (site["status"], site["statusAt"]) == ({"endpoints": []}, 2.0)
    rejected = {"object": rejection.key, "code": "refused-by-envoy", "field": "spec", "message": "no"}
    assert site["rejections"] == [rejected]
    route = await shop.ask("GET", "/status/objects", params={"key": rejection.key})
    assert [(s["site"], s["applied"], s["rejected"]) for s in route["sites"]] == [("fra", False, rejected)]
    host = await shop.ask("GET", "/namespaces/default/virtualhosts/shop")
    assert [(s["site"], s["applied"]) for s in host["status"]["sites"]] == [("fra", True)]
    regions = {r["name"]: r for r in (await shop.ask("GET", "/status"))["regions"]}
    assert regions["eu"]["connected"]
    assert (regions["eu"]["release"], regions["eu"]["sites"], regions["us"]["sites"]) == ("test", 2, 1)
    assert not regions["us"]["connected"]

    await shop.apply(documents("Site", "fra", {"regions": ["eu"], "drained": True}, labels={"place": "europe"}))
    behind = (await shop.ask("GET", "/status"))["sites"][0]
    assert (behind["applied"]["revision"], behind["manifest"]["revision"]) == (1, 2)
    await asyncio.sleep(0.01)
    assert (await shop.ask("GET", "/status"))["sites"][0]["lagSeconds"] > 0


async def test_questions_go_to_the_site_through_its_region(shop: Any, region: Uplink, until: Any) -> None:
    await until(lambda: region.state(FRA), "manifests arrive")
    region.reports.put_presence(PresenceReport(FRA, True, 1.0))

    async def connected() -> bool:
        return bool((await shop.ask("GET", "/status"))["sites"][0]["connected"])

    await until(connected, "the site is connected")
    asked = {"url": "http://shop.example/", "method": "GET", "headers": {}, "from": "fra"}
    question = {"url": "http://shop.example/", "from": "fra"}

    async def answered() -> bool:
        """It has five seconds, which a machine that was stopped for so long takes away."""
        response = await shop.http.post("/api/v1/explain", json=question)
        if response.status_code in (503, 504):
            return False
        assert response.json() == {"asked": asked, "by": FRA}
        return True

    await until(answered, "the site answers")

    async def refused() -> bool:
        response = await shop.http.get("/api/v1/status/sites/fra")
        if response.status_code in (503, 504):
            return False
        assert (response.status_code, response.json()["error"]["code"]) == (422, "unknown-kind")
        return True

    await until(refused, "the site refuses")


async def test_a_site_that_moves_to_another_region_hears_of_it_through_the_old_one(
    shop: Any, region: Uplink, documents: Any, until: Any
) -> None:
    await until(lambda: region.state(FRA), "manifests arrive")
    await shop.apply(documents("Site", "fra", {"regions": ["us"]}, labels={"place": "europe"}))
    await until(lambda: region.state(FRA).regions == ("us",), "the old region hears of the move")  # type: ignore[union-attr]
    await shop.restart()
    await until(lambda: region.connections["console"].connected, "the region is connected again")
    publication = shop.console.deployment.publication
    assert FRA in publication.subjects(EU), "until the site has heard of it, also after a restart"
    publication.heard(FRA, publication.version(FRA))
    assert FRA not in publication.subjects(EU)
    assert FRA in publication.subjects("default/region/us")


async def test_a_site_cannot_connect_to_the_console(shop: Any, directory: Path, until: Any) -> None:
    answer = await shop.ask("POST", "/tokens", {"role": "site", "name": "fra"}, status=201)
    await join(parse_token(answer["token"]), directory / "fra")
    uplink = Uplink(directory / "fra" / "stream", CredentialDirectory(directory / "fra"), Answers(), release="test")
    uplink.set_upstreams([Upstream("console", "127.0.0.1", shop.console.stream_port, "console.test.example")])
    uplink.start()
    await until(lambda: "no business" in str(uplink.connections.get("console")), "the site is refused")
    assert uplink.state() is None
    await uplink.stop()


@pytest.mark.parametrize("body", [b"[" * 100_000, b'"\\ud800"', b'{"x": NaN}', b"\xff", b""])
async def test_a_bad_report_of_one_site_spoils_nothing(shop: Any, region: Uplink, until: Any, body: bytes) -> None:
    await until(lambda: region.state(FRA), "the region has its site")
    region.reports.put_status(StatusReport(FRA, body, 5.0))

    async def heard() -> bool:
        sites = (await shop.ask("GET", "/status"))["sites"]
        assert [(site["name"], site["status"]) for site in sites] == [("fra", None), ("nyc", None)]
        return bool(sites[0]["statusAt"] == 5.0)

    await until(heard, "the report arrives")
