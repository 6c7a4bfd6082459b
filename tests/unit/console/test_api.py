"""The API of a running console, as people and programs use it."""

import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Document = Callable[..., dict[str, Any]]


async def test_objects_are_created_read_changed_and_deleted(console: Any, documents: Document) -> None:
    site = documents("Site", "fra", description="Frankfurt")
    created = await console.ask("POST", "/sites", site, status=201)
    assert created["metadata"] | {"created": 0, "updated": 0} == {
        "name": "fra",
        "description": "Frankfurt",
        "revision": 1,
        "created": 0,
        "updated": 0,
    }
    assert created["system"] == {"created": 1, "number": 1}
    assert (await console.ask("POST", "/sites", site, status=409))["error"]["code"] == "exists"
    changed = await console.ask("PUT", "/sites/fra", {"metadata": {"description": "Main"}, "spec": {"drained": True}})
    assert (changed["metadata"]["revision"], changed["spec"]) == (2, {"drained": True})
    read = await console.ask("GET", "/sites/fra")
    assert read["metadata"] == changed["metadata"]
    assert [s["site"] for s in read["status"]["sites"]] == ["fra"]
    assert (await console.ask("DELETE", "/sites/fra"))["revision"] == 3
    assert (await console.ask("GET", "/sites/fra", status=404))["error"] == {
        "code": "not-found",
        "message": "Site fra does not exist.",
    }
    assert (await console.ask("DELETE", "/sites/fra", status=404))["error"]["code"] == "not-found"


async def test_what_is_read_can_be_applied_again(shop: Any) -> None:
    for path in (
        "/sites",
        "/virtualsites",
        "/clusters",
        "/routes",
        "/virtualhosts",
        "/endpoints",
        "/advertisepolicies",
    ):
        listed = await shop.ask("GET", path)
        assert listed["items"]
        again = await shop.apply(listed)
        assert {change["action"] for change in again["changes"]} == {"unchanged"}
        assert again["revision"] == 1


async def test_lists_are_paged_and_by_namespace(console: Any, documents: Document) -> None:
    names = [f"c{n}" for n in range(5)]
    namespaces = [documents("Namespace", "shop")]
    checks = [documents("HealthCheck", name, {"tcp": {}}) for name in names]
    await console.apply(*namespaces, *checks, documents("HealthCheck", "x", {"tcp": {}}, namespace="shop"))
    found: list[str] = []
    after = None
    while True:
        query = {"limit": 2} | ({"continue": after} if after else {})
        page = await console.ask("GET", "/namespaces/default/healthchecks", params=query)
        assert len(page["items"]) <= 2
        found += [item["metadata"]["name"] for item in page["items"]]
        after = page["continue"]
        if after is None:
            break
    assert found == names
    everywhere = await console.ask("GET", "/healthchecks")
    assert [i["metadata"]["namespace"] for i in everywhere["items"]] == ["default"] * 5 + ["shop"]


async def test_an_apply_is_all_or_nothing_and_names_every_error(console: Any, documents: Document) -> None:
    answer = await console.apply(
        documents("Site", "fra"),
        documents("Site", "bad", {"location": {"latitude": 100.0, "longitude": 0.0}, "colour": "red"}),
        documents("Cluster", "web", {"endpoints": []}),
        status=422,
    )
    found = {(d["object"], d["code"], d["field"]) for d in answer["diagnostics"]}
    assert {(key, code) for key, code, _ in found} == {
        ("default/Site//bad", "invalid-value"),
        ("default/Site//bad", "unknown-field"),
        ("default/Cluster/default/web", "invalid-value"),
    }
    answer = await console.apply(
        documents("Site", "fra"),
        documents("Endpoint", "e", {"where": {"site": "nowhere"}, "address": "127.0.0.1", "port": 80}),
        documents("Route", "r", {"forward": {"clusters": [{"cluster": {"name": "none"}}]}}),
        status=422,
    )
    assert [(d["object"], d["code"]) for d in answer["diagnostics"]] == [
        ("default/Endpoint/default/e", "dangling-reference"),
        ("default/Route/default/r", "dangling-reference"),
    ]
    assert all(d["message"] and d["mend"] for d in answer["diagnostics"])
    answer = await console.apply(
        documents("Cluster", "broken", {"endpoints": []}),
        documents("Route", "r", {"forward": {"clusters": [{"cluster": {"name": "broken"}}]}}),
        documents("Endpoint", "e", {"where": {"site": "nowhere"}, "address": "127.0.0.1", "port": 80}),
        status=422,
    )
    assert [(d["object"], d["code"]) for d in answer["diagnostics"]] == [
        ("default/Cluster/default/broken", "invalid-value"),
        ("default/Endpoint/default/e", "dangling-reference"),
    ], "documents that are no objects do not hide the errors between the others, and count as existing"
    answer = await console.apply(
        documents("Route", "r", {"forward": {"clusters": [{"cluster": {"name": "nobody"}}], "timeout": "soon"}}),
        status=422,
    )
    assert [(d["code"], d["field"]) for d in answer["diagnostics"]] == [
        ("invalid-value", "spec.forward.timeout"),
        ("dangling-reference", "spec.forward.clusters[0].cluster"),
    ], "an error inside an object does not hide what it refers to"
    assert (await console.ask("GET", "/sites"))["items"] == []
    assert (await console.ask("GET", "/status"))["revision"] == 0


