"""Service discovery compiled: what is asked where, what becomes of answers, what is published."""

from __future__ import annotations

import json
from typing import Any

import pytest

from isthmus.compile import Compilation, Compiler, compile_site
from isthmus.compile.intent import Endpoint, Registry
from isthmus.discovery.found import Found
from isthmus.discovery.query import DnsQuery, KubernetesQuery, Query
from isthmus.discovery.setting import DnsSettings
from isthmus.model import KINDS, Object, ObjectKey
from isthmus.model.object import System
from isthmus.model.validation import validate

SITE = ObjectKey("default", "Site", "", "fra")
WEB = DnsQuery("web.test", "A", 80)


def make(kind: str, name: str, spec: dict[str, Any], namespace: str = "shop", **metadata: Any) -> Object:
    """An object as it comes from the wire, numbered."""
    space = "" if KINDS[kind].tenant_wide else namespace
    document = {"kind": kind, "metadata": {"name": name, "namespace": space, **metadata}, "spec": spec}
    return KINDS[kind].model_validate_json(json.dumps(document)).with_system(System(created=1, number=1))


def site(name: str = "fra") -> Object:
    interfaces = [{"name": "eth0", "addresses": ["192.0.2.1"]}]
    return make("Site", name, {"interfaces": interfaces, "fabric": {"addresses": [{"address": "192.0.2.1"}]}})


def endpoint(name: str, lookup: dict[str, Any], weight: int = 1, where: str = "fra", **metadata: Any) -> Object:
    spec = {"where": {"site": where}, "weight": weight, "discovery": lookup}
    return make("Endpoint", name, spec, **metadata)


def registry(name: str, method: dict[str, Any], namespace: str = "shop", where: str = "fra") -> Object:
    return make("ServiceDiscovery", name, {"where": {"site": where}, **method}, namespace)


def cluster(*endpoints: str) -> Object:
    return make("Cluster", "web", {"endpoints": [{"name": name} for name in endpoints]})


def by_key(*objects: Object) -> dict[ObjectKey, Object]:
    return {obj.key: obj for obj in objects}


def compiled(*objects: Object, found: dict[Any, tuple[Found, ...]] | None = None) -> Compilation:
    return compile_site(by_key(site(), *objects), SITE, "isthmus.test", found or {})


def registries(compilation: Compilation) -> dict[str, Registry]:
    return {each.key.name if each.key else "": each for each in compilation.intent.registries}


def servers(compilation: Compilation) -> dict[str, Endpoint]:
    return {str(each.socket): each for hosted in compilation.intent.hosted for each in hosted.endpoints}


DNS = {"dns": {"name": "web.test", "port": 80}}


def test_without_any_registry_for_dns_the_system_is_asked() -> None:
    compilation = compiled(endpoint("e", DNS), cluster("e"), found={(None, WEB): (Found("10.0.0.1", 80),)})
    assert compilation.intent.registries == (Registry(None, DnsSettings(), (WEB,)),)
    assert servers(compilation).keys() == {"10.0.0.1:80"}
    assert compilation.diagnostics == ()


def test_every_registry_of_the_method_is_asked_but_for_those_of_other_namespaces() -> None:
    compilation = compiled(
        endpoint("e", DNS),
        cluster("e"),
        registry("own", {"dns": {}}),
        registry("common", {"dns": {"servers": [{"address": "10.0.0.53"}]}}, "shared"),
        registry("foreign", {"dns": {}}, "other"),
        registry("elsewhere", {"dns": {}}, where="nyc"),
        registry("consul", {"consul": {"url": "http://10.0.0.1:8500"}}),
    )
    found = registries(compilation)
    assert {name for name, each in found.items() if each.queries} == {"own", "common"}
    assert found.keys() == {"own", "common", "foreign", "consul"}


def test_a_registry_that_is_named_is_the_only_one_asked() -> None:
    named = {**DNS, "serviceDiscovery": {"name": "own"}}
    compilation = compiled(
        endpoint("e", named), cluster("e"), registry("own", {"dns": {}}), registry("other", {"dns": {}})
    )
    assert {name for name, each in registries(compilation).items() if each.queries} == {"own"}


def test_addresses_of_both_families_are_two_questions() -> None:
    compilation = compiled(endpoint("e", {"dns": {"name": "Web.Test.", "port": 80, "record": "ADDRESS"}}))
    assert registries(compilation)[""].queries == (WEB, DnsQuery("web.test", "AAAA", 80))


