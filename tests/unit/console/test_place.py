"""Places that namespaces share."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from isthmus.console.place import Places


class Room:
    """Who comes in, in order, and stays until it is sent out."""

    def __init__(self, total: int, part: int) -> None:
        self.places = Places(total, part)
        self.inside: list[str] = []
        self.tasks: list[tuple[str, asyncio.Task[None]]] = []

    async def enter(self, *owners: str) -> None:
        for owner in owners:
            self.tasks.append((owner, asyncio.create_task(self._stay(owner))))
        await self.settle()

    async def _stay(self, owner: str) -> None:
        async with self.places.place(owner):
            self.inside.append(owner)
            try:
                await asyncio.Event().wait()
            finally:
                self.inside.remove(owner)

    async def leave(self, owner: str) -> None:
        """One of its tasks ends: the first."""
        found = next(each for each in self.tasks if each[0] == owner)
        self.tasks.remove(found)
        found[1].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await found[1]
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_nobody_has_more_than_its_part() -> None:
    room = Room(3, 2)
    await room.enter("loud", "loud", "loud", "loud")
    assert room.inside == ["loud", "loud"]
    await room.enter("quiet")
    assert room.inside == ["loud", "loud", "quiet"]
    assert room.places.free == 0


async def test_who_has_fewest_comes_next_then_who_has_waited_longest() -> None:
    room = Room(2, 2)
    await room.enter("loud", "loud", "loud", "third", "quiet")
    await room.leave("loud")
    assert room.inside == ["loud", "third"]
    await room.leave("loud")
    assert room.inside == ["third", "loud"], "it has none now, and has waited longest"


async def test_who_waits_no_more_takes_no_place() -> None:
    room = Room(1, 1)
    await room.enter("first", "second", "third")
    await room.leave("second")
    await room.leave("first")
    assert room.inside == ["third"]
    await room.leave("third")
    assert (room.places.free, room.places.held("third")) == (1, 0)


async def test_a_place_that_is_given_to_one_that_ends_goes_on() -> None:
    places = Places(1, 1)
    assert places.take("first")
    waiting = asyncio.create_task(_have(places, "second"))
    await asyncio.sleep(0)
    places.leave("first")  # and so given to the second
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert places.free == 1


async def _have(places: Places, owner: str) -> None:
    async with places.place(owner):
        await asyncio.Event().wait()