async def test_a_dry_run_says_what_would_change_and_stores_nothing(shop: Any, documents: Document) -> None:
    changed = documents("Endpoint", "web-1", {"where": {"site": "nyc"}, "address": "127.0.0.1", "port": 9090})
    same = documents("VirtualSite", "edge", {"selector": ["place=europe"]})
    answer = await shop.apply(changed, same, dryRun=True)
    assert answer["dryRun"] is True
    assert {c["key"]: c["action"] for c in answer["changes"]} == {
        "default/Endpoint/default/web-1": "updated",
        "default/VirtualSite//edge": "unchanged",
    }
    assert "-  port: 8080\n+  port: 9090" in answer["changes"][0]["diff"]
    assert (await shop.ask("GET", "/namespaces/default/endpoints/web-1"))["spec"]["port"] == 8080


async def test_an_edit_of_something_changed_meanwhile_is_refused(shop: Any, documents: Document) -> None:
    path = "/namespaces/default/endpoints/web-1"
    response = await shop.http.get(f"/api/v1{path}")
    mine, etag = response.json(), response.headers["etag"]
    other = {**mine, "spec": {**mine["spec"], "weight": 7}}
    await shop.ask("PUT", path, other, headers={"If-Match": etag})
    stale = {**mine, "spec": {**mine["spec"], "weight": 9}}
    refused = await shop.ask("PUT", path, stale, headers={"If-Match": etag}, status=412)
    assert refused["error"]["code"] == "revision-mismatch"
    assert (await shop.ask("PUT", path, stale, status=412))["error"]["code"] == "revision-mismatch"
    refused = await shop.apply(stale, status=412)
    assert [(d["object"], d["code"]) for d in refused["diagnostics"]] == [
        ("default/Endpoint/default/web-1", "revision-mismatch")
    ]
    await shop.ask("DELETE", path, headers={"If-Match": etag}, status=412)
    assert (await shop.ask("GET", path))["spec"]["weight"] == 7


async def test_a_referenced_object_is_not_deleted_and_its_referrers_are_named(shop: Any) -> None:
    refused = await shop.ask("DELETE", "/namespaces/default/clusters/web", status=409)
    assert refused["error"]["code"] == "referenced"
    assert [(d["object"], d["message"]) for d in refused["diagnostics"]] == [
        ("default/Cluster/default/web", "Route default/all refers to it")
    ]
    both = {"documents": [], "delete": ["default/Route/default/all", "default/VirtualHost/default/shop"]}
    answer = await shop.ask("POST", "/apply", both)
    assert {c["action"] for c in answer["changes"]} == {"deleted"}
    await shop.ask("DELETE", "/namespaces/default/clusters/web")


