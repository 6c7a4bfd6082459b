"""Checks between objects: each with object, field and mend."""

from collections.abc import Mapping

import pytest

from isthmus.model import Diagnostic, Object, ObjectKey, System, validation
from isthmus.model.document import parse_yaml
from isthmus.model.selection import SiteSelection
from isthmus.model.validation import referrers, validate

BASE = """
apiVersion: isthmus/v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: isthmus/v1
kind: Region
metadata: {name: eu}
spec: {address: 192.0.2.9}
---
apiVersion: isthmus/v1
kind: Site
metadata: {name: ams, labels: {tier: edge}}
spec:
  regions: [eu]
  fabric: {reachability: outbound}
  interfaces: [{name: eth0, addresses: [192.0.2.1, 192.0.2.2]}]
---
apiVersion: isthmus/v1
kind: Site
metadata: {name: fra, labels: {tier: core}}
spec: {interfaces: [{name: eth0, network: inside, addresses: [192.0.2.3]}]}
---
apiVersion: isthmus/v1
kind: VirtualSite
metadata: {name: edge}
spec: {selector: [tier=edge]}
---
apiVersion: isthmus/v1
kind: Endpoint
metadata: {name: web, namespace: shop}
spec: {where: {site: fra}, address: 192.0.2.4, port: 80}
---
apiVersion: isthmus/v1
kind: HealthCheck
metadata: {name: http, namespace: shared}
spec: {http: {}}
---
apiVersion: isthmus/v1
kind: Cluster
metadata: {name: web, namespace: shop}
spec: {endpoints: [{name: web}], healthChecks: [{namespace: shared, name: http}]}
---
apiVersion: isthmus/v1
kind: Route
metadata: {name: web, namespace: shop}
spec: {forward: {clusters: [{cluster: {name: web}}]}}
---
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {name: edge, namespace: shop}
spec: {where: {virtualSite: edge}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {name: web, namespace: shop}
spec: {domains: [shop.example], routes: [{name: web}], advertisePolicies: [{name: edge}]}
"""


def objects(*texts: str) -> dict[ObjectKey, Object]:
    found: dict[ObjectKey, Object] = {}
    for number, text in enumerate((BASE, *texts)):
        parsed = parse_yaml(text)
        assert parsed.diagnostics == ()
        for obj in parsed.objects:
            found[obj.key] = obj.with_system(System(created=number + 1))
    return found


def only(found: list[Diagnostic]) -> tuple[str, str, str]:
    (diagnostic,) = found
    assert diagnostic.object is not None
    assert diagnostic.message
    assert diagnostic.mend
    return diagnostic.code, diagnostic.object.title, diagnostic.field


def document(kind: str, path: str, spec: str) -> str:
    namespace, _, name = path.rpartition("/")
    where = f"namespace: {namespace}, " if namespace else ""
    return f"apiVersion: isthmus/v1\nkind: {kind}\nmetadata: {{{where}name: {name}}}\nspec: {spec}\n"


