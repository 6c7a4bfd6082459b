"""Messages about common mistakes say how to mend them."""

import pytest

from isthmus.model.document import parse_documents


def said(kind: str, spec: object, **frame: object) -> list[str]:
    document = {"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "a"}, "spec": spec} | frame
    return [str(each) for each in parse_documents([document]).diagnostics]


TO = {"clusters": [{"cluster": {"name": "web"}}]}


@pytest.mark.parametrize(
    ("kind", "spec", "message"),
    [
        ("Route", {"foward": TO}, "spec.foward: unknown field; did you mean forward?"),
        (
            "Route",
            {"forward": {**TO, "hashpolicy": []}},
            "spec.forward.hashpolicy: unknown field; did you mean hashPolicy?",
        ),
        (
            "Route",
            {"forward": {"clusters": [{"cluster": {"name": "web"}, "wieght": 5}]}},
            "spec.forward.clusters[0].wieght: unknown field; did you mean weight?",
        ),
        (
            "Endpoint",
            {"where": {"site": "ams", "rack": 4}, "address": "192.0.2.1", "port": 80},
            "spec.where.rack: unknown field; remove it; what can stand here is site, virtualSite",
        ),
        ("Cluster", {"endpoints": [{"name": "a"}], "zzz": 1}, "spec.zzz: unknown field; remove it, or see the object"),
        (
            "HealthCheck",
            {"http": {}, "interval": 500},
            "spec.interval: 500 has no unit: write for example 500ms or 500s",
        ),
        (
            "Endpoint",
            {"where": {"site": "ams"}, "address": "shop.internal", "port": 80},
            "spec.address: 'shop.internal' is a name, not an IP address; to have it looked up, write discovery.dns",
        ),
        (
            "Endpoint",
            {"where": {"site": "ams"}, "address": "192.0.2.300", "port": 80},
            "is not an IPv4 or IPv6 address",
        ),
        ("Route", {"match": [{"path": {"regex": "/a(b"}}], "forward": TO}, "close every bracket"),
        ("Route", {"match": [{"path": {"regex": "/(?=a)"}}], "forward": TO}, "RE2 has no look-ahead"),
        ("VirtualHost", {"domains": ["http://a.example"]}, "is a URL: write the name alone"),
        ("Virtualhost", {}, "'Virtualhost' is not a kind; did you mean VirtualHost?"),
        ("Pod", {}, "'Pod' is not a kind; use one of Namespace, "),
    ],
)
def test_mistake_is_told_with_its_mend(kind: str, spec: object, message: str) -> None:
    (only,) = said(kind, spec)
    assert message in only


def test_missing_version_is_missing() -> None:
    assert said("Site", {}, apiVersion=None) == [
        "Site a: apiVersion: required field is missing; write isthmus/v1 [wrong-api-version]"
    ]
