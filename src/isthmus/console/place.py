"""Places that namespaces share: none has more than its part of them, and who has fewest comes next.

Where anything waits for servers that people of a namespace name, a slow one would else hold up everybody's.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Places:
    """`total` of them; `part` is the most that one owner has at a time."""

    def __init__(self, total: int, part: int) -> None:
        self._free = total
        self._part = part
        self._held: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def free(self) -> int:
        """Places that nobody has."""
        return self._free

    def held(self, owner: str) -> int:
        """Places that an owner has."""
        return self._held[owner]

    def take(self, owner: str) -> bool:
        """Take a place at once, if there is one for this owner."""
        if not self._free or self._held[owner] >= self._part:
            return False
        self._free -= 1
        self._held[owner] += 1
        return True

    def leave(self, owner: str) -> None:
        """Give a place back."""
        self._free += 1
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._admit()

    @asynccontextmanager
    async def place(self, owner: str) -> AsyncIterator[None]:
        """Have a place, waiting for it: who has fewest comes first, then who has waited longest."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((owner, turn))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # given in the moment of the end
                self.leave(owner)
            raise
        try:
            yield
        finally:
            self.leave(owner)

    def _admit(self) -> None:
        self._waiting = [each for each in self._waiting if not each[1].done()]
        while self._waiting:
            owner, turn = min(self._waiting, key=lambda each: self._held[each[0]])
            if not self.take(owner):
                return
            self._waiting.remove((owner, turn))
            turn.set_result(None)