def test_valid_objects_have_no_diagnostics() -> None:
    assert validate(objects()) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            document("Route", "team/a", "{directResponse: {status: 200}}"),
            ("unknown-namespace", "Route team/a", "metadata.namespace"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: web}, {name: none}]}"),
            ("dangling-reference", "Cluster shop/a", "spec.endpoints[1]"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: web}], healthChecks: [{name: http}]}"),
            ("dangling-reference", "Cluster shop/a", "spec.healthChecks[0]"),
        ),
        (
            document("Route", "shop/a", "{forward: {clusters: [{cluster: {name: none}}]}}"),
            ("dangling-reference", "Route shop/a", "spec.forward.clusters[0].cluster"),
        ),
        (
            document("Route", "default/a", "{forward: {clusters: [{cluster: {namespace: shop, name: web}}]}}"),
            ("foreign-namespace", "Route default/a", "spec.forward.clusters[0].cluster.namespace"),
        ),
        (
            document("Route", "shop/a", "{forward: {clusters: [{cluster: {name: web}, subset: v2}]}}"),
            ("unknown-subset", "Route shop/a", "spec.forward.clusters[0].subset"),
        ),
        (
            document(
                "Route",
                "shop/a",
                "{forward: {clusters: [{cluster: {name: web}}], "
                "mirrors: [{cluster: {name: web}}, {cluster: {name: web}, subset: v2}]}}",
            ),
            ("unknown-subset", "Route shop/a", "spec.forward.mirrors[1].subset"),
        ),
        (
            document(
                "Route", "shop/a", "{forward: {clusters: [{cluster: {name: web}}], hashPolicy: [{cookie: shop}]}}"
            ),
            ("hash-unused", "Route shop/a", "spec.forward.hashPolicy"),
        ),
        (
            document("Route", "shop/a", "{forward: {priority: HIGH, clusters: [{cluster: {name: near}}]}}")
            + "---\n"
            + document("Cluster", "shop/near", "{endpoints: [{name: web}], endpointSelection: LOCAL_PREFERRED}"),
            ("priority-stays-here", "Route shop/a", "spec.forward.priority"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: web}], healthChecks: [{name: rpc}]}")
            + "---\n"
            + document("HealthCheck", "shop/rpc", "{grpc: {}}"),
            ("grpc-needs-http2", "Cluster shop/a", "spec.healthChecks[0]"),
        ),
        (
            document("VirtualHost", "shop/a", "{domains: [a.example], routes: [{name: none}]}"),
            ("dangling-reference", "VirtualHost shop/a", "spec.routes[0]"),
        ),
        (
            document("VirtualHost", "shop/a", "{domains: [a.example], advertisePolicies: [{name: none}]}"),
            ("dangling-reference", "VirtualHost shop/a", "spec.advertisePolicies[0]"),
        ),
        (
            document("Endpoint", "shop/a", "{where: {site: none}, address: 192.0.2.4, port: 80}"),
            ("dangling-reference", "Endpoint shop/a", "spec.where.site"),
        ),
        (
            document("AdvertisePolicy", "shop/a", "{where: {virtualSite: none}}"),
            ("dangling-reference", "AdvertisePolicy shop/a", "spec.where.virtualSite"),
        ),
        (document("Site", "a", "{regions: [eu, none]}"), ("dangling-reference", "Site a", "spec.regions[1]")),
        (
            document("Endpoint", "shop/a", "{where: {site: ams}, address: 192.0.2.4, port: 80}"),
            ("outbound-site-hosts-endpoint", "Endpoint shop/a", "spec.where.site"),
        ),
        (
            document("Endpoint", "shop/a", "{where: {virtualSite: edge}, address: 192.0.2.4, port: 80}"),
            ("outbound-site-hosts-endpoint", "Endpoint shop/a", "spec.where.virtualSite"),
        ),
        (
            document("AdvertisePolicy", "shop/a", "{where: {site: fra}}"),
            ("no-address", "AdvertisePolicy shop/a", "spec.where.network"),
        ),
        (
            document(
                "VirtualHost", "shop/a", "{domains: [b.example, SHOP.example], advertisePolicies: [{name: edge}]}"
            ),
            ("overlapping-domain", "VirtualHost shop/a", "spec.domains[1]"),
        ),
        (
            document("VirtualHost", "shop/a", "{domains: ['shop.example:80'], advertisePolicies: [{name: edge}]}"),
            ("overlapping-domain", "VirtualHost shop/a", "spec.domains[0]"),
        ),
        (
            document("VirtualHost", "shop/a", "{proxy: TCP, routes: [{name: web}], advertisePolicies: [{name: edge}]}"),
            ("overlapping-socket", "VirtualHost shop/a", "spec.advertisePolicies"),
        ),
        (
            document(
                "VirtualHost",
                "shop/a",
                "{proxy: TCP_SNI, domains: [b.example], routes: [{name: web}], advertisePolicies: [{name: edge}]}",
            ),
            ("overlapping-socket", "VirtualHost shop/a", "spec.advertisePolicies"),
        ),
        (
            document("VirtualHost", "shop/a", "{proxy: UDP, routes: [{name: web}], advertisePolicies: [{name: edge}]}"),
            ("wrong-protocol", "VirtualHost shop/a", "spec.routes[0]"),
        ),
        (
            document("VirtualHost", "shop/a", "{proxy: SMA, routes: [{name: web}], advertisePolicies: [{name: in}]}")
            + "---\n"
            + document("AdvertisePolicy", "shop/in", "{where: {network: inside}}"),
            ("wrong-network", "VirtualHost shop/a", "spec.advertisePolicies[0]"),
        ),
        (
            document("VirtualHost", "shop/a", "{proxy: TCP, routes: [{name: a}]}")
            + "---\n"
            + document("Route", "shop/a", "{forward: {clusters: [{cluster: {name: web}}], prefixRewrite: /}}"),
            ("http-only", "VirtualHost shop/a", "spec.routes[0]"),
        ),
        (
            "\n---\n".join(
                (
                    document("VirtualHost", "shop/a", "{proxy: UDP, routes: [{name: a}]}"),
                    document("Route", "shop/a", "{forward: {clusters: [{cluster: {name: a}, subset: b}]}}"),
                    document(
                        "Cluster", "shop/a", "{endpoints: [{name: a}], subsets: [{name: b, selector: [version=2]}]}"
                    ),
                    document("Endpoint", "shop/a", "{where: {site: fra}, address: 192.0.2.4, port: 80, protocol: UDP}"),
                )
            ),
            ("whole-cluster", "VirtualHost shop/a", "spec.routes[0]"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: web}, {name: a}]}")
            + "---\n"
            + document("Endpoint", "shop/a", "{where: {site: fra}, address: 192.0.2.4, port: 80, protocol: UDP}"),
            ("mixed-protocols", "Cluster shop/a", "spec.endpoints"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: web}, {name: a}]}")
            + "---\n"
            + document("Endpoint", "shop/a", "{where: {site: fra}, address: 192.0.2.4, port: 80, hostName: a.example}"),
            ("mixed-host-names", "Cluster shop/a", "spec.endpoints"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: a}], endpointSelection: LOCAL_ONLY, proxyProtocol: V1}")
            + "---\n"
            + document("Endpoint", "shop/a", "{where: {site: fra}, address: 192.0.2.4, port: 80, hostName: a.example}"),
            ("shared-connections", "Cluster shop/a", "spec.proxyProtocol"),
        ),
        (
            document("Cluster", "shop/a", "{endpoints: [{name: a}], healthChecks: [{namespace: shared, name: http}]}")
            + "---\n"
            + document("Endpoint", "shop/a", "{where: {site: fra}, address: 192.0.2.4, port: 80, protocol: UDP}"),
            ("wrong-protocol", "Cluster shop/a", "spec.healthChecks[0]"),
        ),
        (
            document("AdvertisePolicy", "shop/a", "{where: {network: office}}"),
            ("dangling-reference", "AdvertisePolicy shop/a", "spec.where.network"),
        ),
    ],
)
def test_one_error(text: str, expected: tuple[str, str, str]) -> None:
    assert only(validate(objects(text))) == expected