async def test_every_change_is_kept_with_who_when_and_the_difference(shop: Any, documents: Document) -> None:
    token = (await shop.ask("POST", "/tokens", {"role": "admin", "name": "ada"}, status=201))["token"]
    async with shop.client(token) as ada:
        response = await ada.post("/api/v1/apply", json={"documents": [documents("Site", "fra", {"drained": True})]})
        assert response.status_code == 200
    revisions = (await shop.ask("GET", "/revisions", params={"key": "default/Site//fra"}))["items"]
    assert [(r["revision"], r["who"]) for r in revisions] == [(2, "ada"), (1, "admin")]
    assert revisions[0]["at"] >= revisions[1]["at"]
    assert "+  drained: true" in revisions[0]["changes"][0]["diff"]
    assert [c["key"] for c in revisions[0]["changes"]] == ["default/Site//fra"]
    everything = (await shop.ask("GET", "/revisions", params={"before": 2}))["items"]
    assert len(everything[0]["changes"]) == 10


async def test_a_label_edit_that_makes_objects_clash_is_accepted(shop: Any, documents: Document) -> None:
    await shop.apply(
        documents("VirtualSite", "west", {"selector": ["place=america"]}),
        documents("AdvertisePolicy", "west", {"where": {"virtualSite": "west"}, "address": "192.0.2.1"}),
        documents("VirtualHost", "other", {"domains": ["shop.example"], "advertisePolicies": [{"name": "west"}]}),
    )
    await shop.apply(documents("Site", "nyc", {"regions": ["eu", "us"]}, labels={"place": "europe"}))
    await shop.apply(documents("VirtualSite", "west", {"selector": ["place"]}))
    later = await shop.ask("GET", "/namespaces/default/virtualhosts/other")
    assert [d["code"] for d in later["status"]["diagnostics"]] == ["overlapping-domain"]
    first = await shop.ask("GET", "/namespaces/default/virtualhosts/shop")
    assert first["status"]["diagnostics"] == []
    assert [d["object"] for d in (await shop.ask("GET", "/status"))["diagnostics"]] == [
        "default/VirtualHost/default/other"
    ]
    described = documents("VirtualHost", "other", later["spec"], description="a standing error is no hindrance")
    await shop.apply(described)
    refused = await shop.apply(
        documents("VirtualHost", "third", {"domains": ["shop.example"], "advertisePolicies": [{"name": "edge"}]}),
        status=422,
    )
    assert {d["code"] for d in refused["diagnostics"]} == {"overlapping-domain"}


async def test_numbers_are_never_given_out_twice(console: Any, documents: Document) -> None:
    for expected in (1, 2):
        answer = await console.ask("POST", "/sites", documents("Site", "fra"), status=201)
        assert answer["system"]["number"] == expected
        await console.ask("DELETE", "/sites/fra")
    await console.restart()
    answer = await console.ask("POST", "/sites", documents("Site", "ams"), status=201)
    assert answer["system"] == {"created": 3, "number": 3}


