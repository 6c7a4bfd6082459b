"""How long a process waits between two tries to dial."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime

from isthmus.identity import Authority, Credential, Identity, Role, TrustList, generate_key, make_csr
from isthmus.protocol import Upstream
from isthmus.protocol.client import StreamClient
from isthmus.protocol.client_session import ClientSession
from isthmus.protocol.holding import Holdings
from isthmus.protocol.report import Reports

EU = Identity("example.net", Role.REGION, "default", "eu")


async def test_a_short_longest_wait_means_many_tries() -> None:
    authority = Authority.create("example.net", datetime.now(UTC))
    key = generate_key()
    chain = authority.issue(make_csr(key), EU, datetime.now(UTC))
    credential = Credential(key, chain, TrustList(1, authority.bundle_pem, ()))
    failures = asyncio.Semaphore(0)

    def session(wake: Callable[[], None]) -> ClientSession:
        return ClientSession(EU.subject, Holdings(), Reports(), lambda: {}, lambda: 1, "test", wake=wake)

    def changed(connected: bool, reason: str) -> None:
        assert not connected
        failures.release()

    upstream = Upstream("console", "127.0.0.1", 1, "console.example.net", longest_wait=0.01)
    client = StreamClient(upstream, lambda: credential, session, lambda *_: None, changed)
    task = asyncio.create_task(client.run())
    async with asyncio.timeout(60):  # with the default bound, twenty failures take two minutes
        for _ in range(20):
            await failures.acquire()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
