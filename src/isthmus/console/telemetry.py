"""Telemetry in the console: the store, its process if it is the embedded one, and what comes from the regions."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import structlog

from isthmus.console.catalog import ApiCatalog
from isthmus.identity import Identity, parse_subject
from isthmus.protocol import ProtocolError
from isthmus.telemetry.batch import Batch, BatchInvalid
from isthmus.telemetry.intake import Intake, IntakeBusy
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.store import QueryRefused, StoreUnavailable, TelemetryStore, Told

_LONGEST_SOCKET = 100
_RESTART = 1.0
_LESSONS = 64
"""Batches that wait to be learned from; of more nothing is learned."""

log = structlog.get_logger()


class ConsoleTelemetry:
    """The store at `url`, or with None an embedded one in `directory`.

    Attributes:
        store: for questions; it may not answer (yet).
        apis: what applications offer, learned from what is taken.
        ready: whether the tables are there.
        error: why not, for people.
        kind: "embedded" or "server".
        requests, batches: taken since the console started.
    """

    def __init__(self, directory: Path, url: str | None, retention: Retention) -> None:
        self._directory = directory
        self._embedded = url is None
        self.kind = "embedded" if url is None else "server"
        self._retention = retention
        self._aside: tempfile.TemporaryDirectory[str] | None = None
        self.store = TelemetryStore(url if url is not None else self._socket())
        self.apis = ApiCatalog(self.store, retention)
        self.ready = False
        self.error = "The telemetry store is starting."
        self.requests = 0
        self.batches = 0
        self._lessons: asyncio.Queue[Told] = asyncio.Queue(_LESSONS)
        self._intake = Intake(directory / "intake", self.store, self._kept)
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pid(self) -> int | None:
        """The embedded store's process."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    def start(self) -> None:
        """Start the store and make its tables, in the background: nothing else waits for it."""
        loop = asyncio.get_running_loop()
        if self._embedded:
            if importlib.util.find_spec("chdb") is None:
                self.error = "There is no telemetry store: install isthmus[store], or name a ClickHouse server."
                log.warning("telemetry.no_store", reason=self.error)
                return
            self._tasks.append(loop.create_task(self._supervise()))
        self._tasks.append(loop.create_task(self._prepare()))

    async def stop(self) -> None:
        """End the store's process; what it has acknowledged is on disk."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.ready:
            with contextlib.suppress(StoreUnavailable, QueryRefused):
                await self.apis.write()
        await self._end()
        await self.store.close()
        if self._aside is not None:
            self._aside.cleanup()

    async def take(self, peer: Identity, subject: str, body: bytes) -> str:
        """Keep a batch of a site or region. As `protocol.delivery.Take`."""
        if not self.ready:
            raise ProtocolError("not_ready", self.error)
        tenant, role, name = parse_subject(subject)
        try:
            return await self._intake.take(tenant, name, str(role), body)
        except BatchInvalid as error:
            log.warning("telemetry.refused", subject=subject, via=peer.uri, reason=str(error))
            return str(error)
        except (StoreUnavailable, IntakeBusy) as error:
            raise ProtocolError("store", str(error)) from error

    def _kept(self, told: list[Told]) -> None:
        """Count them, and learn from as many as learning keeps up with: receipts do not wait for it."""
        for each in told:
            self.batches += 1
            self.requests += each.batch.requests
            with contextlib.suppress(asyncio.QueueFull):
                self._lessons.put_nowait(each)

    async def learned(self) -> None:
        """Wait until what was kept so far is learned from."""
        await self._lessons.join()

    async def _keep_learning(self) -> None:
        while True:
            told = await self._lessons.get()
            await asyncio.to_thread(self._learn, told.tenant, told.batch)
            self._lessons.task_done()

    def _learn(self, tenant: str, batch: Batch) -> None:
        """The batch is kept already: whatever is wrong with learning must not make it come again."""
        try:
            self.apis.learn(tenant, batch)
        except Exception:
            log.exception("interface.not_learned", subject=batch.subject)

    def _socket(self) -> Path:
        """A Unix socket's path has 107 bytes at most."""
        path = (self._directory / "store.sock").absolute()
        if len(os.fsencode(path)) <= _LONGEST_SOCKET:
            return path
        self._aside = tempfile.TemporaryDirectory(prefix="isthmus-")
        return Path(self._aside.name) / "store.sock"

    async def _prepare(self) -> None:
        reported = ""
        while True:
            try:
                await self.store.prepare(self._retention)
                await self.apis.load()
                await self._intake.recover()
                break
            except (StoreUnavailable, QueryRefused) as error:
                self.error = str(error)
                if isinstance(error, QueryRefused) and self.error != reported:
                    reported = self.error
                    log.error("telemetry.not_prepared", reason=self.error)
            except Exception as error:
                self.error = f"The telemetry store cannot be prepared: {type(error).__name__}."
                log.exception("telemetry.not_prepared")
                await asyncio.sleep(5)
            await asyncio.sleep(0.2)
        self.ready, self.error = True, ""
        log.info("telemetry.ready", store=self.kind)
        await asyncio.gather(self._intake.run(), self._keep_learning(), self.apis.run())

    async def _supervise(self) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        socket = self._socket() if self._aside is None else Path(self._aside.name) / "store.sock"
        while True:
            with (self._directory / "store.log").open("ab") as output:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "isthmus.telemetry.embedded", str(self._directory), str(socket)),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            status = await self._process.wait()
            log.error("telemetry.store_ended", status=status)
            await asyncio.sleep(_RESTART)

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
