"""Kubeconfigs: what is taken, and what a site refuses because it could not be trusted."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml

from isthmus.discovery.error import SettingError
from isthmus.discovery.kubernetes.kubeconfig import parse_kubeconfig

SERVER = "https://kubernetes.example:6443"


def config(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None, **more: Any) -> str:
    document = {
        "clusters": [{"name": "one", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "site", "user": user if user is not None else {"token": "t0k3n"}}],
        "contexts": [{"name": "main", "context": {"cluster": "one", "user": "site"}}],
        "current-context": "main",
        **more,
    }
    return yaml.safe_dump(document)


def test_the_current_context_or_a_named_one() -> None:
    assert parse_kubeconfig(config()).token == "t0k3n"
    assert parse_kubeconfig(config(**{"current-context": ""}), "main").server == SERVER
    assert parse_kubeconfig(config()).host == "kubernetes.example:6443"


def test_nothing_secret_is_in_its_text() -> None:
    access = parse_kubeconfig(
        config(user={"username": "ops", "password": "pa55"}, cluster={"proxy-url": "http://a:b@p"})
    )
    assert "pa55" not in repr(access)
    assert "a:b" not in repr(access)
    assert "t0k3n" not in repr(parse_kubeconfig(config()))


@pytest.mark.parametrize(
    ("cluster", "user", "message"),
    [
        ({}, {"exec": {"command": "aws"}}, "would run a program at the site"),
        ({}, {"auth-provider": {"name": "gcp"}}, "would run a program at the site"),
        ({}, {"tokenFile": "/etc/shadow"}, "names a file (tokenFile); put its content in token"),
        ({"certificate-authority": "/ca.pem"}, None, "put its content in certificate-authority-data"),
        ({}, {"client-key": "/key.pem"}, "put its content in client-key-data"),
        ({"insecure-skip-tls-verify": True}, None, "set certificate-authority-data"),
        ({"server": "http://kubernetes.example"}, None, "use an https:// server"),
        ({"server": "kubernetes.example"}, None, "must be an http:// or https:// URL"),
        ({"server": "https://a:b@kubernetes.example"}, None, "URL without a user"),
        ({"proxy-url": "socks5://p"}, None, "proxy-url must be"),
        ({"certificate-authority-data": "%%%"}, None, "is not base64"),
        ({"certificate-authority-data": base64.b64encode(b"no").decode()}, None, "not a certificate in PEM"),
        ({}, {"client-certificate-data": "aGVsbG8="}, "set both client-certificate-data and client-key-data"),
        ({}, {"client-certificate-data": "aGVsbG8=", "client-key-data": "aGVsbG8="}, "are not PEM"),
        ({}, {"as": "admin"}, "impersonation"),
        ({}, {"token": "t0kén"}, "no header of HTTP can hold character 4 of the kubeconfig's token"),
        ({}, {"token": "t0ken\nx: 1"}, "no header of HTTP can hold character 6"),
        ({}, {"token": 7}, "'token' of the kubeconfig is not a text"),
    ],
)
def test_what_is_refused(cluster: dict[str, Any], user: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_kubeconfig(config(cluster, user))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{t0k3n", "the kubeconfig is not YAML"),
        ("t0k3n", "does not hold a kubeconfig"),
        (config(**{"current-context": "other"}), "has no context 'other'"),
        (config(clusters=[]), "has no cluster 'one'"),
        (config(users=[]), "has no user 'site'"),
    ],
)
def test_what_is_no_kubeconfig_is_said_without_quoting_it(text: str, message: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_kubeconfig(text)
    assert message in str(error.value)
    assert "t0k3n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        config(cluster={"server": "https://[abc"}),
        config(cluster={"server": "https://a.example:x"}),
        config(cluster={"proxy-url": "http://[abc"}),
        "a: 2026-99-99",
        "[" * 20_000,
    ],
)
def test_what_is_no_url_or_no_yaml_is_refused_in_words(text: str) -> None:
    with pytest.raises(SettingError) as error:
        parse_kubeconfig(text)
    assert "abc" not in str(error.value)
