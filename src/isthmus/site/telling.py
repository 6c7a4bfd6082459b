"""Tells the console the site's status: when something has changed, and not more than about once a second."""

from __future__ import annotations

import asyncio
import contextlib
import time

from isthmus.site.agent import SiteAgent

GATHER, REST = 0.2, 0.8
"""Seconds: from a change to its report, so that several changes make one, and from one report to the next."""


class Telling:
    """Runs beside the agent."""

    def __init__(self, agent: SiteAgent) -> None:
        self._agent = agent
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        told = b""
        while True:
            await self._agent.changed.wait()
            await asyncio.sleep(GATHER)
            self._agent.changed.clear()
            began = time.monotonic()
            report = self._agent.report(exceptions_only=True)
            cost = time.monotonic() - began
            if report != told:
                self._agent.uplink.status(report)
                told = report
            await asyncio.sleep(max(REST, 20 * cost))  # a large report must not keep the agent from its work
