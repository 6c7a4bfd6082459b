"""ACME servers that misbehave: they hold up nobody, and are led nowhere."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import requests

from isthmus.console.acme.caller import Caller
from isthmus.console.acme.request import emit_private_key, make_private_key
from isthmus.console.acme.server import AcmeFailed, AcmeServer
from isthmus.console.acme.transport import MOST, CheckedAdapter

from ...conftest import Issued

LOOPBACK = (ip_network("127.0.0.0/8"),)
Serve = Callable[[Callable[[ssl.SSLSocket], None]], str]


@pytest.fixture
def serve(pki: Issued, tmp_path: Path) -> Iterator[Serve]:
    """A server over TLS that does with each connection what it is told to; the URL of its directory."""
    issued = pki.issue("localhost")
    (tmp_path / "server.pem").write_text(issued.private_key + issued.chain)
    (tmp_path / "ca.pem").write_text(pki.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def run(answer: Callable[[ssl.SSLSocket], None]) -> None:
        while True:
            try:
                plain = listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=one, args=(plain, answer), daemon=True).start()

    def one(plain: socket.socket, answer: Callable[[ssl.SSLSocket], None]) -> None:
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                connection.recv(65_536)
                answer(connection)
        except OSError:
            pass

    def started(answer: Callable[[ssl.SSLSocket], None]) -> str:
        threading.Thread(target=run, args=(answer,), daemon=True).start()
        return f"https://localhost:{listener.getsockname()[1]}/dir"

    yield started
    listener.close()


def server(url: str, tmp_path: Path) -> AcmeServer:
    account = emit_private_key(make_private_key("ECDSA_P256"))
    return AcmeServer(url, account, str(tmp_path / "ca.pem"), "test", LOOPBACK)


def drip(beginning: bytes, piece: bytes) -> tuple[Callable[[ssl.SSLSocket], None], threading.Event, threading.Event]:
    """Says something every moment and never ends; whether it was asked, and whether the other side has gone."""
    asked, gone = threading.Event(), threading.Event()

    def answer(connection: ssl.SSLSocket) -> None:
        asked.set()
        try:
            connection.sendall(beginning)
            while True:
                connection.sendall(piece)
                time.sleep(0.02)
        finally:
            gone.set()

    return answer, asked, gone


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"])
async def test_a_server_that_never_ends_its_answer_is_left(serve: Serve, tmp_path: Path, beginning: bytes) -> None:
    answer, asked, gone = drip(beginning, b"a")
    url, caller = serve(answer), Caller(1, 0.5)
    with ExitStack() as later:
        while not asked.is_set():  # a busy machine may not have connected within the bound
            slow = server(url, tmp_path)
            later.callback(slow.close)
            with pytest.raises(AcmeFailed, match=r"has not ended its answer within"):
                await caller.ask(slow, slow.open, None)
        assert await asyncio.to_thread(gone.wait, 60), "the connection is closed"
        async with asyncio.timeout(60):
            assert await caller.run(lambda: "free") == "free"
    caller.close()


async def test_who_is_stopped_waits_for_no_server(serve: Serve, tmp_path: Path) -> None:
    answer, asked, gone = drip(b"HTTP/1.1 200 OK\r\nX: ", b"a")
    slow = server(serve(answer), tmp_path)
    task = asyncio.create_task(Caller(1, 120).ask(slow, slow.open, None))
    assert await asyncio.to_thread(asked.wait, 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(gone.wait, 60)
    slow.close()


@pytest.mark.parametrize("length", [b"", b"Content-Length: 99999999\r\n"])
def test_of_an_answer_no_more_is_read_than_one_may_be_long(serve: Serve, tmp_path: Path, length: bytes) -> None:
    sent = [0]

    def answer(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        while sent[0] < 64 * MOST:
            sent[0] += connection.send(b" " * 65_536)

    asked = server(serve(answer), tmp_path)
    with pytest.raises(AcmeFailed, match=f"answers with more than {MOST} bytes"):
        asked.open(None)
    asked.close()
    assert sent[0] < 32 * MOST


def test_an_answer_is_not_decompressed(serve: Serve, tmp_path: Path) -> None:
    heads: list[Any] = []

    def answer(connection: ssl.SSLSocket) -> None:
        heads.append(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnone")

    asked = server(serve(answer), tmp_path)
    with pytest.raises(AcmeFailed, match="gave an answer that is none"):
        asked.open(None)
    asked.close()
    assert heads


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(serve: Serve, tmp_path: Path, status: int) -> None:
    """The host that it leads to was not looked at, and its answers would be believed."""
    asked_for: list[int] = []

    def answer(connection: ssl.SSLSocket) -> None:
        asked_for.append(status)
        head = f"HTTP/1.1 {status} Elsewhere\r\nLocation: https://localhost:{port}/other\r\nContent-Length: 0\r\n\r\n"
        connection.sendall(head.encode())

    url = serve(answer)
    port = url.split(":")[2].split("/")[0]
    asked = server(url, tmp_path)
    with pytest.raises(AcmeFailed, match=f"answers {status}, a redirect, which is not followed"):
        asked.open(None)
    asked.close()
    assert asked_for == [status]


def test_a_server_that_ends_each_connection_takes_no_descriptors(serve: Serve, tmp_path: Path) -> None:
    """An order of many names is many requests, and a server may answer each so."""

    def answer(connection: ssl.SSLSocket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")

    url, times = serve(answer), 40
    with requests.Session() as session:
        session.mount("https://", CheckedAdapter(LOOPBACK))
        session.trust_env, session.verify = False, str(tmp_path / "ca.pem")
        before = len(os.listdir("/proc/self/fd"))
        assert [session.get(url).text for _ in range(times)] == ["{}"] * times
        deadline = time.monotonic() + 30  # the server, which is in this process, closes what it has in its own time
        while (open_now := len(os.listdir("/proc/self/fd"))) > before + times // 4:
            assert time.monotonic() < deadline, f"{open_now - before} more are open than before"
            time.sleep(0.05)
