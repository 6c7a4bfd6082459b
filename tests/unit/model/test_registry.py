"""ServiceDiscovery for Kubernetes and Consul: what is refused at apply."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from isthmus.model.consul_discovery import ConsulMethod
from isthmus.model.kubernetes_discovery import KubernetesLookup, KubernetesMethod


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"url": "consul:8500"}, "url must start with http:// or https://"),
        ({"url": "http://10.0.0.1:8500", "token": {"name": "t"}}, "the token could be read on its way"),
        ({"url": "https://c:8501", "clientCertificate": "x"}, "set both clientCertificate and clientKey"),
        ({"url": "https://c:8501", "clientKey": {"name": "k"}}, "set both clientCertificate and clientKey"),
    ],
)
def test_consul(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ConsulMethod.model_validate(spec)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8500", "http://[::1]:8500", "http://localhost:8500", "https://c:8501"]
)
def test_a_token_travels_on_the_site_itself_or_encrypted(url: str) -> None:
    method = ConsulMethod.model_validate({"url": url, "token": {"name": "t"}})
    assert [use.field for use in method.uses("default", "default", "spec.consul")] == ["spec.consul.token"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"service": "web", "selector": "a=b"}, "set exactly one of service and selector"),
        ({}, "set exactly one of service and selector"),
        ({"selector": "tier in ("}, "not closed"),
        ({"service": "web", "port": 0}, "greater than or equal to 1"),
        ({"service": "web", "port": "HTTP!"}, "String should match pattern"),
        ({"service": "web", "addresses": "nodes"}, "node-ports"),
    ],
)
def test_kubernetes_lookup(spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        KubernetesLookup.model_validate(spec)


def test_kubernetes_uses_its_kubeconfig() -> None:
    method = KubernetesMethod.model_validate({"kubeconfig": {"name": "k8s"}})
    assert [use.field for use in method.uses("default", "default", "spec.kubernetes")] == ["spec.kubernetes.kubeconfig"]
    assert method.pod_labels is False