async def test_a_request_needs_a_valid_token_of_the_right_role(console: Any, documents: Document) -> None:
    for token in (None, "wrong", "isthmus-admin.wrong"):
        async with console.client(token) as stranger:
            for method, path in (("GET", "/api/v1/sites"), ("POST", "/api/v1/apply"), ("GET", "/metrics")):
                response = await stranger.request(method, path, json={})
                assert response.status_code == 401, (token, path)
                assert response.json()["error"]["code"] == "unauthenticated"
                assert response.headers["www-authenticate"] == "Bearer"
            assert (await stranger.get("/healthz")).json() == {"status": "ok"}
    made = await console.ask("POST", "/tokens", {"role": "read", "name": "ci"}, status=201)
    async with console.client(made["token"]) as reader:
        assert (await reader.get("/api/v1/sites")).status_code == 200
        refused = await reader.post("/api/v1/sites", json=documents("Site", "fra"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        listed = (await console.ask("GET", "/tokens"))["items"]
        assert [(t["role"], t["name"]) for t in listed] == [("admin", "admin"), ("read", "ci")]
        assert made["token"] not in str(listed)
        await console.ask("DELETE", f"/tokens/{made['id']}")
        assert (await reader.get("/api/v1/sites")).status_code == 401
    await console.ask("DELETE", f"/tokens/{made['id']}", status=404)


async def test_an_expired_api_token_is_refused(console: Any, until: Any) -> None:
    made = await console.ask("POST", "/tokens", {"role": "read", "name": "short", "ttlSeconds": 1}, status=201)
    async with console.client(made["token"]) as reader:

        async def refused() -> bool:
            return bool((await reader.get("/api/v1/sites")).status_code == 401)

        await until(refused, "the token expires")


async def test_errors_have_one_shape(console: Any) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("PATCH", "/sites", 405),
        ("GET", "/sites?limit=0", 422),
        ("POST", "/apply", 422),
        ("GET", "/status/objects?key=nonsense", 422),
        ("GET", "/status/objects/default/Site/-/none", 404),
        ("GET", "/status/sites/none", 404),
    ):
        answer = await console.ask(method, path, status=status)
        assert set(answer["error"]) == {"code", "message"}, path
        assert isinstance(answer["diagnostics"], list)
    assert (await console.apply(status=422, surprise=1))["error"]["code"] == "invalid-request"


async def test_a_body_must_be_what_the_path_says(console: Any, documents: Document) -> None:
    refused = await console.ask("PUT", "/sites/fra", documents("Site", "nyc"), status=422)
    assert refused["error"]["code"] == "wrong-path"
    refused = await console.ask("PUT", "/sites/fra", documents("Region", "fra", {"address": "192.0.2.1"}), status=422)
    assert refused["error"]["code"] == "wrong-path"


async def test_drain_and_undrain_are_revisions(shop: Any) -> None:
    assert (await shop.ask("POST", "/sites/fra/drain"))["revision"] == 2
    assert (await shop.ask("POST", "/sites/fra/drain"))["revision"] == 2
    assert {s["name"]: s["drained"] for s in (await shop.ask("GET", "/status"))["sites"]} == {"fra": True, "nyc": False}
    assert (await shop.ask("POST", "/sites/fra/undrain"))["revision"] == 3
    await shop.ask("POST", "/sites/none/drain", status=404)


async def test_the_status_of_an_object_names_the_sites_it_concerns(shop: Any) -> None:
    cluster = await shop.ask("GET", "/status/objects", params={"key": "default/Cluster/default/web"})
    assert [s["site"] for s in cluster["sites"]] == ["fra", "nyc"]
    host = await shop.ask("GET", "/status/objects/default/VirtualHost/default/shop")
    assert [(s["site"], s["applied"]) for s in host["sites"]] == [("fra", False)]


async def test_a_site_that_is_not_connected_cannot_be_asked(shop: Any) -> None:
    refused = await shop.ask("GET", "/status/sites/fra", status=503)
    assert refused["error"]["code"] == "not-connected"
    await shop.ask("POST", "/explain", {"url": "http://shop.example/", "from": "fra"}, status=503)


async def test_openapi_describes_every_path(console: Any) -> None:
    document = (await console.http.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    for path in (
        "/api/v1/apply",
        "/api/v1/sites/{name}",
        "/api/v1/namespaces/{namespace}/clusters/{name}",
        "/api/v1/join",
        "/api/v1/status",
        "/healthz",
        "/metrics",
    ):
        assert path in document["paths"], path
    parameters = document["paths"]["/api/v1/sites/{name}"]["put"]["parameters"]
    assert {p["name"] for p in parameters} == {"name", "if-match"}
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(set(names)) == len(names)


async def test_metrics_count_what_happened(shop: Any) -> None:
    text = (await shop.http.get("/metrics")).text
    assert 'isthmus_objects{kind="Site"} 2.0' in text
    assert "isthmus_revision 1.0" in text
    assert 'isthmus_behind{role="site"} 2.0' in text
    assert 'isthmus_api_requests_total{method="POST",route="/api/v1/apply",status="200"} 1.0' in text


async def test_the_certificate_is_for_the_names_that_people_use(console: Any) -> None:
    context = ssl.create_default_context(cafile=str(console.state / "ca.pem"))
    for host in ("localhost", "127.0.0.1"):
        async with httpx.AsyncClient(verify=context) as client:
            assert (await client.get(f"https://{host}:{console.console.port}/healthz")).status_code == 200
    async with httpx.AsyncClient() as stranger:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await stranger.get(f"https://127.0.0.1:{console.console.port}/healthz")


async def test_two_edits_at_once_are_two_revisions(console: Any, documents: Document) -> None:
    import asyncio

    answers = await asyncio.gather(*(console.apply(documents("Site", f"s{n}")) for n in range(8)))
    assert sorted(answer["revision"] for answer in answers) == list(range(1, 9))
    sites = (await console.ask("GET", "/sites"))["items"]
    assert sorted(site["system"]["number"] for site in sites) == list(range(1, 9))
