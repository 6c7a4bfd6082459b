"""What a TelemetryReceiver may say."""

from __future__ import annotations

from typing import Any

import pytest

from isthmus.model import TelemetryReceiver
from isthmus.model.document import parse_documents

SITE = {"where": {"site": "fra"}}


def problems(spec: dict[str, Any], namespace: str = "shared") -> str:
    document = {
        "apiVersion": "isthmus/v1",
        "kind": "TelemetryReceiver",
        "metadata": {"name": "logs", "namespace": namespace},
        "spec": {**SITE, **spec},
    }
    return "\n".join(f"{each.field}: {each.message}" for each in parse_documents([document]).diagnostics)


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({}, "set exactly one of syslog, http, file and otlp"),
        ({"file": {"name": "a"}, "syslog": {"host": "a.b"}}, "set exactly one of syslog, http, file and otlp"),
        ({"file": {"name": "../passwd"}}, "is not a file's name"),
        ({"file": {"name": "shop/a.log"}}, "folders are the site's to choose"),
        ({"file": {"name": ".hidden"}}, "is not a file's name"),
        ({"http": {"url": "ftp://a.b"}}, "must start with http:// or https://"),
        ({"http": {"url": "https://u:p@a.b"}}, "must hold no user or password"),
        ({"http": {"url": "https://a.b?key=1"}}, "must end with the path"),
        ({"http": {"url": "http://a.b", "token": {"name": "t"}}}, "secrets could be read on their way"),
        (
            {"otlp": {"url": "http://a.b", "headers": [{"name": "x", "secret": {"name": "t"}}]}},
            "secrets could be read on their way",
        ),
        ({"http": {"url": "https://a.b", "headers": [{"name": "x"}]}}, "set exactly one of value and secret"),
        (
            {
                "http": {
                    "url": "https://a.b",
                    "token": {"name": "t"},
                    "headers": [{"name": "Authorization", "value": "x"}],
                }
            },
            "the same header stands twice",
        ),
        ({"otlp": {"url": "http://a.b", "trustedAuthority": {"name": "ca"}}}, "trustedAuthority means nothing"),
        ({"syslog": {"host": "a.b", "transport": "UDP", "trustedAuthority": {"name": "ca"}}}, "use TLS"),
        ({"otlp": {"url": "https://a.b", "signals": ["LOGS", "LOGS"]}}, "the same signal stands twice"),
        ({"otlp": {"url": "https://a.b:70000", "protocol": "GRPC"}}, "must have a port from 1 to 65535"),
        ({"otlp": {"url": "https://a.b/otlp", "protocol": "GRPC"}}, "url has a path, and gRPC has none"),
        (
            {"otlp": {"url": "https://a.b", "protocol": "GRPC", "headers": [{"name": "x-bin", "value": "x"}]}},
            "the header x-bin cannot go with gRPC",
        ),
        (
            {"otlp": {"url": "https://a.b", "protocol": "GRPC", "headers": [{"name": "Grpc-Timeout", "value": "1S"}]}},
            "the header grpc-timeout cannot go with gRPC",
        ),
        ({"otlp": {"url": "https://a.b", "protocol": "grpc"}}, "protocol"),
    ],
)
def test_what_cannot_be_is_said(spec: dict[str, Any], problem: str) -> None:
    assert problem in problems(spec)


def test_faults_of_the_whole_are_said_beside_those_of_fields() -> None:
    spec = {"syslog": {"host": "no host"}, "file": {"name": "../a"}, "bufferMiB": 0}
    found = problems(spec).splitlines()
    assert [line.partition(":")[0] for line in found] == [
        "spec.syslog.host", "spec.file.name", "spec.bufferMiB", "spec",
    ]  # fmt: skip
    assert found[-1] == "spec: set exactly one of syslog, http, file and otlp"
    both = {"where": {"site": "NO", "virtualSite": "all"}, "file": {"name": "a"}}
    assert "spec.where: set exactly one of site and virtualSite" in problems(both)
    other = {"file": {"name": "a"}, "logs": {"namespaces": ["blog"], "sampling": 101}}
    assert "a receiver in the namespace shop gets records of that alone" in problems(other, "shop")


def test_a_faulty_or_misspelt_alternative_is_not_called_missing() -> None:
    assert "exactly one" not in problems({"file": "a.log"})
    assert "exactly one" not in problems({"sylog": {"host": "a.b"}})
    assert "exactly one" not in problems({"file": {"name": "a"}, "bufferMiB": 0})


def test_only_shared_receivers_decide_on_traces_of_all_namespaces() -> None:
    spec = {"otlp": {"url": "https://a.b", "traces": {"clientContext": "RESTART"}}}
    assert problems(spec) == ""
    assert "which the namespace shop cannot decide" in problems(spec, "shop")


def test_another_namespace_is_for_shared_receivers() -> None:
    spec = {"file": {"name": "a.log"}, "logs": {"namespaces": ["blog"]}}
    assert problems(spec) == ""
    assert "a receiver in the namespace shop gets records of that alone" in problems(spec, "shop")
    assert problems({**spec, "logs": {"namespaces": ["shop"]}}, "shop") == ""


def test_a_secret_may_go_in_the_clear_to_this_machine() -> None:
    assert problems({"http": {"url": "http://127.0.0.1:9000/in", "token": {"name": "t"}}}) == ""


def test_it_refers_to_all_that_it_needs() -> None:
    receiver = TelemetryReceiver.model_validate_json(
        """{"kind": "TelemetryReceiver", "metadata": {"name": "a", "namespace": "shop"}, "spec": {
            "where": {"virtualSite": "all"}, "http": {"url": "https://a.b", "token": {"name": "t"},
            "headers": [{"name": "x", "secret": {"name": "s", "namespace": "shared"}}],
            "trustedAuthority": {"name": "ca"}}}}"""
    )
    assert [(use.field, use.target.title) for use in receiver.uses()] == [
        ("spec.where.virtualSite", "VirtualSite all"),
        ("spec.http.headers[0].secret", "Secret shared/s"),
        ("spec.http.token", "Secret shop/t"),
        ("spec.http.trustedAuthority", "TrustedAuthority shop/ca"),
    ]