@pytest.mark.parametrize(
    "text",
    [
        document("AdvertisePolicy", "shop/a", "{where: {site: fra, network: inside}}"),
        document("AdvertisePolicy", "shop/a", "{where: {site: fra}, address: 192.0.2.5}"),
        document("VirtualHost", "shop/a", "{domains: [shop.example]}"),
        document("VirtualHost", "shop/a", "{domains: ['*.shop.example', '*'], advertisePolicies: [{name: edge}]}"),
        document(
            "Route",
            "shop/a",
            "{forward: {clusters: [{cluster: {name: web}}, {cluster: {name: a}}], hashPolicy: [{cookie: c}]}}",
        )
        + "---\n"
        + document("Cluster", "shop/a", "{endpoints: [{name: web}], loadBalancing: MAGLEV}"),
        document("Cluster", "shared/a", "{endpoints: [{name: a}]}")
        + "---\n"
        + document("Endpoint", "shared/a", "{where: {site: fra}, address: 192.0.2.4, port: 80}"),
    ],
)
def test_no_error(text: str) -> None:
    assert validate(objects(text)) == []


def test_errors_of_all_objects_at_once_in_a_fixed_order() -> None:
    late = document("Route", "shop/z", "{forward: {clusters: [{cluster: {name: none}}]}}")
    early = document("Cluster", "shop/a", "{endpoints: [{name: none}]}")
    found = validate(objects(late, early))
    assert [d.object.title for d in found if d.object] == ["Cluster shop/a", "Route shop/z"]
    reverse: Mapping[ObjectKey, Object] = dict(reversed(objects(late, early).items()))
    assert validate(reverse) == found


