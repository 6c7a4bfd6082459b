"""Traffic below HTTP, as processes of their own: a source and a sink of bytes, an echo and a questioner of datagrams.

python -m bench.traffic source PORT              TCP: sends to whoever connects, for as long as it takes
python -m bench.traffic sink PORT SECONDS N      TCP: reads from N connections; prints the bytes
python -m bench.traffic echo PORT                UDP: sends every datagram back
python -m bench.traffic ask PORT SECONDS N       UDP: N sessions, one datagram of 512 bytes under way in each;
                                                 prints answers and lost datagrams
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import threading
import time

HOST = "127.0.0.1"
_CHUNK = bytes(256 * 1024)
_DATAGRAM = bytes(512)
_LOST = 0.5
"""Seconds after which a datagram counts as lost."""


def source(port: int) -> None:
    """Serve for ever."""

    def send(connection: socket.socket) -> None:
        try:
            while True:
                connection.sendall(_CHUNK)
        except OSError:
            connection.close()

    server = socket.create_server((HOST, port), backlog=128)
    while True:
        connection, _ = server.accept()
        threading.Thread(target=send, args=(connection,), daemon=True).start()


def sink(port: int, seconds: float, connections: int) -> dict[str, float]:
    """Bytes read, and the seconds that it took."""
    totals = [0] * connections
    ends = time.monotonic() + seconds

    def read(number: int) -> None:
        buffer = bytearray(len(_CHUNK))
        with socket.create_connection((HOST, port)) as connection:
            while time.monotonic() < ends:
                count = connection.recv_into(buffer)
                if not count:
                    raise RuntimeError("the connection was closed")
                totals[number] += count

    started = time.monotonic()
    threads = [threading.Thread(target=read, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"bytes": sum(totals), "seconds": time.monotonic() - started}


def echo(port: int) -> None:
    """Serve for ever."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST, port))
        while True:
            data, peer = server.recvfrom(65_536)
            server.sendto(data, peer)


def ask(port: int, seconds: float, sessions: int) -> dict[str, float]:
    """Answers, lost datagrams, and the seconds that it took."""
    selector = selectors.DefaultSelector()
    sent: dict[socket.socket, float] = {}
    for _ in range(sessions):
        session = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        session.connect((HOST, port))
        session.setblocking(False)
        selector.register(session, selectors.EVENT_READ)
        sent[session] = 0.0
    answered = lost = 0
    started = time.monotonic()
    checked = started
    for session in sent:
        session.send(_DATAGRAM)
        sent[session] = started
    while (now := time.monotonic()) < started + seconds:
        for key, _ in selector.select(0.05):
            session = key.fileobj  # type: ignore[assignment]
            session.recv(65_536)
            answered += 1
            session.send(_DATAGRAM)
            sent[session] = now
        if now - checked > _LOST / 2:
            checked = now
            for session, at in sent.items():
                if now - at > _LOST:
                    lost += 1
                    session.send(_DATAGRAM)
                    sent[session] = now
    return {"answered": answered, "lost": lost, "seconds": time.monotonic() - started}


def main() -> None:
    """Serve until ended, or print what was seen as JSON."""
    job, port, *rest = sys.argv[1:]
    if job in ("source", "echo"):
        (source if job == "source" else echo)(int(port))
    else:
        print(json.dumps((sink if job == "sink" else ask)(int(port), float(rest[0]), int(rest[1]))))


if __name__ == "__main__":
    main()
