"""Batches on disk until somebody above has taken them: bounded, the oldest dropped first, every drop counted."""

import contextlib
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

_SUFFIX = ".batch"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch on disk. `requests` are those that it tells of."""

    path: Path
    size: int
    requests: int


class Spool:
    """A directory of its own. What an earlier process left is delivered first.

    Attributes:
        dropped_batches, dropped_requests: lost for want of room, since this object was made.
    """

    def __init__(self, directory: Path, limit: int) -> None:
        """`limit` is in bytes. Raises OSError."""
        self._directory = directory
        self._limit = limit
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in directory.glob("*.part"):
            stale.unlink(missing_ok=True)
        self._queue = deque(sorted(_read(directory), key=lambda each: each.path.name))
        self._size = sum(each.size for each in self._queue)
        self._last = 0
        self.dropped_batches = 0
        self.dropped_requests = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._size

    @property
    def waiting_requests(self) -> int:
        """Requests that the waiting batches tell of."""
        return sum(each.requests for each in self._queue)

    def next_name(self) -> str:
        """A name for the next batch: later ones sort behind earlier ones, over restarts too, and none comes twice."""
        self._last = max(self._last + 1, time.time_ns())
        return f"{self._last:020d}"

    def put(self, name: str, body: bytes, requests: int) -> None:
        """Keep a batch. Drops the oldest ones while there is no room. Raises OSError: then it is not kept."""
        if len(body) > self._limit:
            self._count(1, requests)
            return
        while self._size + len(body) > self._limit:
            self.drop_oldest()
        path = self._directory / f"{name}-{requests}{_SUFFIX}"
        part = path.with_suffix(".part")
        try:
            part.write_bytes(body)
            part.chmod(0o600)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._queue.append(Spooled(path, len(body), requests))
        self._size += len(body)

    def oldest(self) -> tuple[Spooled, bytes] | None:
        """The oldest batch; None when all are delivered."""
        while self._queue:
            first = self._queue[0]
            try:
                return first, first.path.read_bytes()
            except OSError:  # somebody tidied up, or the disk is damaged
                self._queue.popleft()
                self._size -= first.size
                self._count(1, first.requests)
        return None

    def remove(self, spooled: Spooled) -> None:
        """It was delivered."""
        with contextlib.suppress(ValueError):
            self._queue.remove(spooled)
            self._size -= spooled.size
        spooled.path.unlink(missing_ok=True)

    def drop_oldest(self) -> None:
        """Make room; counted as lost."""
        first = self._queue[0]
        self.remove(first)
        self._count(1, first.requests)

    def _count(self, batches: int, requests: int) -> None:
        self.dropped_batches += batches
        self.dropped_requests += requests


def _read(directory: Path) -> list[Spooled]:
    found = []
    for path in directory.glob(f"*{_SUFFIX}"):
        _, _, requests = path.stem.rpartition("-")
        if requests.isdigit():
            found.append(Spooled(path, path.stat().st_size, int(requests)))
    return found
