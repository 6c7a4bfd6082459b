"""Batches in memory until somebody has taken them, bounded in bytes and in number: the oldest goes, and is counted.

For what may be lost with the process, as its own log and metrics; what must not be goes into a `Spool`.
"""

from collections import OrderedDict

from isthmus.telemetry.spool import Spooled


class MemorySpool:
    """`limit` is in bytes, `most` in batches.

    Attributes:
        size: bytes that wait.
        waiting_requests: items that the waiting batches tell of.
        dropped_requests: items lost for want of room.
    """

    def __init__(self, limit: int, most: int) -> None:
        self._limit = limit
        self._most = most
        self._queue: OrderedDict[str, tuple[Spooled, bytes]] = OrderedDict()
        self._lent: set[str] = set()
        self._last = 0
        self.size = 0
        self.waiting_requests = 0
        self.dropped_requests = 0

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, body: bytes, requests: int) -> None:
        """Keep a batch, if need be in place of the oldest."""
        size, room = len(body), len(body) <= self._limit
        while room and (self.size + size > self._limit or len(self) >= self._most):
            room = self._drop_oldest()
        if not room:
            self.dropped_requests += requests
            return
        self._last += 1
        spooled = Spooled(str(self._last), size, requests, "")
        self._queue[spooled.name] = (spooled, body)
        self.size += size
        self.waiting_requests += requests

    def lend(self) -> tuple[Spooled, bytes] | None:
        """The oldest batch that is not lent already; None when there is none. It makes no room for others until it is
        given back."""
        found = next((each for name, each in self._queue.items() if name not in self._lent), None)
        if found is not None:
            self._lent.add(found[0].name)
        return found

    def give_back(self, spooled: Spooled) -> None:
        """It is on its way no more."""
        self._lent.discard(spooled.name)

    def remove(self, spooled: Spooled) -> None:
        """It was delivered."""
        if self._queue.pop(spooled.name, None) is not None:
            self.size -= spooled.size
            self.waiting_requests -= spooled.requests

    def _drop_oldest(self) -> bool:
        oldest = next((each for name, (each, _) in self._queue.items() if name not in self._lent), None)
        if oldest is None:
            return False
        self.remove(oldest)
        self.dropped_requests += oldest.requests
        return True
