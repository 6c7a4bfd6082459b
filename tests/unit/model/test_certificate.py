"""Certificates, authorities and private values as people write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from isthmus.model import emit_envelope, parse_envelope
from isthmus.model.document import parse_documents
from isthmus.model.pem import certificate_names, covers


def parse(kind: str, **spec: Any) -> Any:
    return parse_documents([{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}])


def errors(kind: str, **spec: Any) -> list[str]:
    return [f"{each.field}: {each.message}" for each in parse(kind, **spec).diagnostics]


def test_a_chain_with_its_key_is_taken_and_the_key_is_shown_nowhere(pki: Any) -> None:
    middle = pki.issue("middle", authority=True)
    leaf = middle.issue("shop.example", "*.shop.example", "192.0.2.1")
    (obj,) = parse("Certificate", chain=leaf.chain, privateKey=leaf.private_key).objects
    assert obj.private["privateKey"].text == leaf.private_key
    assert certificate_names(obj.spec.chain) == ("shop.example", "*.shop.example", "192.0.2.1")
    shown = f"{obj!r} {obj} {obj.model_dump_json()} {emit_envelope(obj)!r}"
    assert "PRIVATE" not in shown
    assert leaf.private_key.splitlines()[1] not in shown
    again = parse_envelope(emit_envelope(obj))
    assert again.private["privateKey"].text is None, "an envelope never holds the value"


def test_what_no_client_would_take_is_refused_with_the_reason(pki: Any) -> None:
    middle = pki.issue("middle", authority=True)
    leaf, other = middle.issue("a.example"), middle.issue("a.example")
    weak = pki.issue("a.example", key=rsa.generate_private_key(65537, 1024))
    edwards = pki.issue("a.example", key=ed25519.Ed25519PrivateKey.generate())
    koblitz = pki.issue("a.example", key=ec.generate_private_key(ec.SECP256K1()))
    for spec, message in (
        ((leaf.chain, other.private_key), "spec: privateKey is not the key of the certificate"),
        ((leaf.chain, middle.private_key), "spec: privateKey is the key of another certificate of the chain"),
        ((middle.pem + leaf.pem, leaf.private_key), "spec.chain: certificate 2 did not issue certificate 1: put"),
        ((weak.chain, weak.private_key), "spec.chain: the RSA key has 1024 bits, fewer than 2048"),
        ((edwards.chain, edwards.private_key), "spec.chain: the key is neither RSA nor ECDSA"),
        ((koblitz.chain, koblitz.private_key), "spec.chain: the key is neither RSA nor ECDSA"),
        (("nonsense", leaf.private_key), "spec.chain: is not PEM of certificates"),
        ((leaf.chain + leaf.private_key, leaf.private_key), "spec.chain: holds a private key"),
        ((leaf.chain, "nonsense"), "spec: privateKey is not PEM of a private key"),
    ):
        found = errors("Certificate", chain=spec[0], privateKey=spec[1])
        assert len(found) == 1, found
        assert found[0].startswith(message), found
        assert leaf.private_key.splitlines()[1] not in found[0]


def test_text_or_files_but_not_halves_of_both(pki: Any) -> None:
    leaf = pki.issue("a.example")
    files = {"chainFile": "/etc/tls/a.pem", "privateKeyFile": "/etc/tls/a.key"}
    assert not errors("Certificate", **files)
    for spec in ({}, {"chain": leaf.chain}, {"chainFile": "/a"}, {**files, "chain": leaf.chain}):
        assert errors("Certificate", **spec) == [
            "spec: set either chain and privateKey, or chainFile and privateKeyFile, or acme"
        ]
    assert errors("Certificate", chainFile="a.pem", privateKeyFile="/a")[0].startswith("spec.chainFile: ")


@pytest.mark.parametrize("value", [4711, True, ["hunter2"], {"a": "hunter2"}, "  ", None])
def test_a_wrong_private_value_is_not_repeated_in_the_error(value: Any) -> None:
    found = errors("Secret", value=value)
    assert len(found) == 1
    assert found[0].startswith("spec.value: must ")
    assert "4711" not in found[0]
    assert "hunter2" not in found[0]
    assert "hunter2" not in json.dumps(errors("Secret", value={"hunter2": 1}) + errors("Secret", vlaue="hunter2"))


def test_a_private_value_in_the_wrong_place_is_not_repeated_either() -> None:
    parsed = parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": "Secret", "metadata": {"name": "x"}, "spec": "hunter2"}]
    )
    assert "hunter2" not in str(parsed.diagnostics[0])


def test_trusted_authorities_are_certificates(pki: Any) -> None:
    assert not errors("TrustedAuthority", certificates=pki.pem * 2)
    assert errors("TrustedAuthority", certificates="")[0].startswith("spec.certificates: is not PEM")


@pytest.mark.parametrize(
    ("domain", "covered"),
    [
        ("shop.example", True),
        ("shop.example:8443", True),
        ("a.shop.example", True),
        ("*.shop.example", True),
        ("a.b.shop.example", False),
        ("*.b.shop.example", False),
        ("example", False),
        ("other.example", False),
        ("*", False),
    ],
)
def test_which_domains_a_certificate_covers(domain: str, covered: bool) -> None:
    assert covers(("shop.example", "*.shop.example"), domain) is covered