def test_without_a_registry_the_endpoint_says_so() -> None:
    compilation = compiled(endpoint("e", {"kubernetes": {"service": "web"}}), cluster("e"))
    (diagnostic,) = compilation.diagnostics
    assert (diagnostic.code, diagnostic.object.name if diagnostic.object else "") == ("no-registry", "e")
    assert "does not use a ServiceDiscovery of the method kubernetes" in diagnostic.message
    assert servers(compilation) == {}
    assert [each.key.name for each in compilation.intent.hosted] == ["web"]


def test_answers_become_endpoints() -> None:
    """Weights multiply, labels add up, priorities become ranks, what is not ready is left out."""
    answer = (
        Found("10.0.0.1", 80, 5, (("version", "2"),), True, 20),
        Found("10.0.0.2", 80, 65_535, (), True, 10),
        Found("10.0.0.3", 80, 1, (), False, 10),
    )
    objects = (endpoint("e", DNS, weight=3, labels={"tier": "web", "version": "1"}), cluster("e"))
    found = servers(compiled(*objects, found={(None, WEB): answer}))
    assert found.keys() == {"10.0.0.1:80", "10.0.0.2:80"}
    one, two = found["10.0.0.1:80"], found["10.0.0.2:80"]
    assert (one.weight, one.labels, one.priority) == (15, (("tier", "web"), ("version", "2")), 1)
    assert (two.weight, two.labels, two.priority) == (65_535, (("tier", "web"), ("version", "1")), 0)
    assert one.name == "default/Endpoint/shop/e|10.0.0.1:80"


def test_a_server_that_is_written_and_found_is_one_without_complaint() -> None:
    written = make("Endpoint", "z", {"where": {"site": "fra"}, "address": "10.0.0.1", "port": 80})
    answer = (Found("10.0.0.1", 80, 9), Found("10.0.0.2", 80))
    compilation = compiled(written, endpoint("e", DNS), cluster("e", "z"), found={(None, WEB): answer})
    found = servers(compilation)
    assert (found["10.0.0.1:80"].name, found["10.0.0.1:80"].weight) == ("default/Endpoint/shop/z", 1)
    assert found.keys() == {"10.0.0.1:80", "10.0.0.2:80"}
    assert compilation.diagnostics == ()


def test_other_sites_know_the_site_alone() -> None:
    away = endpoint("e", DNS, where="nyc")
    objects = by_key(
        site(), site("nyc"), away, cluster("e"), *advertised("web.test"), registry("own", {"dns": {}}, where="nyc")
    )
    compilation = compile_site(objects, SITE, "isthmus.test")
    (used,) = compilation.intent.clusters
    assert [(member.site, member.endpoints) for member in used.members] == [("nyc", ())]
    assert (compilation.intent.hosted, compilation.intent.registries) == ((), ())


def advertised(*domains: str, namespace: str = "shop", port: int = 80) -> tuple[Object, ...]:
    forward = {"forward": {"clusters": [{"cluster": {"name": "web"}}]}}
    return (
        make("Route", "all", forward, namespace),
        make("AdvertisePolicy", "in", {"where": {"site": "fra"}, "port": port}, namespace),
        make(
            "VirtualHost",
            "host",
            {"domains": list(domains), "routes": [{"name": "all"}], "advertisePolicies": [{"name": "in"}]},
            namespace,
        ),
    )


def zone(name: str, zone: str, namespace: str = "shared", **publish: Any) -> Object:
    return registry(name, {"dns": {"publish": {"delegation": {"zone": zone}, **publish}}}, namespace)


def of_registries(compilation: Compilation) -> list[Any]:
    return [each for each in compilation.diagnostics if each.object and each.object.kind == "ServiceDiscovery"]


def published(compilation: Compilation, name: str) -> list[tuple[str, int]]:
    return [(record.domain, record.port) for record in registries(compilation)[name].records]


def test_domains_within_the_zone_are_published() -> None:
    compilation = compiled(
        *advertised("a.apps.test", "*.b.apps.test", "apps.test", "a.apps.test:81", "b.xapps.test", "*.test", "*"),
        zone("dns", "apps.test"),
    )
    assert published(compilation, "dns") == [("*.b.apps.test", 80), ("a.apps.test", 80), ("apps.test", 80)]
    (record, *_) = registries(compilation)["dns"].records
    assert (record.addresses, record.network, record.transport) == (("192.0.2.1",), "outside", "tcp")


