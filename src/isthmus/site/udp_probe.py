"""Health checks by UDP datagram, which Envoy has not: the agent probes, and its verdicts count like Envoy's."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from functools import partial

from isthmus.compile.intent import Hosted, Intent, Socket
from isthmus.compile.probe import HealthCheck, UdpProbe
from isthmus.engine.envoy import HealthEvent
from isthmus.health.verdict import Standing, judge
from isthmus.model.key import ObjectKey
from isthmus.site.task import persevere

SETTLING = 5.0
"""Seconds that verdicts are waited for before other sites are told anything at all: they keep what they were told by a
speaker that is gone until then, and a probe with its default timeout is over by then."""

_Target = tuple[str, Socket, HealthCheck]


async def probe(address: str, port: int, check: UdpProbe, seconds: float) -> str:
    """Send one datagram and wait so many seconds at most for its answer. Empty when the answer is as expected, else
    why it is not: "timeout", "refused", "unexpected answer" or "unreachable"."""
    answers: asyncio.Queue[bytes | None] = asyncio.Queue()

    class Answers(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            answers.put_nowait(data)

        def error_received(self, exc: Exception) -> None:
            answers.put_nowait(None)

    try:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Answers, remote_addr=(address, port))
    except OSError:
        return "unreachable"
    try:
        transport.sendto(bytes.fromhex(check.send))
        answer = await asyncio.wait_for(answers.get(), seconds)
    except TimeoutError:
        return "timeout"
    finally:
        transport.close()
    if answer is None:
        return "refused"
    return "" if bytes.fromhex(check.expect) in answer else "unexpected answer"


class UdpProber:
    """Probes the endpoints of an intent. `on_event` hears every change, and everything again after `repeat`.

    `xds_names`: as for `Egress`.
    """

    def __init__(
        self,
        *,
        xds_names: Callable[[ObjectKey, int], tuple[str, ...]],
        on_event: Callable[[HealthEvent], None],
    ) -> None:
        self._xds_names = xds_names
        self._on_event = on_event
        self._tasks: dict[_Target, asyncio.Task[None]] = {}
        self._said: dict[_Target, HealthEvent] = {}
        self._news = asyncio.Event()

    def use(self, intent: Intent) -> None:
        """Probe these endpoints from now on; those that were probed before keep their standing."""
        wanted = {target for hosted in intent.hosted for target in self._targets(hosted)}
        for target in self._tasks.keys() - wanted:
            self._tasks.pop(target).cancel()
            self._said.pop(target, None)
        for target in wanted - self._tasks.keys():
            self._tasks[target] = asyncio.create_task(persevere(partial(self._probe, target)))

    async def settle(self, intent: Intent, seconds: float = SETTLING) -> None:
        """As `use`, and wait until there is a verdict on every endpoint, so many seconds at most."""
        self.use(intent)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._tasks.keys() <= self._said.keys():
                    self._news.clear()
                    await self._news.wait()

    def repeat(self) -> None:
        """Say every verdict once more: its hearer has forgotten what it knew of endpoints."""
        for event in list(self._said.values()):
            self._on_event(event)

    async def stop(self) -> None:
        """End all probes."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _targets(self, hosted: Hosted) -> list[_Target]:
        names = self._xds_names(hosted.key, len(hosted.health_checks))  # one, too, of a cluster without health checks
        return [
            (name, endpoint.socket, check)
            for name, check in zip(names, hosted.health_checks, strict=False)
            if check.udp is not None
            for endpoint in hosted.endpoints
        ]

    async def _probe(self, target: _Target) -> None:
        name, socket, check = target
        standing = Standing()
        while True:
            assert check.udp is not None
            reason = "error"
            with contextlib.suppress(OSError):
                reason = await probe(socket.address, socket.port, check.udp, check.timeout / 1000)
            before, standing = (
                standing,
                judge(
                    standing,
                    not reason,
                    healthy_threshold=check.healthy_threshold,
                    unhealthy_threshold=check.unhealthy_threshold,
                ),
            )
            if standing.healthy is not None and standing.healthy != before.healthy:
                event = HealthEvent(name, socket.address, socket.port, standing.healthy, reason, time.time())
                self._said[target] = event
                self._news.set()
                self._on_event(event)
            jitter = 1 + random.uniform(0, check.jitter_percent) / 100  # noqa: S311 - spreads probes, guards nothing
            await asyncio.sleep(check.interval / 1000 * jitter)