def test_first_created_keeps_working() -> None:
    """Also when the later one has the smaller name, and when the clash comes from an edit of a label."""
    policy = document("AdvertisePolicy", "shop/all", "{where: {virtualSite: all}, address: 192.0.2.1}")
    group = document("VirtualSite", "all", "{selector: [tier=none]}")
    second = document("VirtualHost", "shop/a", "{domains: [shop.example], advertisePolicies: [{name: all}]}")
    before = objects(policy, group, second)
    assert validate(before) == []
    after = objects(policy, document("VirtualSite", "all", "{selector: []}"), second)
    (diagnostic,) = validate(after)
    assert diagnostic.object == ObjectKey("default", "VirtualHost", "shop", "a")
    assert "already served by VirtualHost shop/web on Site ams 192.0.2.1 port 80" in diagnostic.message


def test_limit_of_sites_per_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation, "MAX_CLUSTER_SITES", 1)
    endpoint = document("Endpoint", "shop/a", "{where: {site: nyc}, address: 192.0.2.4, port: 80}")
    cluster = document("Cluster", "shop/a", "{endpoints: [{name: web}, {name: a}]}")
    found = validate(objects(document("Site", "nyc", "{}"), endpoint, cluster))
    assert only(found) == ("too-many-sites", "Cluster shop/a", "spec.endpoints")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("default/Cluster/shop/web", ["Route shop/web"]),
        ("default/Endpoint/shop/web", ["Cluster shop/web"]),
        ("default/HealthCheck/shared/http", ["Cluster shop/web"]),
        ("default/Site//fra", ["Endpoint shop/web"]),
        ("default/Region//eu", ["Site ams"]),
        ("default/VirtualSite//edge", ["AdvertisePolicy shop/edge"]),
        ("default/VirtualHost/shop/web", []),
        (
            "default/Namespace//shop",
            [
                "AdvertisePolicy shop/edge",
                "Cluster shop/web",
                "Endpoint shop/web",
                "Route shop/web",
                "VirtualHost shop/web",
            ],
        ),
    ],
)
def test_referrers(key: str, expected: list[str]) -> None:
    assert [other.title for other in referrers(objects(), ObjectKey(*key.split("/")))] == expected


def test_selection_follows_labels_and_selectors() -> None:
    found = objects()
    policy = found[ObjectKey("default", "AdvertisePolicy", "shop", "edge")]
    selection = SiteSelection(found)
    assert [site.metadata.name for site in selection.advertised(policy.spec.where, "default")] == ["ams"]
    assert selection.advertised(policy.spec.where, "other") == ()
    sockets = {str(each) for each in selection.sockets(policy, "tcp")}
    assert sockets == {"Site ams 192.0.2.1 port 80", "Site ams 192.0.2.2 port 80"}