def test_a_registry_publishes_its_own_namespace_and_the_shared_one_all() -> None:
    compilation = compiled(
        *advertised("a.apps.test"),
        *advertised("b.apps.test", namespace="other", port=81),
        zone("all", "apps.test"),
        registry("own", {"consul": {"url": "http://10.0.0.1:8500", "publish": {}}}, "other"),
        registry("none", {"consul": {"url": "http://10.0.0.1:8500"}}, "shared"),
        registry("inside", {"consul": {"url": "http://10.0.0.1:8500", "publish": {"network": "inside"}}}, "shared"),
    )
    assert published(compilation, "all") == [("a.apps.test", 80), ("b.apps.test", 81)]
    assert published(compilation, "own") == [("b.apps.test", 81)]
    assert published(compilation, "none") == published(compilation, "inside") == []


def test_one_zone_has_one_answerer() -> None:
    compilation = compiled(*advertised("a.apps.test"), zone("first", "apps.test"), zone("second", "apps.test"))
    assert [(each.code, each.object.name) for each in of_registries(compilation)] == [("zone-in-use", "second")]
    assert published(compilation, "first") == [("a.apps.test", 80)]
    assert published(compilation, "second") == []


def test_a_zone_needs_an_address_to_answer_on() -> None:
    inside = registry("dns", {"dns": {"publish": {"delegation": {"zone": "apps.test", "network": "inside"}}}})
    compilation = compiled(*advertised("a.apps.test"), inside)
    assert [(each.code, each.field) for each in of_registries(compilation)] == [
        ("no-address", "spec.dns.publish.delegation.network")
    ]
    settings = registries(compilation)["dns"].settings
    assert isinstance(settings, DnsSettings)
    assert settings.delegation is None


@pytest.mark.parametrize(
    ("method", "where", "code"),
    [
        ({"dns": {}}, "fra", None),
        ({"dns": {}}, "nyc", "registry-elsewhere"),
        ({"consul": {"url": "http://10.0.0.1:8500"}}, "fra", "wrong-method"),
    ],
)
def test_the_registry_that_an_endpoint_names_has_to_fit(method: dict[str, Any], where: str, code: str | None) -> None:
    namespace = make("Namespace", "shop", {})
    named = endpoint("e", {**DNS, "serviceDiscovery": {"name": "own"}})
    found = validate(by_key(namespace, site(), site("nyc"), named, registry("own", method, where=where)))
    assert [(each.code, each.field) for each in found] == ([(code, "spec.discovery.serviceDiscovery")] if code else [])


def test_one_of_many_answers_recomputes_its_cluster_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One server of 5,000 changes, beside 200 clusters of other endpoints: only what leads to it is computed again."""
    objects = [site(), endpoint("e", DNS), cluster("e"), *advertised("a.test")]
    for index in range(200):
        own = {"kubernetes": {"service": f"s{index}"}}
        objects.append(endpoint(f"e{index}", own))
        objects.append(make("Cluster", f"c{index}", {"endpoints": [{"name": f"e{index}"}]}))
    objects.append(registry("k", {"kubernetes": {"kubeconfig": {"name": "x"}}}))
    compiler = Compiler(SITE, "isthmus.test")
    many = [Found(f"10.0.{index // 250}.{index % 250}", 80) for index in range(5000)]
    compiler.discover(None, WEB, tuple(many))
    other: Query = KubernetesQuery("default", "s7")
    compiler.discover(ObjectKey("default", "ServiceDiscovery", "shop", "k"), other, (Found("10.9.0.1", 80),))
    before = compiler.update(by_key(*objects))
    computed: list[str] = []
    memo = compiler._memo
    refresh = type(memo)._refresh

    def noted(self: Any, node: Any) -> None:
        value = node.value
        refresh(self, node)
        if node.value is not value:
            computed.append(node.function.__name__)

    monkeypatch.setattr(type(memo), "_refresh", noted)
    compiler.discover(None, WEB, (*many[1:], Found("10.1.0.1", 80)))
    after = compiler.update({})
    assert len(computed) <= 12, computed
    assert sorted(set(computed)) == sorted(computed), "something is computed twice"
    kept = {each.key: each for each in before.intent.hosted}
    changed = [each.key.name for each in after.intent.hosted if kept[each.key] is not each]
    assert changed == ["web"]
    assert after.intent.listeners is before.intent.listeners
    assert after.intent.registries is before.intent.registries
