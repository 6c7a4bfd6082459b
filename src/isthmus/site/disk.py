"""What a site keeps on disk beside its identity and its manifests. Damaged files are logged and count as missing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import httpx
import structlog

from isthmus.discovery.ledger import Ledger, LedgerError, parse_ledger
from isthmus.engine.envoy import SECRET, Admin
from isthmus.health.announcer import EndpointNumbers, parse_numbers
from isthmus.health.table import Table, TableError, parse_table
from isthmus.identity.file import write_file
from isthmus.site.directory import SiteDirectory
from isthmus.site.good import GoodStore
from isthmus.site.resource_file import ResourceFileError, emit_resource_file, parse_resource_file

MAX_LOG = 64 << 20
"""Bytes after which a log file is set aside; one older file is kept."""
LOOK = 30.0
"""Seconds between looks at the size of the log files."""

log = structlog.get_logger()


class Disk:
    """Reads at the start, writes as things change. Blocking writes are of a few kilobytes, or run in a thread."""

    def __init__(self, directory: SiteDirectory) -> None:
        self._directory = directory
        self._good = GoodStore(directory.good)
        self._writing = asyncio.Lock()

    def close(self) -> None:
        self._good.close()

    def load_good(self) -> dict[str, bytes]:
        return self._good.load()

    def save_good(self, changed: Mapping[str, bytes], removed: Iterable[str]) -> None:
        self._good.save(changed, removed)

    def load_numbers(self) -> EndpointNumbers:
        """Raises NumbersError when they are damaged: giving a number twice would be worse than not starting."""
        data = _read(self._directory.endpoints)
        return parse_numbers(data) if data is not None else EndpointNumbers()

    def save_numbers(self, numbers: EndpointNumbers) -> None:
        """Whole, whenever an endpoint comes or goes, and before anybody hears of its number. Measured with 10,000
        endpoints on a busy machine of two cores: 0.6 MB, 5 to 12 ms of CPU, 13 to 35 ms until it is on disk. Rejected:
        to append, which needs a second reader for what a power cut leaves, and saves that much for each change."""
        write_file(self._directory.endpoints, numbers.emit())

    def load_table(self) -> Table:
        """The table of remote endpoints, stale since it was last saved or confirmed."""
        data = _read(self._directory.health)
        if data is None:
            return Table()
        try:
            document = json.loads(data)
            document["savedAt"] = max(float(document["savedAt"]), self._directory.health.stat().st_mtime)
            return parse_table(json.dumps(document).encode())
        except (TableError, ValueError, KeyError, TypeError) as error:
            log.error("site.table_damaged", error=str(error))
            return Table()

    def save_table(self, table: Table) -> None:
        write_file(self._directory.health, table.emit(time.time()))

    def confirm_table(self) -> None:
        """Note that the table on disk is still right, without writing it again."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._directory.health)

    async def keep_table(self, take_changed: Callable[[], Table | None]) -> None:
        """Write the table when it has changed, until cancelled: every few seconds, a large one less often."""
        cost = 0.0
        while True:
            await asyncio.sleep(max(5.0, 50 * cost))
            table = take_changed()
            if table is not None:
                began = time.monotonic()
                self.save_table(table)
                cost = time.monotonic() - began
            else:
                self.confirm_table()

    def load_ledger(self) -> Ledger:
        data = _read(self._directory.discovered)
        try:
            return parse_ledger(data) if data is not None else Ledger()
        except LedgerError as error:
            log.error("site.discovered_damaged", error=str(error))
            return Ledger()

    def save_ledger(self, data: bytes) -> None:
        write_file(self._directory.discovered, data)

    def load_resources(self) -> dict[str, dict[str, bytes]] | None:
        data = _read(self._directory.resources)
        try:
            return parse_resource_file(data) if data is not None else None
        except ResourceFileError as error:
            log.error("site.resources_damaged", error=str(error))
            return None

    async def save_resources(self, resources: Mapping[str, Mapping[str, bytes]]) -> None:
        """Without secrets: those are kept once, with the identity."""
        kept = {type_url: items for type_url, items in resources.items() if type_url != SECRET}
        async with self._writing:
            await asyncio.to_thread(lambda: write_file(self._directory.resources, emit_resource_file(kept)))

    async def keep_logs_small(self, admin: Admin) -> None:
        """Set large log files aside, for ever. Envoy writes on to a renamed file until it is told to open another."""
        paths = (self._directory.access_log, self._directory.envoy / "envoy.log")
        while True:
            await asyncio.sleep(LOOK)
            renamed = {path: path.with_name(path.name + ".1") for path in paths if _size(path) > MAX_LOG}
            try:
                for path, aside in renamed.items():
                    path.rename(aside)
                if renamed:
                    await admin.reopen_logs()
            except (OSError, httpx.HTTPError) as error:  # back, for the next look to try again
                log.warning("site.logs_not_reopened", error=str(error))
                for path, aside in renamed.items():
                    if not path.exists():
                        with contextlib.suppress(OSError):
                            aside.rename(path)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
