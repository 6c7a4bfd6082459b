"""What is said to a real ACME server, and what people are told of its answers."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from isthmus.console.acme.request import emit_private_key, make_private_key, make_request
from isthmus.console.acme.server import AcmeFailed, AcmeServer, External, Order
from isthmus.demo.address import AddressPlan
from isthmus.model.pem import certificate_names, check_chain, check_key

from .pebble import Pebble, running_pebble

NAME = "shop.example"
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))


class Pages:
    """A web server with the pages that are put into it."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        pages = self.pages

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = pages.get(self.path, "").encode()
                self.send_response(200 if body else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def pages() -> Iterator[Pages]:
    found = Pages()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture(scope="module")
def pebble(pages: Pages, pki: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    plan, folder = AddressPlan(), tmp_path_factory.mktemp("pebble")
    port = pages.server.server_address[1]
    with running_pebble(folder, pki, plan.free_port, port, plan.free_port()) as found:
        found.resolve(NAME, ["127.0.0.1"])
        yield found


@pytest.fixture
def account() -> str:
    return emit_private_key(make_private_key("ECDSA_P256"))


@pytest.fixture
def connect(pebble: Pebble, pki: Any, tmp_path: Path) -> Callable[[str], AcmeServer]:
    """The server, spoken to with an account's key."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(pki.pem)

    def opened(account: str) -> AcmeServer:
        server = AcmeServer(pebble.directory, account, str(authorities), "test", LOOPBACK)
        server.open("operations@shop.example")
        return server

    return opened


def validated(server: AcmeServer, order: Order) -> None:
    deadline = time.monotonic() + 60
    while not server.is_validated(order):
        assert time.monotonic() < deadline, "the server says nothing"
        time.sleep(0.05)


@pytest.mark.parametrize("key_type", ["ECDSA_P256", "RSA_2048"])
def test_a_certificate_is_issued_for_the_names_and_the_key(
    connect: Callable[[str], AcmeServer], account: str, pages: Pages, key_type: str
) -> None:
    server, key = connect(account), make_private_key(key_type)
    order = server.order(make_request([NAME], key), "HTTP_01")
    (challenge,) = order.challenges
    assert (challenge.domain, challenge.type) == (NAME, "HTTP_01")
    pages.pages[f"/.well-known/acme-challenge/{challenge.token}"] = challenge.answer
    server.answer(order)
    validated(server, order)
    server.finalize(order)
    chain = None
    while chain is None:
        chain = server.fetch(order)
    check_chain(chain)
    check_key(emit_private_key(key), chain)
    assert certificate_names(chain) == (NAME,)
    assert len(x509.load_pem_x509_certificates(chain.encode())) > 1, "with those that issued it"


def test_the_same_key_is_the_same_account(connect: Callable[[str], AcmeServer], account: str) -> None:
    first = connect(account).order(make_request([NAME], make_private_key("ECDSA_P256")), "TLS_ALPN_01")
    second = connect(account).order(make_request([NAME], make_private_key("ECDSA_P256")), "TLS_ALPN_01")
    thumbprints = {each.answer.partition(".")[2] for order in (first, second) for each in order.challenges}
    assert len(thumbprints) == 1
    assert {each.type for each in first.challenges} == {"TLS_ALPN_01"}


def test_a_server_that_serves_known_accounts_alone(pki: Any, tmp_path: Path, account: str) -> None:
    key, plan = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W", AddressPlan()
    config = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": key}}
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(pki.pem)
    with running_pebble(tmp_path, pki, plan.free_port, plan.free_port(), plan.free_port(), **config) as server:
        mine = AcmeServer(server.directory, account, str(authorities), "test", LOOPBACK)
        for wrong in (None, External("kid-2", key), External("kid-1", key[::-1])):
            with pytest.raises(AcmeFailed, match=r"externalAccountRequired|unauthorized|malformed|serverInternal"):
                mine.open(None, wrong)
        with pytest.raises(AcmeFailed, match=r"the MAC key of the external account kid-1 is not base64url"):
            mine.open(None, External("kid-1", "no base64"))
        for _ in range(2):
            mine.open(None, External("kid-1", key))
            assert mine.order(make_request([NAME], make_private_key("ECDSA_P256")), "HTTP_01").challenges


def test_why_a_name_was_not_validated_is_told(connect: Callable[[str], AcmeServer], account: str) -> None:
    server = connect(account)
    order = server.order(make_request([NAME], make_private_key("ECDSA_P256")), "HTTP_01")
    server.answer(order)
    with pytest.raises(AcmeFailed, match=r"^shop.example was not validated: unauthorized: .*404"):
        validated(server, order)


def test_what_the_server_refuses_is_told(connect: Callable[[str], AcmeServer], account: str) -> None:
    with pytest.raises(AcmeFailed, match=r"rejectedIdentifier|malformed"):
        connect(account).order(make_request(["_.example"], make_private_key("ECDSA_P256")), "HTTP_01")


def test_a_server_that_cannot_be_reached_or_believed_is_told(pebble: Pebble, account: str) -> None:
    with pytest.raises(AcmeFailed, match=r"is not trusted; set spec.acme.trustedAuthority"):
        AcmeServer(pebble.directory, account, None, "test", LOOPBACK).open(None)
    with pytest.raises(AcmeFailed, match=r"^https://127.0.0.1:1/dir cannot be reached"):
        AcmeServer("https://127.0.0.1:1/dir", account, None, "test", LOOPBACK).open(None)


def test_an_answer_that_is_none_is_told(pebble: Pebble, pki: Any, tmp_path: Path, account: str) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(pki.pem)
    elsewhere = pebble.directory.removesuffix("/dir") + "/nowhere"
    with pytest.raises(AcmeFailed):
        AcmeServer(elsewhere, account, str(authorities), "test", LOOPBACK).open(None)


def test_a_server_where_the_console_may_not_send_is_not_asked(
    pebble: Pebble, pki: Any, tmp_path: Path, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(pki.pem)
    before = pebble.requests("/dir")
    with pytest.raises(AcmeFailed, match=r"^localhost has only addresses that are not public.*--alert-network"):
        AcmeServer(pebble.directory, account, str(authorities), "test").open(None)
    assert pebble.requests("/dir") == before
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    AcmeServer(pebble.directory, account, str(authorities), "test", LOOPBACK).open(None)
    with pytest.raises(AcmeFailed, match="is not https"):
        AcmeServer("http://localhost/dir", account, None, "test", LOOPBACK).open(None)
