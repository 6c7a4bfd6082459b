"""The durable copy of manifests and objects: one SQLite file in WAL mode, so that a crash leaves the last commit.

A region with thousands of sites writes in batches from a thread; reading an object that is not in memory takes
tens of microseconds and happens in the event loop.
"""

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import structlog

from isthmus.protocol.error import ManifestRefused
from isthmus.protocol.manifest import Chain, restore_chain

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (digest TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS link (
    subject TEXT NOT NULL, position INTEGER NOT NULL, signed BLOB NOT NULL, PRIMARY KEY (subject, position)
) WITHOUT ROWID;
"""

_log = structlog.get_logger()


class Cache:
    """The file. Raises sqlite3.OperationalError when the disk fails.

    Everything in it can be fetched again, so a file that is not a database is put aside and a damaged manifest is left
    out; both are logged.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._connection = _open(path)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            _log.error("cache.damaged", path=str(path), reason=str(error))
            path.replace(path.with_suffix(".damaged"))
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._connection = _open(path)
        self._reader = sqlite3.connect(path, isolation_level=None)  # reads never wait for a write's fsync
        self._stored: dict[str, tuple[bytes, int]] = {}

    def load_chains(self) -> list[Chain]:
        """Every manifest whose objects are all here."""
        links: dict[str, list[bytes]] = {}
        with self._lock:
            for subject, signed in self._connection.execute("SELECT subject, signed FROM link ORDER BY 1, position"):
                links.setdefault(subject, []).append(signed)
            digests = {row[0] for row in self._connection.execute("SELECT digest FROM object")}
        chains = []
        for subject, bodies in links.items():
            try:
                chain = restore_chain(subject, bodies)
            except ManifestRefused as refusal:
                _log.error("cache.manifest_damaged", subject=subject, reason=str(refusal))
                continue
            if digests.issuperset(chain.state.entries.values()):
                chains.append(chain)
                self._stored[subject] = (chain.full.signed, len(chain.deltas))
            else:
                _log.error("cache.objects_missing", subject=subject)
        return chains

    def load_body(self, digest: str) -> bytes | None:
        """One object. To be called in the thread that made the cache."""
        row = self._reader.execute("SELECT body FROM object WHERE digest = ?", (digest,)).fetchone()
        return bytes(row[0]) if row else None

    def load_digests(self) -> set[str]:
        """The hashes of all objects."""
        with self._lock:
            return {row[0] for row in self._connection.execute("SELECT digest FROM object")}

    def save(self, chains: Iterable[Chain], bodies: Mapping[str, bytes], dropped: Collection[str] = ()) -> None:
        """Writes manifests, objects and forgotten subjects in one transaction, on disk when it returns."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO object VALUES (?, ?)", bodies.items())
            for subject in dropped:
                self._connection.execute("DELETE FROM link WHERE subject = ?", (subject,))
                self._stored.pop(subject, None)
            for chain in chains:
                self._save_chain(chain)

    def sweep(self, named: Collection[str]) -> None:
        """Deletes the objects that nothing names any more."""
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            stored = {row[0] for row in self._connection.execute("SELECT digest FROM object")}
            gone = [(digest,) for digest in stored.difference(named)]
            self._connection.executemany("DELETE FROM object WHERE digest = ?", gone)

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._reader.close()
            self._connection.close()

    def _save_chain(self, chain: Chain) -> None:
        subject = chain.state.subject
        full, count = self._stored.get(subject, (b"", 0))
        if full != chain.full.signed:
            self._connection.execute("DELETE FROM link WHERE subject = ?", (subject,))
            self._connection.execute("INSERT INTO link VALUES (?, 0, ?)", (subject, chain.full.signed))
            count = 0
        rows = [(subject, at, link.signed) for at, link in enumerate(chain.deltas[count:], start=count + 1)]
        self._connection.executemany("INSERT OR REPLACE INTO link VALUES (?, ?, ?)", rows)
        self._stored[subject] = (chain.full.signed, len(chain.deltas))


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    try:
        path.chmod(0o600)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


class CachedBodies:
    """A BodyStore over a cache: new objects wait in memory for the next save, recently used ones stay there."""

    def __init__(self, cache: Cache, recent_bytes: int = 64 << 20) -> None:
        self._cache = cache
        self._limit = recent_bytes
        self._digests = cache.load_digests()
        self._fresh: dict[str, bytes] = {}
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def has(self, digest: str) -> bool:
        """See BodyStore."""
        return digest in self._digests

    def get(self, digest: str) -> bytes | None:
        """See BodyStore."""
        body = self._fresh.get(digest)
        if body is not None:
            return body
        body = self._recent.get(digest)
        if body is not None:
            self._recent.move_to_end(digest)
            return body
        if digest not in self._digests:
            return None
        body = self._cache.load_body(digest)
        if body is not None:
            self._remember(digest, body)
        return body

    def put(self, digest: str, body: bytes) -> None:
        """See BodyStore."""
        self._fresh[digest] = body
        self._digests.add(digest)

    @property
    def unsaved(self) -> dict[str, bytes]:
        """The objects that are not on disk yet."""
        return dict(self._fresh)

    def saved(self, digests: Collection[str]) -> None:
        """These are on disk now."""
        for digest in digests:
            body = self._fresh.pop(digest, None)
            if body is not None:
                self._remember(digest, body)

    def keep_only(self, named: Collection[str]) -> None:
        """Forgets the objects that nothing names any more."""
        for digest in self._digests.difference(named):
            self._digests.discard(digest)
            self._fresh.pop(digest, None)
            body = self._recent.pop(digest, None)
            self._size -= len(body) if body is not None else 0

    def _remember(self, digest: str, body: bytes) -> None:
        self._recent[digest] = body
        self._size += len(body)
        while self._size > self._limit and self._recent:
            _, old = self._recent.popitem(last=False)
            self._size -= len(old)
