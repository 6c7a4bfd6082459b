"""When the site applies its configuration, one time after the other.

A manifest that comes ends an apply that is under way: it is out of date. What discovery finds does not, or a registry
in which something changes every second would keep the site from ever applying anything; it is applied next. A version
that Envoy refused is tried again after a while, as its cause may have been outside of it: a port that was taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from isthmus.protocol import State
from isthmus.site.rollout import Superseded
from isthmus.site.task import Alarm

RETRY_REFUSED = 60.0
"""Seconds until a version that Envoy refused is tried again."""

RETRY_FAILED = 1.0
"""Seconds until an apply that failed, for a defect of ours, is tried again."""

log = structlog.get_logger()


class Configuration:
    """`state` is the manifest in force, None before the first; `apply` brings it into the engines, and may raise
    Superseded; `forgive` makes it try what was refused, and says whether there is any.

    Attributes:
        newer: a manifest has come since the apply under way began.
    """

    def __init__(
        self,
        state: Callable[[], State | None],
        apply: Callable[[State], Awaitable[None]],
        forgive: Callable[[], bool],
    ) -> None:
        self._state = state
        self._apply = apply
        self._forgive = forgive
        self._wake = asyncio.Event()
        self.newer = asyncio.Event()
        self._retry = Alarm(self._try_again)

    def manifest(self) -> None:
        """A manifest has come."""
        self.newer.set()
        self._wake.set()

    def wake(self) -> None:
        """There is something to apply: what is on disk at the start, or what discovery has found."""
        self._wake.set()

    def retry_refused(self) -> None:
        """Something was refused. However often this is called, it is tried again once."""
        if not self._retry.pending:
            self._retry.set(RETRY_REFUSED)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self.newer.clear()
            state = self._state()
            if state is None:
                continue
            try:
                await self._apply(state)
            except Superseded:
                continue
            except Exception:  # the site must go on with what it has, whatever is wrong with this manifest
                log.exception("site.apply_failed", revision=state.version.revision)
                await asyncio.sleep(RETRY_FAILED)
                self._wake.set()

    def cancel(self) -> None:
        """Try nothing again."""
        self._retry.cancel()

    def _try_again(self) -> None:
        if self._forgive():
            self._wake.set()
