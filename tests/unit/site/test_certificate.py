"""What Envoy is served of certificates: pairs that fit, the last good one otherwise, and files as they change."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from isthmus.model import ObjectKey
from isthmus.model.acme import AcmeState, Challenge
from isthmus.model.document import parse_documents
from isthmus.model.private import Private
from isthmus.site.certificate import CertificateStore
from isthmus.site.certificate_file import CertificateFiles

WEB = ObjectKey("default", "Certificate", "default", "web")
NAME = "certificate/default/default/web"
FILES = CertificateFiles(Path("/nonexistent/state"))


class FakeVault:
    """Values by field of the one certificate."""

    def __init__(self) -> None:
        self.private_key: str | None = None

    def value(self, key: ObjectKey, field: str = "value") -> str | None:
        assert (key, field) == (WEB, "privateKey")
        return self.private_key


def obj(kind: str, **spec: Any) -> Any:
    (found,) = parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "web"}, "spec": spec}]
    ).objects
    return found


def served(store: CertificateStore) -> tuple[str, str]:
    secret = Secret.FromString(store.secrets[NAME])
    assert secret.name == NAME
    certificate = secret.tls_certificate
    return certificate.certificate_chain.inline_bytes.decode(), certificate.private_key.inline_bytes.decode()


def test_a_chain_is_served_once_its_own_key_is_there(pki: Any) -> None:
    first, second = pki.issue("a.example"), pki.issue("a.example")
    vault = FakeVault()
    store = CertificateStore(vault, FILES)  # type: ignore[arg-type]
    assert not store.take({WEB: obj("Certificate", chain=first.chain, privateKey="kept:")})
    assert store.refusals[WEB].message == "the site has no copy of the private key yet"
    vault.private_key = first.private_key
    assert store.take({}, frozenset((WEB,)))
    assert served(store) == (first.chain, first.private_key)
    assert not store.refusals
    assert not store.take({WEB: obj("Certificate", chain=second.chain, privateKey="kept:")})
    assert served(store) == (first.chain, first.private_key), "a pair that does not fit is not served"
    assert store.refusals[WEB].message == "is not the key of the certificate"
    vault.private_key = second.private_key
    assert store.take({}, frozenset((WEB,)))
    assert served(store) == (second.chain, second.private_key)
    assert store.take({WEB: None})
    assert store.secrets == {}


def test_files_are_read_again_when_they_change_and_never_half_of_them(pki: Any, tmp_path: Path) -> None:
    chain, key = tmp_path / "web.pem", tmp_path / "web.key"
    store = CertificateStore(FakeVault(), FILES)  # type: ignore[arg-type]
    store.take({WEB: obj("Certificate", chainFile=str(chain), privateKeyFile=str(key))})
    assert store.refusals[WEB].message == f"{chain}: No such file or directory"
    first, second = pki.issue("a.example"), pki.issue("a.example")
    chain.write_text(first.chain)
    key.write_text(first.private_key)
    assert store.look()
    assert served(store) == (first.chain, first.private_key)
    assert not store.look(), "what has not changed is not read"
    chain.write_text(second.chain)
    assert not store.look()
    assert served(store) == (first.chain, first.private_key)
    assert store.refusals[WEB].message == f"{key}: is not the key of the certificate"
    key.write_text(second.private_key)
    assert store.look()
    assert served(store) == (second.chain, second.private_key)
    assert not store.refusals
    chain.write_text("nonsense")
    store.look()
    assert "BEGIN" not in store.refusals[WEB].message.replace("-----BEGIN CERTIFICATE-----", "")


def test_authorities_are_served_as_they_are(pki: Any) -> None:
    store = CertificateStore(FakeVault(), FILES)  # type: ignore[arg-type]
    key = WEB._replace(kind="TrustedAuthority")
    assert store.take({key: obj("TrustedAuthority", certificates=pki.pem)})
    secret = Secret.FromString(store.secrets["authority/default/default/web"])
    assert secret.validation_context.trusted_ca.inline_bytes.decode() == pki.pem


def test_what_is_no_file_of_a_certificate_s_size_is_refused_and_holds_up_nothing(tmp_path: Path) -> None:
    pipe, large = tmp_path / "pipe", tmp_path / "large.pem"
    os.mkfifo(pipe)
    large.write_bytes(b"x" * 300_000)
    for path, reason in ((pipe, "is not a file"), (large, "is larger than"), (Path("/dev/zero"), "is not a file")):
        store = CertificateStore(FakeVault(), FILES)  # type: ignore[arg-type]
        store.take({WEB: obj("Certificate", chainFile=str(path), privateKeyFile=str(path))})
        assert reason in store.refusals[WEB].message


def write_pair(directory: Path, pair: Any) -> tuple[Path, Path]:
    directory.mkdir(parents=True)
    chain, key = directory / "chain.pem", directory / "key.pem"
    chain.write_text(pair.chain)
    key.write_text(pair.private_key)
    return chain, key


def test_what_the_agent_keeps_for_itself_is_never_shown_to_clients(pki: Any, tmp_path: Path) -> None:
    pair, state, link = pki.issue("a.example"), tmp_path / "state", tmp_path / "link.pem"
    _, own = write_pair(state / "identity", pair)
    chain, key = write_pair(tmp_path / "shown", pair)
    link.symlink_to(own)
    (tmp_path / "other").symlink_to(state)
    files = CertificateFiles(tmp_path / "other")  # the agent was started by a path that is a link itself
    for path in (
        own, link, tmp_path / "other/identity/key.pem", tmp_path / "shown/../state/identity/key.pem",
        Path(f"/proc/self/root{own}"),
    ):  # fmt: skip
        store = CertificateStore(FakeVault(), files)  # type: ignore[arg-type]
        assert not store.take({WEB: obj("Certificate", chainFile=str(chain), privateKeyFile=str(path))}), path
        assert store.refusals[WEB].message.startswith(f"{path}: lies in the state directory of the site agent")
    store = CertificateStore(FakeVault(), files)  # type: ignore[arg-type]
    assert store.take({WEB: obj("Certificate", chainFile=str(chain), privateKeyFile=str(key))})
    key.unlink()
    key.symlink_to(own)
    assert not store.look()
    assert "lies in the state directory" in store.refusals[WEB].message
    assert served(store) == (pair.chain, pair.private_key), "what was good before is served on"


def test_a_site_may_allow_one_folder_of_certificates_alone(pki: Any, tmp_path: Path) -> None:
    pair, allowed = pki.issue("a.example"), tmp_path / "allowed"
    chain, key = write_pair(allowed, pair)
    _, outside = write_pair(tmp_path / "allowed-not", pair)
    (allowed / "link.pem").symlink_to(outside)
    files = CertificateFiles(tmp_path / "state", allowed)
    for path in (outside, allowed / "link.pem", allowed / "../allowed-not/key.pem"):
        store = CertificateStore(FakeVault(), files)  # type: ignore[arg-type]
        store.take({WEB: obj("Certificate", chainFile=str(chain), privateKeyFile=str(path))})
        assert store.refusals[WEB].message.startswith(f"{path}: does not lie in {allowed}")
    store = CertificateStore(FakeVault(), files)  # type: ignore[arg-type]
    assert store.take({WEB: obj("Certificate", chainFile=str(chain), privateKeyFile=str(key))})
    assert served(store) == (pair.chain, pair.private_key)


def asked(*tokens: str, chain: str | None = None, kind: str = "TLS_ALPN_01") -> Any:
    """A certificate by ACME, about which the server asks."""
    found = obj("Certificate", acme={"domains": ["a.example"], "termsOfServiceAgreed": True})
    challenges = tuple(
        Challenge.model_validate({"type": kind, "domain": "a.example", "token": token, "answer": f"{token}.x"})
        for token in tokens
    )
    key = Private(fingerprint="ab" * 16) if chain is not None else None
    return found.with_acme(AcmeState(chain=chain, private_key=key, challenges=challenges))


def test_a_handshake_is_answered_with_the_digest_that_the_server_looks_for(pki: Any) -> None:
    """RFC 8737, section 3: one name, and the SHA-256 of the answer in a critical extension."""
    vault, name = FakeVault(), "challenge/default/default/web/a.example"
    store = CertificateStore(vault, FILES)  # type: ignore[arg-type]
    assert store.take({WEB: asked("t")})
    assert (store.secrets.keys(), store.refusals) == ({name}, {}), "it is yet to be issued, which is no fault"
    first = store.secrets[name]
    pem = Secret.FromString(first).tls_certificate.certificate_chain.inline_bytes
    certificate = x509.load_pem_x509_certificate(pem)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    extension = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31"))
    assert extension.critical
    assert extension.value.public_bytes() == b"\x04\x20" + sha256(b"t.x").digest()

    issued = pki.issue("a.example")
    vault.private_key = issued.private_key
    assert store.take({WEB: asked("t", chain=issued.chain)}, frozenset((WEB,)))
    assert served(store) == (issued.chain, issued.private_key)
    assert store.secrets[name] == first, "what is asked for still stays as it is"
    assert store.take({WEB: asked(chain=issued.chain)})
    assert store.secrets.keys() == {NAME}
    assert not store.take({WEB: asked("page", chain=issued.chain, kind="HTTP_01")}), "a page needs no certificate"
