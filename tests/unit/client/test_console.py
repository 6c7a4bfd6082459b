"""The API client against real TLS servers: whom it trusts, and what its errors say."""

import hashlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.client import (
    Conflict,
    Console,
    ConsoleError,
    Failed,
    NotAuthorised,
    NotFound,
    Refused,
    Trust,
    TrustError,
    Unreachable,
    fetch_authority,
    parse_bundle,
)
from isthmus.client.console import object_path
from isthmus.identity import Authority, Identity, Role, generate_key, make_csr
from isthmus.identity.key import emit_key

DOMAIN = "example.net"
CONSOLE = Identity(DOMAIN, Role.CONSOLE)
SITE = Identity(DOMAIN, Role.SITE, "default", "fra")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str], bytes]]
    answers: dict[str, tuple[int, bytes]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        self.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        status, text = self.answers.get(self.path, (200, b'{"ok": true}'))
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if self.path.endswith("/hang-up"):
            self.close_connection = True

    do_GET = do_POST = do_DELETE = do_PUT = _answer

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(directory: Path, authority: Authority, identity: Identity) -> Iterator[tuple[str, type[Handler]]]:
    """An HTTPS server with the certificate of an identity."""
    key = generate_key()
    chain = authority.issue(make_csr(key), identity, datetime.now(UTC))
    (directory / "key.pem").write_bytes(emit_key(key))
    (directory / "chain.pem").write_bytes(chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "chain.pem", directory / "key.pem")
    handler = type("OneHandler", (Handler,), {"seen": [], "answers": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create(DOMAIN, datetime.now(UTC))


def bundle(authority: Authority) -> str:
    return parse_bundle(authority.bundle_pem.decode())


def test_requests(tmp_path: Path, authority: Authority) -> None:
    with serving(tmp_path, authority, CONSOLE) as (url, server), Console(url, "t", Trust(bundle(authority))) as console:
        assert console.get("/sites", limit=5, skip=None) == {"ok": True}
        assert console.apply([{"a": "ü"}], dry_run=True) == {"ok": True}
    (method, path, headers, _), (post, apply, _, body) = server.seen
    assert (method, path, headers["authorization"]) == ("GET", "/api/v1/sites?limit=5", "Bearer t")
    assert (post, apply, json.loads(body)) == ("POST", "/api/v1/apply", {"documents": [{"a": "ü"}], "dryRun": True})


def test_connection_that_closed_while_idle_is_opened_again(tmp_path: Path, authority: Authority) -> None:
    with serving(tmp_path, authority, CONSOLE) as (url, server), Console(url, "t", Trust(bundle(authority))) as console:
        for _ in range(3):
            assert console.get("/hang-up") == {"ok": True}
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, NotAuthorised),
        (403, NotAuthorised),
        (404, NotFound),
        (409, Conflict),
        (412, Conflict),
        (410, Refused),
        (422, Refused),
        (500, Failed),
        (503, Unreachable),
    ],
)
def test_errors(tmp_path: Path, authority: Authority, status: int, cause: type[ConsoleError]) -> None:
    diagnostics: list[dict[str, Any]] = [{"code": "c", "object": None, "field": "", "message": "m", "mend": ""}]
    answer = json.dumps({"error": {"code": "x", "message": "A sentence."}, "diagnostics": diagnostics}).encode()
    with serving(tmp_path, authority, CONSOLE) as (url, server), Console(url, "t", Trust(bundle(authority))) as console:
        server.answers["/api/v1/x"] = (status, answer)
        with pytest.raises(cause, match=r"A sentence\.") as caught:
            console.get("/x")
    assert type(caught.value) is cause
    assert list(caught.value.diagnostics) == diagnostics


@pytest.mark.parametrize("text", [b"<html>", b"\xff"])
def test_answer_that_is_no_json(tmp_path: Path, authority: Authority, text: bytes) -> None:
    with serving(tmp_path, authority, CONSOLE) as (url, server), Console(url, "t", Trust(bundle(authority))) as console:
        server.answers["/api/v1/x"] = (200, text)
        with pytest.raises(Failed, match="not JSON"):
            console.get("/x")
        server.answers["/api/v1/x"] = (200, b"")
        assert console.get("/x") is None


def test_token_is_not_sent_to_a_site(tmp_path: Path, authority: Authority) -> None:
    """Its certificate is by the same authority, but it is not the console's."""
    with serving(tmp_path, authority, SITE) as (url, server), Console(url, "t", Trust(bundle(authority))) as console:
        with pytest.raises(Unreachable, match="not the console"):
            console.get("/sites")
        assert server.seen == []


def test_token_is_not_sent_to_another_deployment(tmp_path: Path, authority: Authority) -> None:
    other = Authority.create(DOMAIN, datetime.now(UTC))
    with serving(tmp_path, other, CONSOLE) as (url, server):
        for trust in (Trust(bundle(authority)), Trust()):
            with Console(url, "t", trust) as console, pytest.raises(Unreachable, match="cannot be trusted"):
                console.get("/sites")
        assert server.seen == []


def test_nobody_answers() -> None:
    with pytest.raises(Unreachable, match="connection refused"), Console("https://127.0.0.1:1", "t") as console:
        console.get("/sites")


@pytest.mark.parametrize("url", ["http://a", "a", "https://", "ftp://a"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(Unreachable, match="write https://HOST:PORT"):
        Console(url, "t")


def test_authority_by_fingerprint(tmp_path: Path, authority: Authority) -> None:
    with serving(tmp_path, authority, CONSOLE) as (url, server):
        port = int(url.rpartition(":")[2])
        fetched = fetch_authority("127.0.0.1", port, authority.fingerprint.upper())
        with Console(url, "t", Trust(fetched)) as console:
            assert console.get("/sites") == {"ok": True}
        with pytest.raises(TrustError, match="does not show the pinned authority"):
            fetch_authority("127.0.0.1", port, "0" * 64)
        assert len(server.seen) == 1
    der = ssl.PEM_cert_to_DER_cert(fetched)
    assert hashlib.sha256(der).hexdigest() == authority.fingerprint


def test_bundles() -> None:
    with pytest.raises(TrustError, match="no PEM certificate"):
        parse_bundle("rubbish")
    broken = parse_bundle("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----")
    with pytest.raises(TrustError, match="cannot be read"):
        Trust(broken).context()


def test_object_paths() -> None:
    assert object_path("sites", "") == "/sites"
    assert object_path("sites", "", "fra") == "/sites/fra"
    assert object_path("clusters", "shop", "web") == "/namespaces/shop/clusters/web"
    assert object_path("clusters", "a/b", "..") == "/namespaces/a%2Fb/clusters/.."
