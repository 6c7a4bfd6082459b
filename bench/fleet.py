"""Simulated sites: real stream clients with real certificates that hold what they are sent, and no Envoy.

A process of its own, so that its CPU time is not anybody else's. It reads commands from standard input, one JSON
document per line, and answers each with one line:

    {"join": [token, ...]}            joins these sites and connects each to its regions -> {"joined": n}
    {"wait": revision, "sites": [..]} waits until these sites (all: null) have sent the acknowledgement of a manifest of
                                      this revision or a later one -> {"at": monotonic seconds of the last}
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog

from isthmus.identity import CredentialDirectory, Identity, Role, join, parse_subject, parse_token
from isthmus.protocol.client import StreamClient, Upstream
from isthmus.protocol.client_session import Adopted, ClientEvent, ClientSession
from isthmus.protocol.holding import Holdings, MemoryBodies
from isthmus.protocol.report import AppliedReport, Reports

_JOINS_AT_ONCE = 16


class Bodies(MemoryBodies):
    """Objects shared by all sites of this process: the machine has one memory for thousands of sites."""


class SimulatedSite:
    """One site: takes what comes, acknowledges it, remembers which revision it acknowledged and when."""

    def __init__(self, fleet: Fleet, credentials: CredentialDirectory, upstreams: list[Upstream]) -> None:
        self._credential = credentials.load()
        self.subject = self._credential.identity.subject
        self._fleet = fleet
        self._holdings = Holdings(Bodies())
        self._reports = Reports()
        self.revision = 0
        self.acknowledged = 0.0
        self.tasks = [asyncio.create_task(self._client(upstream).run()) for upstream in upstreams]

    def _client(self, upstream: Upstream) -> StreamClient:
        return StreamClient(
            upstream,
            lambda: self._credential,
            self._session,
            self._handle,
            lambda connected, error: None,
        )

    def _session(self, wake: Any) -> ClientSession:
        return ClientSession(
            self.subject,
            self._holdings,
            self._reports,
            lambda: self._credential.signing_keys,
            lambda: self._credential.trust.version,
            "bench",
            None,
            wake,
        )

    def _handle(self, session: ClientSession, event: ClientEvent) -> None:
        if isinstance(event, Adopted):
            state = self._holdings.state(self.subject)
            if state is not None and state.version.revision > self.revision:
                self.revision = state.version.revision
                self._reports.put_applied(AppliedReport(self.subject, state.version, ()))
                self.acknowledged = time.monotonic()
                self._fleet.changed.set()


class Fleet:
    """All simulated sites of this process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sites: dict[str, SimulatedSite] = {}
        self.changed = asyncio.Event()
        """Set when a site has put an acknowledgement into its streams."""

    async def join(self, tokens: list[str]) -> dict[str, Any]:
        """Join and connect the sites of these tokens."""
        limit = asyncio.Semaphore(_JOINS_AT_ONCE)

        async def one(text: str) -> None:
            async with limit:
                token = parse_token(text)
                directory = self._directory / token.name
                membership = await join(token, directory)
            upstreams = []
            for region in membership.regions:
                tenant, _, _ = parse_subject(membership.subject)
                identity = Identity(membership.trust_domain, Role.REGION, tenant, region.name)
                upstreams.append(Upstream(region.name, region.address, region.port, identity.dns_name))
            self._sites[token.name] = SimulatedSite(self, CredentialDirectory(directory), upstreams)

        await asyncio.gather(*(one(token) for token in tokens))
        return {"joined": len(self._sites)}

    async def wait(self, revision: int, names: list[str] | None) -> dict[str, Any]:
        """Wait until the sites have acknowledged the revision; the time of the last acknowledgement."""
        sites = [self._sites[name] for name in (names if names is not None else self._sites)]
        waiting = sites
        while waiting := [site for site in waiting if site.revision < revision]:
            self.changed.clear()
            await self.changed.wait()
            await asyncio.sleep(0.001)
        return {"at": max(site.acknowledged for site in sites)}


async def serve() -> None:
    """Answer commands until standard input ends."""
    reader = asyncio.StreamReader(limit=1 << 26)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with tempfile.TemporaryDirectory(prefix="isf") as name:
        fleet = Fleet(Path(name))
        while line := await reader.readline():
            command = json.loads(line)
            if "join" in command:
                answer = await fleet.join(command["join"])
            else:
                answer = await fleet.wait(command["wait"], command["sites"])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    asyncio.run(serve())
