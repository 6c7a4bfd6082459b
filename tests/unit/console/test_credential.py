"""Secrets that cannot be sent are refused when they are applied, whichever of both objects comes first."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from isthmus.model.header_text import find_unsendable

from .conftest import SHOP, Running, document


def consul(name: str = "consul") -> dict[str, Any]:
    method = {"url": "https://consul.example:8501", "token": {"name": "token"}}
    return document("ServiceDiscovery", name, {"where": {"site": "fra"}, "consul": method})


def kubernetes() -> dict[str, Any]:
    return document(
        "ServiceDiscovery", "k8s", {"where": {"site": "fra"}, "kubernetes": {"kubeconfig": {"name": "kubeconfig"}}}
    )


def kubeconfig(token: str) -> str:
    """JSON is YAML."""
    return json.dumps(
        {
            "clusters": [{"name": "one", "cluster": {"server": "https://kubernetes.example"}}],
            "users": [{"name": "site", "user": {"token": token}}],
            "contexts": [{"name": "main", "context": {"cluster": "one", "user": "site"}}],
            "current-context": "main",
        }
    )


def secret(name: str, value: str) -> dict[str, Any]:
    return document("Secret", name, {"value": value})


async def refused(console: Running, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await console.apply(*documents, status=422)
    assert "t0k" not in json.dumps(answer, ensure_ascii=False)
    found: list[dict[str, Any]] = answer["diagnostics"]
    return found


def test_where_a_text_cannot_be_sent() -> None:
    assert find_unsendable(" a b\tc~\n") is None
    assert [find_unsendable(text) for text in ("é", "aé", "a\nb", "a\0", "a\x7f")] == [1, 2, 2, 2, 2]


@pytest.mark.parametrize("token", ["t0kén", "t0k\x01n", "t0k\nx-other: 1"])
async def test_a_token_and_what_sends_it_in_one_request(console: Running, token: str) -> None:
    [found] = await refused(console, *SHOP, secret("token", token), consul())
    assert (found["code"], found["object"], found["field"]) == (
        "unsendable-secret", "default/Secret/default/token", "spec.value",
    )  # fmt: skip
    assert found["message"].startswith("ServiceDiscovery default/consul cannot send it (spec.consul.token): no header")
    assert "in ASCII and on one line" in found["mend"]
    await console.apply(*SHOP, secret("token", "t0ken\n"), consul())


async def test_a_token_is_looked_at_when_what_sends_it_comes_later(console: Running) -> None:
    await console.apply(*SHOP, secret("token", "t0kén"))
    everything = await refused(console, consul("one"), consul("two"))
    assert {(each["object"], each["field"]) for each in everything} == {
        ("default/ServiceDiscovery/default/one", "spec.consul.token"),
        ("default/ServiceDiscovery/default/two", "spec.consul.token"),
    }
    assert all("value of Secret default/token" in each["message"] for each in everything)


async def test_a_token_that_is_replaced_is_looked_at_for_who_sends_it(console: Running) -> None:
    hook = {"url": "https://hooks.example/", "bearerToken": {"name": "token"}}
    receiver = {"where": {"site": "fra"}, "http": {"url": "https://logs.example/", "token": {"name": "token"}}}
    await console.apply(
        *SHOP, secret("token", "t0ken"), consul(), document("AlertReceiver", "hook", {"webhook": hook}),
        document("TelemetryReceiver", "logs", receiver),
    )  # fmt: skip
    found = await refused(console, secret("token", "t0kén"))
    assert {each["object"] for each in found} == {"default/Secret/default/token"}
    assert sorted(each["message"].partition(" cannot")[0] for each in found) == [
        "AlertReceiver default/hook", "ServiceDiscovery default/consul", "TelemetryReceiver default/logs",
    ]  # fmt: skip
    await console.apply(secret("token", "t0ken2"))


async def test_others_are_answered_while_a_kubeconfig_is_looked_into(
    console: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered, looks = threading.Event(), []

    def look(text: str, context: str) -> None:
        looks.append(answered.wait(30))

    monkeypatch.setattr("isthmus.console.credential.parse_kubeconfig", look)
    other = kubernetes()
    other["metadata"]["name"] = "other"
    objects = (*SHOP, secret("kubeconfig", kubeconfig("t0ken")), kubernetes(), other)
    applying = asyncio.create_task(console.apply(*objects))
    while not looks and not applying.done():
        await console.ask("GET", "/status")
        answered.set()
    await applying
    assert looks == [True], "once for both that use it, and nobody waits for it"


async def test_nothing_is_told_of_a_secret_that_its_namespace_may_not_use(console: Running) -> None:
    await console.apply(
        *SHOP, document("Namespace", "bank"), document("Secret", "vault", {"value": "t0kén"}, namespace="bank")
    )
    pry = consul()
    pry["spec"]["consul"]["token"] = {"namespace": "bank", "name": "vault"}
    found = await refused(console, pry)
    assert {each["code"] for each in found} == {"foreign-namespace"}
    shared = document("Secret", "vault", {"value": "t0kén"}, namespace="shared")
    pry["spec"]["consul"]["token"] = {"namespace": "shared", "name": "vault"}
    assert {each["code"] for each in await refused(console, shared, pry)} == {"unsendable-secret"}


async def test_a_kubeconfig_is_looked_into(console: Running) -> None:
    [found] = await refused(console, *SHOP, secret("kubeconfig", kubeconfig("t0kén")), kubernetes())
    assert (found["object"], found["field"]) == ("default/Secret/default/kubeconfig", "spec.value")
    assert "character 4 of the kubeconfig's token" in found["message"]
    await console.apply(*SHOP, secret("kubeconfig", kubeconfig("t0ken")), kubernetes())


async def test_what_was_so_before_stands_in_no_way(console: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr("isthmus.console.deployment.find_faulty", lambda *_: ())
        await console.apply(*SHOP, secret("token", "t0kén"), consul())
    await console.apply(secret("token", "t0kén"), consul(), secret("other", "é"))
