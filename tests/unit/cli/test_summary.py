"""The line that `isthmus get` shows of every kind."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.cli.summary import summarise
from isthmus.model.kind import PUBLIC_KINDS

EXAMPLES = Path(__file__).parents[3] / "examples"


def documents() -> list[dict[str, Any]]:
    paths = (path for path in sorted(EXAMPLES.rglob("*.yaml")))
    found = [each for path in paths for each in yaml.safe_load_all(path.read_text())]
    return [each for each in found if isinstance(each, dict) and each.get("apiVersion") == "isthmus/v1"]


def test_every_document_of_the_examples_has_a_line_without_gaps() -> None:
    seen = set()
    for document in documents():
        line = summarise(document)
        assert "None" not in line, document
        seen.add(document["kind"])
    assert set(PUBLIC_KINDS) - seen <= {"TrustedAuthority"}  # an example of one would be a certificate that expires


@pytest.mark.parametrize("kind", [*PUBLIC_KINDS, "Later"])
def test_a_document_of_another_release_has_a_line_too(kind: str) -> None:
    assert isinstance(summarise({"kind": kind, "metadata": {"name": "x"}, "spec": {"surprise": {}}}), str)
    assert isinstance(summarise({"kind": kind}), str)


@pytest.mark.parametrize(
    ("kind", "spec", "line"),
    [
        ("VirtualHost", {"proxy": "HTTPS", "domains": ["a.example"]}, "HTTPS a.example"),
        ("Route", {"forward": {"clusters": [{"cluster": {"name": "web"}, "subset": "v2", "weight": 5}]}}, "web/v2:5"),
        ("Route", {"directResponse": {"status": 404}}, "responds 404"),
        ("Endpoint", {"where": {"site": "fra"}, "address": "192.0.2.1", "port": 80}, "site fra 192.0.2.1:80"),
        ("Endpoint", {"where": {"virtualSite": "all"}, "discovery": {"dns": {"name": "a"}}}, "virtual site all by dns"),
        ("HealthCheck", {"grpc": {}}, "grpc"),
        ("HealthCheck", {"http": {"path": "/healthy"}}, "http /healthy"),
        ("AdvertisePolicy", {"where": {"public": True}, "port": 443}, "public port 443"),
        ("TelemetryReceiver", {"where": {"site": "fra"}, "syslog": {"host": "a.b"}}, "site fra syslog a.b"),
        ("ServiceDiscovery", {"where": {"site": "fra"}, "consul": {}}, "site fra consul"),
    ],
)
def test_line(kind: str, spec: dict[str, Any], line: str) -> None:
    assert summarise({"kind": kind, "spec": spec}) == line
