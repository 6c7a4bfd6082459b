"""Explanations of the goldens' deployments."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.golden.corpus import compile_case

from isthmus.compile.intent import Intent
from isthmus.emit.envoy import nominal_choices
from isthmus.explain import EndpointHealth, Health, explain, explanation_document
from isthmus.health.choice import SiteChoice, SiteState
from isthmus.model import ObjectKey


def health_of(intent: Intent, *, bad: tuple[str, ...] = ()) -> Health:
    return Health(
        choices={
            (each.key, subset): nominal_choices(intent, each, subset)
            for each in intent.clusters
            for subset in ("", *each.subsets)
        },
        local={
            (hosted.key, endpoint.name): EndpointHealth(endpoint.key.name not in bad, "probe")
            for hosted in intent.hosted
            for endpoint in hosted.endpoints
        },
    )


def document(case: str, url: str, *, method: str = "GET", bad: tuple[str, ...] = (), **headers: str) -> dict:
    intent = compile_case(case).intent
    explanation = explain(url, method, headers, intent, health_of(intent, bad=bad))
    result = explanation_document(explanation)
    assert json.loads(json.dumps(result)) == result
    return result


def shares(result: dict) -> dict[str, float]:
    return {site["site"]: site["percent"] for cluster in result["clusters"] for site in cluster["sites"]}


def test_local_application() -> None:
    result = document("one-site", "http://www.shop.example/cart?id=1")
    assert result["listener"] == "192.0.2.1:80"
    assert result["virtualHost"] == "shop/shop"
    assert result["routes"] == [{"route": "shop/all", "matched": True, "reason": "it takes every request"}]
    assert shares(result) == {"fra": 100.0}
    assert result["reached"]
    assert result["outcome"] == "Goes 100 % to shop/web at fra (100 %)."
    assert [each["endpoint"] for each in result["clusters"][0]["sites"][0]["endpoints"]] == ["shop/web-1", "shop/web-2"]


def test_no_healthy_endpoint() -> None:
    result = document("one-site", "http://shop.example/", bad=("web-1", "web-2"))
    assert not result["reached"]
    assert result["status"] == 503


def test_local_first_spills_to_the_nearest_site() -> None:
    near = document("local-first", "http://shop.example:8080/")
    assert shares(near) == {"ams": 100.0, "fra": 0.0, "nyc": 0.0}
    spilled = document("local-first", "http://shop.example:8080/", bad=("own-1",))
    assert shares(spilled) == {"fra": 100.0, "ams": 0.0, "nyc": 0.0}
    assert "own site, 0 of 1 endpoints usable" in [s["reason"] for s in spilled["clusters"][0]["sites"]]


def test_weights_over_sites_and_clusters() -> None:
    result = document("edge", "http://shop.example:8080/")
    assert [(each["cluster"], each["percent"]) for each in result["clusters"]] == [
        ("default/web", 95.0),
        ("default/canary", 5.0),
    ]
    uniform = document("uniform", "http://shop.example:8080/")["clusters"]
    web = next(each for each in uniform if each["cluster"] == "default/web")
    assert {each["site"]: each["percent"] for each in web["sites"]} == {"ams": 25.0, "fra": 25.0, "nyc": 50.0}


def test_drained_and_stale_sites_come_last() -> None:
    intent = compile_case("edge").intent
    key = ObjectKey("default", "Cluster", "default", "web")
    choices = [
        SiteChoice("fra", 0, 1, SiteState.DEGRADED, "not confirmed for 60 s", distance=364.0),
        SiteChoice("nyc", 1, 2, SiteState.HEALTHY, "2 healthy endpoints", distance=5863.0),
    ]
    result = explanation_document(
        explain("http://shop.example:8080/", "GET", {}, intent, Health({(key, ""): choices}, {}))
    )
    web = result["clusters"][0]["sites"]
    assert [(each["site"], each["percent"], each["state"]) for each in web] == [
        ("nyc", 100.0, "HEALTHY"),
        ("fra", 0.0, "DEGRADED"),
    ]


def test_first_condition_that_failed() -> None:
    result = document("routes", "http://any.example/tea", method="PUT")
    reasons = {each["route"]: each["reason"] for each in result["routes"]}
    assert reasons["default/paths"] == "the path /tea is not /api; the path /tea does not start with /api/"
    assert reasons["default/beta"] == "the header x-beta is missing, and it must be '1'"
    assert result["routes"][-1] == {"route": "default/teapot", "matched": True, "reason": "every condition holds"}
    assert (result["action"], result["status"]) == ("respond", 418)


@pytest.mark.parametrize(
    ("url", "host", "reason"),
    [
        ("http://shop.example:8080/", "default/first", "its domain is shop.example"),
        (
            "http://a.shop.example:8080/",
            "default/first",
            "*.shop.example is the longest wildcard for a.shop.example:8080",
        ),
        ("http://x.test:8080/", "default/fourth", "no other domain matches x.test:8080, and it takes any (*)"),
    ],
)
def test_virtual_host(url: str, host: str, reason: str) -> None:
    result = document("domains", url)
    assert (result["virtualHost"], result["domainReason"]) == (host, reason)


def test_nothing_listens_on_the_port() -> None:
    result = document("one-site", "http://shop.example:8443/")
    assert not result["reached"]
    assert result["outcome"] == "Nothing listens: fra listens on 80, not on 8443."


def test_url_without_port_finds_the_listener() -> None:
    result = document("edge", "shop.example/")
    assert result["listener"] == "192.0.2.1:8080"
    assert result["reached"]


def test_unknown_domain() -> None:
    result = document("one-site", "http://else.example/")
    assert result["outcome"] == "Envoy answers 404: no virtual host on 192.0.2.1:80 has the domain else.example."


def test_escaped_slash_is_sent_on() -> None:
    result = document("one-site", "http://shop.example/a%2Fb?q=1")
    assert result["status"] == 307
    assert "/a/b?q=1" in result["outcome"]


@pytest.mark.parametrize("url", ["ftp://shop.example/", "http:///x", "http://shop.example:port/"])
def test_bad_url(url: str) -> None:
    with pytest.raises(ValueError):
        document("one-site", url)


def test_lines_name_every_step() -> None:
    assert document("local-first", "http://shop.example:8080/cart", bad=("own-1",))["lines"] == [
        "GET shop.example:8080/cart at ams",
        "  listener 192.0.2.1:8080: listens on port 8080",
        "  virtual host default/shop: its domain is shop.example",
        "  route default/all: matches, it takes every request",
        "    tried up to 2 more times elsewhere on connect-failure, refused-stream",
        "    timeouts: no limit in all",
        "    cluster default/web 100 %: LOCAL_PREFERRED, LEAST_REQUEST; "
        "other sites only without a healthy endpoint here",
        "      site fra 100 %: HEALTHY, as declared",
        "        endpoint default/fra-1 10.0.0.1:8080 weight 1: declared",
        "      site ams 0 %: UNHEALTHY, own site, 0 of 1 endpoints usable",
        "        endpoint default/own-1 10.0.0.1:8080 weight 1: unhealthy, probe",
        "      site nyc 0 %: HEALTHY, as declared",
        "        endpoint default/nyc-1 10.0.0.1:8080 weight 2: declared",
        "Goes 100 % to default/web at fra (100 %).",
    ]


def test_tls_is_terminated_by_server_name() -> None:
    shop = document("https", "https://a.shop.example/")
    assert (shop["listener"], shop["virtualHost"], shop["reached"]) == ("192.0.2.1:443", "shop/shop", True)
    assert shop["listenerReason"] == (
        "listens on port 443, and terminates TLS with shop/rsa, shop/ecdsa; "
        "clients hear by alt-svc of HTTP/3 on UDP port 443"
    )
    region = document("https", "https://shop.example:8443/")
    assert region["listenerReason"] == "listens on port 8443, and terminates TLS with shop/region"
    staff = document("https", "https://staff.example/")
    assert staff["listenerReason"].endswith("with shop/staff; clients must show a certificate")


@pytest.mark.parametrize(
    ("case", "url", "outcome"),
    [
        ("https", "http://shop.example:443/", "The connection fails: 192.0.2.1:443 expects TLS: ask with https."),
        ("https", "https://bare.example/", "The connection is closed: no virtual host on 192.0.2.1:443 has the server"),
        ("one-site", "https://shop.example:80/", "The connection fails: 192.0.2.1:80 expects no TLS: ask with http."),
    ],
)
def test_a_connection_that_cannot_be_made(case: str, url: str, outcome: str) -> None:
    result = document(case, url)
    assert result["outcome"].startswith(outcome)
    assert not result["reached"]


@pytest.mark.parametrize(
    ("url", "virtual_host", "outcome"),
    [
        ("tcp://database.example:5432", "default/tunnelled", "Goes 100 % to default/far at ams (100 %)."),
        ("tcp://10.0.0.1:8200", "default/vault", "Goes 100 % to default/both at fra (100 %)."),
        (
            "tcp://192.0.2.1:5433",
            "default/weighted",
            "Goes 90 % to default/near at fra (100 %), 10 % to default/far at ams (100 %).",
        ),
        ("udp://192.0.2.1:53", "default/dns", "Goes 100 % to default/dns at fra (100 %)."),
        ("https://imap.mail.example/", "default/mail", "Goes 100 % to default/far at ams (100 %)."),
        ("tcp://mail.example:443", "default/mail", "Goes 100 % to default/far at ams (100 %)."),
        ("https://else.example/", "default/other-tls", "Goes 100 % to default/both at fra (100 %)."),
        ("http://192.0.2.1:5432/", "default/tunnelled", "Goes 100 % to default/far at ams (100 %)."),
        (
            "tcp://192.0.2.1:55",
            "default/refused",
            "The connection is closed: the virtual host has no route that connections can take.",
        ),
        ("tcp://192.0.2.1:53", None, "Nothing listens: fra does not listen on TCP port 53."),
    ],
)
def test_what_nothing_looks_into(url: str, virtual_host: str | None, outcome: str) -> None:
    result = document("streams", url)
    assert (result["virtualHost"], result["outcome"]) == (virtual_host, outcome)
    assert result["reached"] == outcome.startswith("Goes")


def test_a_stream_without_a_usable_endpoint() -> None:
    assert document("streams", "udp://192.0.2.1:54", bad=("own-resolver",))["outcome"].startswith("The datagrams are")


@pytest.mark.parametrize("url", ["tcp://host", "udp://:53", "tcp://host:port"])
def test_no_address_of_a_stream(url: str) -> None:
    with pytest.raises(ValueError, match="port"):
        document("streams", url)


def steps(case: str, url: str, **more: str) -> list[str]:
    return document(case, url, **more)["steps"]


def test_steps_name_rewrites_and_limits() -> None:
    assert steps("route-answer", "http://shop.example/api/v2/x") == [
        "the path becomes /api/2/x",
        "the host becomes app.internal:8080",
        "tried up to 2 more times elsewhere on connect-failure, refused-stream",
        "timeouts: no limit in all, 3600000 ms idle",
    ]
    result = document("route-answer", "http://shop.example/old/books/2")
    assert result["outcome"] == "Envoy answers 308 and sends the client to path /new/books/2."


def test_steps_name_header_edits_in_order() -> None:
    found = steps("route-headers", "http://shop.example/a")
    assert found[2:] == [
        "request headers, by the virtual host: x-legacy removed, x-shop set",
        "request headers, by the route: x-debug removed, x-client set, x-via appended, x-via appended, "
        "x-request-start added if missing",
        "response headers, by the virtual host: server-timing removed, strict-transport-security set",
        "response headers, by the route: x-powered-by removed, x-tries set, set-cookie appended, "
        "cache-control added if missing",
    ]


def test_steps_name_mirrors_and_hashes() -> None:
    assert "12.5 % of the requests are copied to default/far" in steps("route-mirror", "http://shop.example/a")
    copied = steps("route-mirror", "http://shop.example/s")
    assert "100 % of the requests are copied to default/web, subset v2" in copied
    assert steps("route-hash", "http://shop.example/made")[0] == (
        "the endpoint is chosen by header x-user alone if it is there, then cookie shop (made for clients without it)"
    )


def test_preflight_and_changes_from_elsewhere_reach_no_application() -> None:
    ask = {"origin": "https://admin.example", "access-control-request-method": "PUT"}
    result = document("route-cors", "http://shop.example/api", method="OPTIONS", **ask)
    assert (result["status"], result["reached"], result["routes"][0]["matched"]) == (200, False, True)
    assert "with permission" in result["outcome"]
    ask["origin"] = "https://evil.invalid"
    assert "without permission" in document("route-cors", "http://shop.example/api", method="OPTIONS", **ask)["outcome"]
    result = document("route-cors", "http://shop.example/", method="POST", origin="https://evil.example")
    assert (result["status"], result["outcome"]) == (403, "Envoy answers 403: CSRF refuses a change from evil.example.")
    assert document("route-cors", "http://shop.example/", method="POST", origin="http://shop.example")["reached"]


def test_steps_name_filters() -> None:
    found = steps("route-filters", "http://shop.example/all", **{"x-chaos": "1", "x-user": "u"})
    assert found[:3] == [
        "a fault holds 0.5 % of these requests back for 250 ms",
        "a fault answers 10 % of these requests with 503",
        "a body of more than 1000 bytes is refused with 413",
    ]
    assert found[-1] == "answers from 100 bytes on are compressed with zstd or gzip"
    assert steps("route-filters", "http://shop.example/none")[0] == "gRPC-web is translated to gRPC"
    pages = steps("error-pages", "http://shop.example/api")
    assert pages[-3:] == [
        "errors 503, 504 of Envoy get a page",
        "errors 404 of anyone get a page",
        "errors 5xx of Envoy get a page",
    ]


def test_subsets() -> None:
    result = document("subsets", "http://shop.example:8080/app")
    assert [(each["subset"], each["percent"], each["shape"]) for each in result["clusters"]] == [
        ("stable", 95.0, "uniform"),
        ("canary", 5.0, "uniform"),
    ]
    stable, canary = result["clusters"]
    assert [(each["site"], each["percent"]) for each in stable["sites"]] == [("ams", 100.0), ("fra", 0.0)]
    assert [each["endpoint"] for each in canary["sites"][0]["endpoints"]] == ["default/own-2"]
    assert result["outcome"].startswith(
        "Goes 95 % to default/app subset stable at ams (100 %), 5 % to default/app subset"
    )


def test_a_subset_that_nobody_serves() -> None:
    result = document("subsets", "http://shop.example:8080/here", bad=("own-1",))
    (view,) = result["clusters"]
    assert "nobody serves subset stable, any endpoint stands in" in view["reason"]
    assert view["sites"][0]["percent"] == 100.0
    assert {each["endpoint"] for each in view["sites"][0]["endpoints"]} == {"default/own-1", "default/own-2"}


def test_a_port_that_is_open_for_an_acme_server_alone_serves_nothing_else() -> None:
    """It is there for a moment. Pages that are asked for on it, of a URL without a port, are not what anybody means."""
    whole = compile_case("acme").intent
    intent = replace(whole, listeners=tuple(e for e in whole.listeners if e.socket.address == "192.0.2.9"))
    assert [each.socket.port for each in intent.listeners] == [80, 443, 8080]
    found = explanation_document(explain("http://high.example/", "GET", {}, intent, health_of(intent)))
    assert (found["listener"], found["virtualHost"]) == ("192.0.2.9:8080", "shop/high")
