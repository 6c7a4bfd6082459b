"""Batches on disk until somebody above has taken them: bounded in bytes and in files, the oldest dropped first, every
drop counted.

Where several owners share a spool, room is made by whoever takes most of it: one that tells too much loses its own
oldest batches, and what its neighbours may keep does not depend on it. Spools that share a disk have a `Quota` besides.
"""

import contextlib
import hashlib
import time
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path

from isthmus.telemetry.quota import Quota

MOST_FILES = 100_000
"""Batches of one spool: small ones would else use up a file system's inodes long before its bytes."""
_SUFFIX = ".batch"


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch that waits. `requests` are those that it tells of; `owner` is a short name for whose it is."""

    name: str
    size: int
    requests: int
    owner: str


class Spool:
    """A directory of its own. What an earlier process left is delivered first.

    Attributes:
        dropped_batches, dropped_requests: lost for want of room, since this object was made.
    """

    def __init__(
        self,
        directory: Path,
        limit: int,
        most: int = MOST_FILES,
        quota: Quota | None = None,
        share: str = "",
    ) -> None:
        """`limit` is in bytes, `most` in batches. `quota`: of this spool and others, in which `share` names who
        answers for this one. Raises OSError."""
        self._directory = directory
        self._limit = limit
        self._most = most
        self._quota = quota
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for stale in directory.glob("*.part"):
            stale.unlink(missing_ok=True)
        self._queue: OrderedDict[str, Spooled] = OrderedDict()
        self._owned: defaultdict[str, OrderedDict[str, Spooled]] = defaultdict(OrderedDict)
        self._lent: set[str] = set()
        self._sizes: Counter[str] = Counter()
        """Bytes by owner."""
        self._waiting = 0
        for found in sorted(_read(directory), key=lambda each: each.name):
            self._enter(found)
        self._last = 0
        self.dropped_batches = 0
        self.dropped_requests = 0
        if quota is not None:
            quota.join(self, share)

    def __len__(self) -> int:
        return len(self._queue)

    def count(self, owner: str) -> int:
        """Batches of an owner."""
        return len(self._owned.get(_short(owner), ()))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return self._sizes.total()

    @property
    def waiting_requests(self) -> int:
        """Requests that the waiting batches tell of."""
        return self._waiting

    def next_name(self) -> str:
        """A name for the next batch: later ones sort behind earlier ones, over restarts too, and none comes twice."""
        self._last = max(self._last + 1, time.time_ns())
        return f"{self._last:020d}"

    def put(self, name: str, body: bytes, requests: int, owner: str = "") -> None:
        """Keep a batch of somebody's. Raises OSError: then it is not kept.

        While there is no room, the oldest batch of the owner with most bytes goes, the new ones counted. Where that is
        the new batch's own owner, with nothing else to give up, the new batch is the one that is dropped.
        """
        short = _short(owner)
        if not self._make_room(short, len(body)) or not (self._quota is None or self._quota.make_room(self, len(body))):
            self._count(1, requests)
            return
        path = self._directory / f"{name}-{requests}{'-' if short else ''}{short}{_SUFFIX}"
        part = path.with_suffix(".part")
        try:
            part.write_bytes(body)
            part.chmod(0o600)
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        self._enter(Spooled(path.name, len(body), requests, short))

    def lend(self, owner: str | None = None) -> tuple[Spooled, bytes] | None:
        """The oldest batch that is not lent already; None when there is none. It stays here until it is removed, and
        makes no room for others until it is given back. With an owner: of that one's, and of nobody's when that one
        has none; these are older, and what becomes of them must not hold up what is somebody's."""
        queues = [self._queue]
        if owner is not None:
            queues = [self._owned[each] for each in (_short(owner), "") if each in self._owned]
        while True:
            waiting = (each for queue in queues for each in queue.values())
            first = next((each for each in waiting if each.name not in self._lent), None)
            if first is None:
                return None
            try:
                body = (self._directory / first.name).read_bytes()
            except OSError:  # somebody tidied up, or the disk is damaged
                self._leave(first)
                self._count(1, first.requests)
                continue
            self._lent.add(first.name)
            return first, body

    def part(self, owner: str) -> "Part":
        """What waits of one owner's and of nobody's, to be taken up apart from what others wait with."""
        return Part(self, owner)

    def give_back(self, spooled: Spooled) -> None:
        """It is on its way no more."""
        self._lent.discard(spooled.name)

    def remove(self, spooled: Spooled) -> None:
        """It was delivered."""
        self._leave(spooled)
        (self._directory / spooled.name).unlink(missing_ok=True)

    def drop_oldest(self, owner: str | None = None) -> bool:
        """Give up the oldest batch, of this owner if one is named, and count it. False: there is none, or all that
        there are are on their way."""
        queue = self._queue if owner is None else self._owned.get(owner, OrderedDict())
        oldest = next((each for name, each in queue.items() if name not in self._lent), None)
        if oldest is None:
            return False
        self.remove(oldest)
        self._count(1, oldest.requests)
        return True

    def close(self) -> None:
        """What is on disk stays there, and counts in the quota no more."""
        if self._quota is not None:
            self._quota.leave(self)

    def _make_room(self, owner: str, size: int) -> bool:
        if size > self._limit:
            return False
        while (large := self.size + size > self._limit) or len(self) >= self._most:
            heaviest = max(
                self._sizes.keys() | {owner},
                key=lambda each: (
                    self._sizes[each] + size * (each == owner) if large else len(self._owned.get(each, ())),
                    each,
                ),
            )
            if not self.drop_oldest(heaviest):
                return False
        return True

    def _enter(self, spooled: Spooled) -> None:
        self._queue[spooled.name] = spooled
        self._owned[spooled.owner][spooled.name] = spooled
        self._sizes[spooled.owner] += spooled.size
        self._waiting += spooled.requests

    def _leave(self, spooled: Spooled) -> None:
        if self._queue.pop(spooled.name, None) is None:
            return
        del self._owned[spooled.owner][spooled.name]
        self._sizes[spooled.owner] -= spooled.size
        self._waiting -= spooled.requests
        if not self._owned[spooled.owner]:
            del self._owned[spooled.owner], self._sizes[spooled.owner]

    def _count(self, batches: int, requests: int) -> None:
        self.dropped_batches += batches
        self.dropped_requests += requests


class Part:
    """A spool, as whoever takes up the batches of one owner sees it."""

    def __init__(self, spool: Spool, owner: str) -> None:
        self._spool = spool
        self._owner = owner

    def __len__(self) -> int:
        return self._spool.count(self._owner)

    def lend(self) -> tuple[Spooled, bytes] | None:
        """See Spool."""
        return self._spool.lend(self._owner)

    def give_back(self, spooled: Spooled) -> None:
        """See Spool."""
        self._spool.give_back(spooled)

    def remove(self, spooled: Spooled) -> None:
        """See Spool."""
        self._spool.remove(spooled)


def _short(owner: str) -> str:
    return hashlib.sha256(owner.encode()).hexdigest()[:16] if owner else ""


def count_requests(directory: Path) -> int:
    """Requests that the batches in a spool's directory tell of."""
    return sum(each.requests for each in _read(directory))


def _read(directory: Path) -> list[Spooled]:
    found = []
    for path in directory.glob(f"*{_SUFFIX}"):
        _, requests, owner = (*path.stem.split("-"), "", "")[:3]
        if requests.isdigit():
            with contextlib.suppress(FileNotFoundError):
                found.append(Spooled(path.name, path.stat().st_size, int(requests), owner))
    return found
