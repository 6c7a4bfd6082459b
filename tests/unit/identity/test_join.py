"""Joining against a real HTTPS server with the authority's certificates."""

import http.server
import json
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.identity import (
    Authority,
    CertificateRefused,
    CredentialDirectory,
    CredentialMissing,
    Identity,
    JoinRefused,
    JoinToken,
    JoinUnreachable,
    RegionAddress,
    Role,
    Signer,
    emit_key,
    generate_key,
    join,
    load_membership,
    make_csr,
)

CONSOLE = Identity("example.net", Role.CONSOLE)
FRA = Identity("example.net", Role.SITE, "default", "fra")


class Deployment:
    """A console's join endpoint: one token, one signer."""

    def __init__(self, shown_as: Identity = CONSOLE) -> None:
        self.authority = Authority.create("example.net", datetime.now(UTC))
        self.signer = Signer.create()
        self.shown_as = shown_as
        self.issued_for = FRA
        self.asked: list[dict[str, Any]] = []
        self.secret = ""

    def answer(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(asked)
        if asked["token_secret"] != self.secret:
            return 403, {"error": {"code": "token_unknown", "message": "The token is unknown or was used."}}
        now = datetime.now(UTC)
        return 200, {
            "chain_pem": self.authority.issue(asked["csr_pem"].encode(), self.issued_for, now).decode(),
            "bundle_pem": self.authority.bundle_pem.decode(),
            "signing_keys": [self.signer.public_pem.decode()],
            "trust_domain": "example.net",
            "subject": self.issued_for.subject,
            "object": {"kind": "Site"},
            "regions": [{"name": "eu", "address": "10.0.0.2", "port": 7410, "bgp_port": 7411}],
            "console": {"address": "10.0.0.1", "port": 7401},
            "sealing": "sealing_key" in asked,
        }

    @contextmanager
    def serving(self, directory: Path) -> Iterator[JoinToken]:
        deployment = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status, document = deployment.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                body = json.dumps(document).encode() if self.path == "/api/v1/join" else b"{}"
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                return

        key = generate_key()
        pem = directory / "server.pem"
        pem.write_bytes(emit_key(key) + self.authority.issue(make_csr(key), self.shown_as, datetime.now(UTC)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            url = f"https://127.0.0.1:{server.server_address[1]}"
            token = JoinToken.create((url,), self.authority.fingerprint, Role.SITE, "fra")
            self.secret = token.secret
            yield token
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


async def test_a_site_joins_and_keeps_what_it_got(tmp_path: Path) -> None:
    deployment, state = Deployment(), tmp_path / "state"
    with deployment.serving(tmp_path) as token:
        membership = await join(token, state)
    credential = CredentialDirectory(state).load()
    assert credential.identity == FRA
    assert list(credential.signing_keys.keys) == [deployment.signer.key_id]
    assert membership == load_membership(state)
    assert membership.regions == (RegionAddress("eu", "10.0.0.2", 7410, 7411),)
    assert membership.console == ("10.0.0.1", 7401)
    assert {path.name for path in state.iterdir()} == {
        "identity.pem",
        "membership.json",
        "sealing.key",
        "trust.json",
    }
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}


async def test_the_private_key_is_not_sent(tmp_path: Path) -> None:
    deployment = Deployment()
    with deployment.serving(tmp_path) as token:
        await join(token, tmp_path / "state")
    key_pem = CredentialDirectory(tmp_path / "state").load().key_pem.decode()
    assert key_pem.splitlines()[1] not in json.dumps(deployment.asked)
    sealing = CredentialDirectory(tmp_path / "state").sealing_key()
    assert sealing is not None
    assert deployment.asked[0]["sealing_key"] == b64encode(sealing.public).decode()
    assert set(deployment.asked[0]) == {"token_secret", "role", "tenant", "name", "csr_pem", "sealing_key"}


async def test_a_dead_address_is_skipped(tmp_path: Path) -> None:
    with Deployment().serving(tmp_path) as token:
        token = replace(token, urls=("https://127.0.0.1:1", *token.urls))
        assert (await join(token, tmp_path / "state")).subject == "default/site/fra"


async def test_no_console_at_all_is_said(tmp_path: Path) -> None:
    token = JoinToken.create(("https://127.0.0.1:1",), "00" * 32, Role.SITE, "fra")
    with pytest.raises(JoinUnreachable, match=r"127\.0\.0\.1:1"):
        await join(token, tmp_path / "state")


async def test_a_refused_join_is_tried_again_with_the_same_key(tmp_path: Path) -> None:
    deployment, state = Deployment(), tmp_path / "state"
    with deployment.serving(tmp_path) as token:
        with pytest.raises(JoinRefused, match="was used") as refusal:
            await join(replace(token, secret="forged"), state)
        pending = CredentialDirectory(state).pending_key()
        await join(token, state)
    assert refusal.value.code == "token_unknown"
    assert CredentialDirectory(state).load().key_pem == emit_key(pending)


async def test_a_server_of_another_deployment_gets_no_secret(tmp_path: Path) -> None:
    deployment = Deployment()
    with deployment.serving(tmp_path) as token, pytest.raises(CertificateRefused, match="not of the deployment"):
        await join(replace(token, ca_sha256="00" * 32), tmp_path / "state")
    assert deployment.asked == []


async def test_a_site_that_poses_as_the_console_gets_no_secret(tmp_path: Path) -> None:
    deployment = Deployment(shown_as=Identity("example.net", Role.SITE, "default", "evil"))
    with deployment.serving(tmp_path) as token, pytest.raises(CertificateRefused, match="not the console"):
        await join(token, tmp_path / "state")
    assert deployment.asked == []


async def test_a_certificate_for_somebody_else_is_refused(tmp_path: Path) -> None:
    deployment = Deployment()
    deployment.issued_for = Identity("example.net", Role.SITE, "default", "nyc")
    with deployment.serving(tmp_path) as token, pytest.raises(CertificateRefused, match="expected"):
        await join(token, tmp_path / "state")
    assert not CredentialDirectory(tmp_path / "state").exists


def test_without_a_join_there_is_no_credential(tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match="join token"):
        CredentialDirectory(tmp_path).load()
    with pytest.raises(CredentialMissing, match="join token"):
        load_membership(tmp_path)
