"""Certificates, authorities and private values as people write them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519

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


def altered(issued: Any, *edits: tuple[bytes, bytes]) -> str:
    """A certificate with other bytes, as no library would make it. Nobody checks who signed the first of a chain."""
    der = issued.certificate.public_bytes(serialization.Encoding.DER)
    for old, new in edits:
        assert old in der
        assert len(old) == len(new)
        der = der.replace(old, new)
    return f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(der).decode()}-----END CERTIFICATE-----\n"


UNKNOWN_KEY = (b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x02\x7f")  # 1.2.840.10045.2.1: EC
UNKNOWN_SIGNATURE = (b"\x2a\x86\x48\xce\x3d\x04\x03\x02", b"\x2a\x86\x48\xce\x3d\x04\x03\x7f")  # its SHA-256
TWICE = (b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x11")  # the key's identifier: a second list of names
NO_NAME = (b"\x82\x09a.example", b"\x83\x09a.example")  # an X.400 address, which is none


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (UNKNOWN_KEY, "the certificate is for a kind of key that Envoy does not take"),
        (UNKNOWN_SIGNATURE, "the certificate is signed with MD5 or SHA-1, which no client takes"),
        (TWICE, "the extensions of the certificate cannot be read"),
        (NO_NAME, "the extensions of the certificate cannot be read"),
    ],
)
def test_certificates_of_odd_kinds_are_refused_with_a_reason(pki: Any, edit: tuple[bytes, bytes], reason: str) -> None:
    issued = pki.issue("a.example")
    odd = altered(issued, edit)
    assert f"spec.chain: {reason}" in errors("Certificate", chain=odd, privateKey=issued.private_key)
    behind = errors("Certificate", chain=issued.pem + odd, privateKey=issued.private_key)
    assert behind == ["spec.chain: certificate 2 did not issue certificate 1: put the own certificate first, then the "
                      "one that issued it, and so on"]  # fmt: skip
    assert not errors("TrustedAuthority", certificates=pki.pem + odd), "what a site trusts is its own business"


@pytest.mark.parametrize(
    "key",
    [
        ed25519.Ed25519PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
        ed448.Ed448PrivateKey.generate(),
        dsa.generate_private_key(1024),
        ec.generate_private_key(ec.BrainpoolP256R1()),
    ],
)
def test_private_keys_of_odd_kinds_are_not_the_certificate_s(pki: Any, key: Any) -> None:
    issued = pki.issue("a.example")
    parts = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    plain = key.private_bytes(*parts, serialization.NoEncryption()).decode()
    assert errors("Certificate", chain=issued.chain, privateKey=plain) == [
        "spec: privateKey is not the key of the certificate"
    ]
    locked = key.private_bytes(*parts, serialization.BestAvailableEncryption(b"x")).decode()
    assert errors("Certificate", chain=issued.chain, privateKey=locked) == [
        "spec: the private key is encrypted with a password; decrypt it first (openssl pkey)"
    ]


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
