"""Durable last good versions of objects: what an object falls back to when its new version cannot be used."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path


class GoodStore:
    """Key text -> envelope bytes, in SQLite. Every method blocks; a write costs what has changed, not what there is.

    Not for several threads at once.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, check_same_thread=False)
        path.chmod(0o600)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute("CREATE TABLE IF NOT EXISTS good (key TEXT PRIMARY KEY, body BLOB NOT NULL)")
        self._database.commit()

    def load(self) -> dict[str, bytes]:
        return dict(self._database.execute("SELECT key, body FROM good"))

    def save(self, changed: Mapping[str, bytes], removed: Iterable[str]) -> None:
        """Replace and remove in one transaction."""
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO good VALUES (?, ?)", changed.items())
            self._database.executemany("DELETE FROM good WHERE key = ?", ((key,) for key in removed))

    def close(self) -> None:
        self._database.close()
