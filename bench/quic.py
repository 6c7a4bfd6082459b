"""HTTP/3 load, as a process of its own: GET requests over connections that are kept, one at a time on each.

python -m bench.quic PORT SECONDS N      prints what was seen as JSON: requests, failed, seconds, p50 and p99 in µs

Neither wrk nor Debian's h2load speaks HTTP/3. This client is Python and costs more than any proxy, so its rate is its
own; the CPU of the proxy for each request is the proxy's all the same.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent

from bench.report import percentile

HOST, NAME = "127.0.0.1", "localhost"


class Asker(QuicConnectionProtocol):
    """Asks again as soon as an answer is complete, until its time is over."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.taken: list[float] = []
        self.failed = 0
        self.over = asyncio.Event()
        self._http = H3Connection(self._quic)
        self._head: list[tuple[bytes, bytes]] = []
        self._asked = self._ends = 0.0

    def begin(self, authority: str, ends: float) -> None:
        """Ask for the first time; the last question is the one before `ends` (of the monotonic clock)."""
        head = {":method": "GET", ":scheme": "https", ":authority": authority, ":path": "/"}
        self._head = [(key.encode(), value.encode()) for key, value in head.items()]
        self._ends = ends
        self._ask()

    def quic_event_received(self, event: QuicEvent) -> None:
        """Count a complete answer and ask again; an end of the connection while a question is open is a failure."""
        if isinstance(event, ConnectionTerminated) and not self.over.is_set():
            self.failed += 1
            self.over.set()
        for each in self._http.handle_event(event):
            if isinstance(each, HeadersReceived) and dict(each.headers).get(b":status") != b"200":
                self.failed += 1
            if isinstance(each, HeadersReceived | DataReceived) and each.stream_ended:
                self.taken.append(1e6 * (time.monotonic() - self._asked))
                self._ask()

    def _ask(self) -> None:
        self._asked = time.monotonic()
        if self._asked >= self._ends:
            self.over.set()
            return
        self._http.send_headers(self._quic.get_next_available_stream_id(), self._head, end_stream=True)
        self.transmit()


async def ask(port: int, seconds: float, connections: int) -> dict[str, float]:
    """Connect all, then ask on all for so many seconds. ConnectionError when a connection cannot be made."""
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, server_name=NAME, verify_mode=ssl.CERT_NONE)
    ready, askers = asyncio.Semaphore(0), []
    begin, end = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with connect(HOST, port, configuration=settings, create_protocol=Asker) as client:
            assert isinstance(client, Asker)
            askers.append(client)
            ready.release()
            await begin.wait()
            client.begin(f"{NAME}:{port}", started + seconds)
            await client.over.wait()
            await end.wait()

    tasks = [asyncio.ensure_future(hold()) for _ in range(connections)]
    for _ in tasks:
        async with asyncio.timeout(20):
            await ready.acquire()
    started = time.monotonic()
    begin.set()
    for client in askers:
        async with asyncio.timeout(seconds + 20):
            await client.over.wait()
    took = time.monotonic() - started
    end.set()
    await asyncio.gather(*tasks)
    taken = [each for client in askers for each in client.taken]
    return {
        "requests": len(taken),
        "failed": sum(client.failed for client in askers),
        "seconds": took,
        "p50": percentile(taken, 0.5) if taken else 0.0,
        "p99": percentile(taken, 0.99) if taken else 0.0,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(ask(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))))
