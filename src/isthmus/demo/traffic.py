"""Steady requests to one address, every one recorded: who answered, when, and whether it failed.

Requests start at a fixed rate whether earlier ones were answered or not (so a fault that makes answers slow is not
hidden by fewer requests), on kept-alive connections, up to a limit of open requests.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. `host` is the Host header; `headers` are sent besides."""

    address: str
    port: int
    host: str
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One request.

    Attributes:
        started: seconds of the monotonic clock.
        seconds: until the answer was complete, or the request failed.
        status: HTTP status; 0 when there was no answer.
        answer: the JSON of the application, empty when it was not the application that answered.
    """

    started: float
    seconds: float
    status: int
    answer: Mapping[str, Any]

    @property
    def failed(self) -> bool:
        """No answer, or one that is neither a success nor a redirection."""
        return not 200 <= self.status < 400

    @property
    def ended(self) -> float:
        """Seconds of the monotonic clock."""
        return self.started + self.seconds


@dataclass(frozen=True, slots=True)
class Summary:
    """What some requests saw."""

    requests: int
    failed: int
    sites: Mapping[str, int]
    versions: Mapping[str, int]
    instances: Mapping[str, int]

    def share(self, site: str) -> float:
        """The part of the answered requests that a site answered, 0 to 1."""
        answered = sum(self.sites.values())
        return self.sites.get(site, 0) / answered if answered else 0.0

    def version_share(self, version: str) -> float:
        """The part of the answered requests that a version answered, 0 to 1."""
        answered = sum(self.versions.values())
        return self.versions.get(version, 0) / answered if answered else 0.0


def summarise(records: Iterable[Record]) -> Summary:
    """Count requests by outcome and by who answered."""
    requests = failed = 0
    counts: dict[str, Counter[str]] = {"site": Counter(), "version": Counter(), "instance": Counter()}
    for record in records:
        requests += 1
        failed += record.failed
        if not record.failed:
            for name, counter in counts.items():
                if name in record.answer:
                    counter[str(record.answer[name])] += 1
    ordered = {name: dict(sorted(counter.items())) for name, counter in counts.items()}
    return Summary(requests, failed, ordered["site"], ordered["version"], ordered["instance"])


def milliseconds_to_last_failure(records: Iterable[Record], fault: float) -> float:
    """From the fault to the end of the last failed request that started after it; 0 when none failed."""
    ends = [record.ended for record in records if record.failed and record.ended >= fault]
    return (max(ends) - fault) * 1000 if ends else 0.0


class Connections:
    """Kept-alive connections to one target."""

    def __init__(self, target: Target, timeout: float = 10.0) -> None:
        self._target = target
        self._timeout = timeout
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        lines = [f"GET {target.path} HTTP/1.1", f"host: {target.host}"]
        lines += [f"{name}: {value}" for name, value in target.headers.items()]
        self._request = ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def ask(self) -> Record:
        """Send one request and wait for the answer, at most for the timeout."""
        started = time.monotonic()
        status = 0
        answer: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            async with asyncio.timeout(self._timeout):
                status, answer = await self._exchange()
        return Record(started, time.monotonic() - started, status, answer)

    async def _exchange(self) -> tuple[int, dict[str, Any]]:
        reused = bool(self._idle)
        if reused:
            reader, writer = self._idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self._target.address, self._target.port)
        finished = False
        try:
            writer.write(self._request)
            status, headers, body = await read_answer(reader)
            finished = headers.get("connection", "").lower() != "close"
        except (ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError) as error:
            if not reused or (isinstance(error, asyncio.IncompleteReadError) and error.partial):
                raise
            return await self._exchange()  # closed while idle, as every client must expect
        finally:
            if finished:
                self._idle.append((reader, writer))
            else:
                writer.close()
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {}
        return status, answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        """Close every idle connection."""
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Status, headers (names in lower case) and body of a response with a content-length or chunks.

    Raises asyncio.IncompleteReadError when the connection ends first, ValueError when it is not HTTP.
    """
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ", 2)[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int((await reader.readline()).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    return status, headers, body


class Traffic:
    """Requests at a steady rate until stopped: `async with Traffic(target, rate=100) as traffic: ...`."""

    def __init__(self, target: Target, rate: float = 100, most_open: int = 500, *, keep: bool = True) -> None:
        """`keep` records; without them it can go on for ever."""
        self.target = target
        self._keep = keep
        self.records: list[Record] = []
        self._rate = rate
        self._most_open = most_open
        self._connections = Connections(target)
        self._open: set[asyncio.Task[None]] = set()
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._clock = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Start no more requests and wait for those that are open."""
        if self._clock is not None:
            self._clock.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._clock
            self._clock = None
        if self._open:
            await asyncio.wait(self._open)
        self._connections.close()

    def since(self, moment: float) -> list[Record]:
        """The records of requests that started at or after a moment of the monotonic clock."""
        return [record for record in self.records if record.started >= moment]

    def ended_since(self, moment: float) -> list[Record]:
        """The records of requests that ended at or after a moment of the monotonic clock."""
        recent = itertools.takewhile(lambda record: record.ended >= moment, reversed(self.records))
        return list(recent)  # records are in the order in which they ended

    async def _tick(self) -> None:
        due = time.monotonic()
        while True:
            if len(self._open) < self._most_open:
                task = asyncio.create_task(self._ask())
                self._open.add(task)
                task.add_done_callback(self._open.discard)
            due += 1 / self._rate
            delay = due - time.monotonic()
            if delay < -1:  # this process was stopped or starved: go on from here, without a burst
                due = time.monotonic()
            await asyncio.sleep(max(0.0, delay))

    async def _ask(self) -> None:
        record = await self._connections.ask()
        if self._keep:
            self.records.append(record)


async def ask_many(target: Target, count: int, parallel: int = 8) -> list[Record]:
    """That many requests, as fast as they are answered."""
    connections = Connections(target)
    left = iter(range(count))
    records: list[Record] = []

    async def work() -> None:
        for _ in left:
            record = await connections.ask()
            records.append(record)

    await asyncio.gather(*(work() for _ in range(parallel)))
    connections.close()
    return records
