"""A console that starts on what another release has stored, which it does not accept as it is."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from isthmus.model.envelope import content_hash
from isthmus.model.key import ObjectKey
from isthmus.protocol import Uplink

from .conftest import SHOP, Running
from .test_stream import FRA, NYC, connect

WEB, ALL, NEAR = "default/Cluster/default/web", "default/Route/default/all", "default/Wormhole/default/near"


def store(console: Running, key: str, body: bytes | None = None, **spec: Any) -> bytes:
    """Put something in place of what is stored under a key: bytes, or fields of the spec. As another release would."""
    tenant, kind, namespace, name = key.split("/")
    place = (tenant, kind, namespace, name)
    where = "tenant = ? AND kind = ? AND namespace = ? AND name = ?"
    with closing(sqlite3.connect(console.state / "console.db")) as database, database:
        row = database.execute(f"SELECT body FROM object WHERE {where}", place).fetchone()
        if body is None:
            document = json.loads(row[0])
            document["spec"] |= spec
            body = json.dumps(document).encode()
        if row is not None:
            database.execute(f"UPDATE object SET body = ? WHERE {where}", (body, *place))
        else:
            columns = "tenant, kind, namespace, name, body, revision, created_at, updated_at"
            time = "2026-01-02T03:04:05.000000Z"
            values = (*place, body, 1, time, time)
            database.execute(f"INSERT INTO object ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    return body


def entries(region: Uplink, subject: str) -> dict[str, str]:
    state = region.state(subject)
    return dict(state.entries) if state is not None else {}


def told(answer: Any) -> dict[str, set[str]]:
    """Codes of diagnostics by object."""
    found: dict[str, set[str]] = {}
    for each in answer["diagnostics"]:
        found.setdefault(each["object"], set()).add(each["code"])
    return found


async def test_an_object_that_is_refused_in_part_stays_in_use_as_it_is_stored(
    shop: Running, directory: Path, until: Any
) -> None:
    region = await connect(shop, directory)
    await until(lambda: entries(region, FRA) and entries(region, NYC), "manifests arrive")
    before = {subject: entries(region, subject) for subject in (FRA, NYC)}
    await region.stop()
    body = store(shop, WEB, connectTimeout="a while", teleport=True)
    with capture_logs() as log:
        await shop.restart()
    assert {each["field"] for each in log if each["event"] == "object.refused" and each["object"] == WEB} == {
        "spec.connectTimeout",
        "spec.teleport",
    }
    region = await connect(shop, directory)
    arrived = content_hash(body)
    await until(lambda: {entries(region, each).get(WEB) for each in (FRA, NYC)} == {arrived}, "the stored bytes arrive")
    assert entries(region, FRA) == before[FRA] | {WEB: arrived}, "nothing is taken away from a site"
    assert entries(region, NYC) == before[NYC] | {WEB: arrived}
    assert told(await shop.ask("GET", "/status")) == {WEB: {"stored-refused"}}
    read = await shop.ask("GET", "/namespaces/default/clusters/web")
    assert read["spec"]["connectTimeout"] == "a while", "it is shown as it is stored"
    assert {each["field"] for each in read["status"]["diagnostics"]} == {"spec.connectTimeout", "spec.teleport"}
    refused = await shop.apply(read, status=422)
    assert {each["field"] for each in refused["diagnostics"]} == {"spec.connectTimeout", "spec.teleport"}
    await shop.console.context.alerting.look(1.0)
    (alert,) = [each for each in (await shop.ask("GET", "/alerts"))["items"] if each["rule"] == "object-refused"]
    assert (alert["subject"], alert["object"]) == ("Cluster default/web", WEB)
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "other"}})
    applied = await shop.apply(next(each for each in SHOP if each["kind"] == "Cluster"))
    assert [each["action"] for each in applied["changes"]] == ["updated"]
    assert told(await shop.ask("GET", "/status")) == {}
    await until(lambda: entries(region, FRA) == before[FRA], "the mended object arrives")
    await region.stop()


async def test_objects_that_cannot_be_used_are_told_and_take_no_others_with_them(shop: Running) -> None:
    number = (await shop.ask("GET", "/sites/nyc"))["system"]["number"]
    store(shop, ALL, b"\x00 damaged")
    store(shop, NEAR, b'{"apiVersion":"isthmus/v1","kind":"Wormhole","metadata":{"name":"near"},"spec":{}}')
    document = {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "nyc", "labels": {"": "x"}}}
    store(shop, "default/Site//nyc", json.dumps(document | {"system": {"created": 4, "number": number}}).encode())
    await shop.restart()
    status = await shop.ask("GET", "/status")
    codes = told(status)
    assert [codes[key] for key in (ALL, NEAR, "default/Site//nyc")] == [{"stored-unreadable"}] * 3
    assert codes["default/VirtualHost/default/shop"] == {"dangling-reference"}
    assert [site["name"] for site in status["sites"]] == ["fra"]
    for method in ("GET", "PUT"):
        body = {"spec": {"teleport": True}} if method == "PUT" else None
        answer = await shop.ask(method, "/namespaces/default/routes/all", body, status=409 if method == "GET" else 422)
        assert answer["diagnostics"][0]["object"] == ALL
    await shop.ask("GET", f"/status/objects/{ALL}", status=409)
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "other"}})
    await shop.restart()
    assert told(await shop.ask("GET", "/status")) == codes, "what cannot be read stays in the store"
    site = next(each for each in SHOP if each["kind"] == "Site" and each["metadata"]["name"] == "nyc")
    route = next(each for each in SHOP if each["kind"] == "Route")
    applied = await shop.apply(site, route)
    assert [each["action"] for each in applied["changes"]] == ["updated", "updated"]
    assert (await shop.ask("GET", "/sites/nyc"))["system"]["number"] == number, "it is the site that it was"
    gone = await shop.ask("POST", "/apply", {"documents": [], "delete": [NEAR]})
    assert [each["action"] for each in gone["changes"]] == ["deleted"]
    await shop.restart()
    assert told(await shop.ask("GET", "/status")) == {}


async def test_a_site_that_cannot_be_read_is_not_thrown_out(shop: Running, directory: Path, until: Any) -> None:
    region = await connect(shop, directory)
    await until(lambda: entries(region, NYC), "manifests arrive")
    await region.stop()
    store(shop, "default/Site//nyc", b"damaged")
    await shop.restart()
    region = await connect(shop, directory)
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "other"}})
    await until(lambda: region.connections["console"].connected, "the region is connected")
    assert NYC not in shop.console.deployment.publication.subjects("default/region/eu"), "nobody is told that it left"
    state = region.state(NYC)
    assert state is not None
    assert state.regions == ("eu", "us"), "the region keeps what it holds"
    await region.stop()


async def test_regions_hear_of_a_site_that_was_deleted_and_could_not_be_read(
    shop: Running, directory: Path, until: Any
) -> None:
    subject = NYC.replace("nyc", "spare")
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "spare"}})
    region = await connect(shop, directory)
    await until(lambda: (held := region.state(subject)) is not None and held.regions, "its manifest arrives")
    store(shop, "default/Site//spare", b"damaged")
    await region.stop()
    await shop.restart()
    await shop.ask("DELETE", "/sites/spare")
    await shop.restart()
    region = await connect(shop, directory)
    await until(lambda: (held := region.state(subject)) is not None and not held.regions, "it belongs to no region")
    await region.stop()


async def test_what_is_private_of_an_object_that_cannot_be_read_goes_with_it(shop: Running) -> None:
    secret = {"apiVersion": "isthmus/v1", "kind": "Secret", "metadata": {"name": "key", "namespace": "other"}}
    namespace = {"apiVersion": "isthmus/v1", "kind": "Namespace", "metadata": {"name": "other"}}
    await shop.apply(namespace, secret | {"spec": {"value": "hunter2"}})
    key = ObjectKey("default", "Secret", "other", "key")
    store(shop, str(key), b"damaged")
    await shop.restart()
    assert len(shop.console.deployment.vault.places(key)) == 1, "it may be mended"
    await shop.ask("DELETE", "/namespaces/other", status=409)
    gone = await shop.ask("POST", "/apply", {"documents": [], "delete": [str(key)]})
    assert [each["action"] for each in gone["changes"]] == ["deleted"]
    assert not shop.console.deployment.vault.places(key)
    await shop.restart()
    assert not shop.console.deployment.vault.places(key), "nor is it in the store"
    await shop.ask("DELETE", "/namespaces/other")


async def test_a_start_moves_nothing_unless_objects_are_read_otherwise(shop: Running) -> None:
    async def versions() -> list[int]:
        return [site["manifest"]["revision"] for site in (await shop.ask("GET", "/status"))["sites"]]

    before = await versions()
    await shop.restart()
    assert await versions() == before
    good = (await shop.ask("GET", "/namespaces/default/clusters/web"))["spec"]
    store(shop, WEB, teleport=True)
    await shop.restart()
    refused = await versions()
    assert all(new > old for new, old in zip(refused, before, strict=True))
    await shop.restart()
    assert await versions() == refused
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Cluster", "metadata": {"name": "web"}, "spec": good})
    mended = await versions()
    await shop.restart()
    assert await versions() == mended


async def test_what_edits_a_stored_object_in_part_asks_for_the_whole(shop: Running) -> None:
    body = store(shop, "default/Site//nyc", teleport=True)
    await shop.restart()
    refused = await shop.ask("POST", "/sites/nyc/drain", status=409)
    assert refused["error"]["code"] == "stored-refused"
    assert refused["diagnostics"][0]["field"] == "spec.teleport"
    with closing(sqlite3.connect(shop.state / "console.db")) as database:
        assert database.execute("SELECT body FROM object WHERE name = 'nyc'").fetchone()[0] == body
