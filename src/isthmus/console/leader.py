"""One console writes at a time.

SQLite: a lock on a file of the state directory; a second console on it is refused. PostgreSQL: an advisory lock, held
by a connection of its own; a second console waits for it and takes over when it falls free, so that two may run.
"""

import asyncio
import contextlib
import fcntl
from pathlib import Path
from typing import IO

import structlog
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from isthmus.console.error import ConsoleError
from isthmus.console.store import Store

_LOCK = 0x69737468  # "isth"
_POLL_SECONDS = 1.0
_log = structlog.get_logger()


class Leadership:
    """The right to write. `acquire` before anything is read; `lost` ends when it is gone."""

    def __init__(self, state: Path, store: Store) -> None:
        self._state = state
        self._store = store
        self._file: IO[str] | None = None
        self._connection: Connection | None = None

    async def acquire(self) -> None:
        """Wait for the right.

        Raises:
            ConsoleError: with SQLite, when another console runs on the state directory.
        """
        self._lock_file()
        if self._store.kind != "postgresql":
            return
        waiting = False
        while not await asyncio.to_thread(self._try_lock):
            if not waiting:
                _log.info("console.standby", reason="another console leads; this one takes over when it ends")
                waiting = True
            await asyncio.sleep(_POLL_SECONDS)

    def _lock_file(self) -> None:
        self._file = (self._state / "lock").open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConsoleError(f"Another console runs on {self._state}.") from None

    def _try_lock(self) -> bool:
        try:
            connection = self._store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            if connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar_one():
                self._connection = connection
                return True
            connection.close()
        except SQLAlchemyError as error:
            _log.warning("console.database_unreachable", reason=str(error).splitlines()[0])
        return False

    async def lost(self) -> None:
        """Return when the right was lost: the database ended the connection that holds it."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            if self._connection is not None and not await asyncio.to_thread(self._is_held):
                return

    def _is_held(self) -> bool:
        if self._connection is None:
            return False
        try:
            self._connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True

    def release(self) -> None:
        """Give the right up."""
        if self._connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                self._connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
                self._connection.close()
            self._connection = None
        if self._file is not None:
            self._file.close()
            self._file = None
