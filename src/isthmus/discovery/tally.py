"""The servers of one query, put together from parts that change one by one."""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable

from isthmus.discovery.found import Found

_Place = tuple[str, int]


class Tally:
    """Each part says which servers it has; a server that several parts have is one.

    A change of a part costs what differs, and a copy of the list of all. Of a server that is said to be healthy by one
    part and not by another, the healthy one counts: it is moving from one part to the other.
    """

    def __init__(self) -> None:
        self._parts: dict[Hashable, frozenset[Found]] = {}
        self._said: dict[_Place, list[Found]] = {}
        self._sorted: list[Found] = []

    def set(self, part: Hashable, found: Iterable[Found]) -> None:
        """Replace what a part says; nothing removes it."""
        before, after = self._parts.get(part, frozenset()), frozenset(found)
        if after:
            self._parts[part] = after
        else:
            self._parts.pop(part, None)
        for each in before - after:
            self._change((each.address, each.port), each, None)
        for each in after - before:
            self._change((each.address, each.port), None, each)

    def parts(self) -> tuple[Hashable, ...]:
        """Those that say anything."""
        return tuple(self._parts)

    def found(self) -> tuple[Found, ...]:
        """All servers, sorted and distinct."""
        return tuple(self._sorted)

    def __len__(self) -> int:
        return len(self._sorted)

    def _change(self, place: _Place, gone: Found | None, come: Found | None) -> None:
        said = self._said.setdefault(place, [])
        before = _best(said)
        if gone is not None:
            said.remove(gone)
        if come is not None:
            said.append(come)
        after = _best(said)
        if not said:
            del self._said[place]
        if before == after:
            return
        if before is not None:
            del self._sorted[bisect_left(self._sorted, before)]
        if after is not None:
            insort(self._sorted, after)


def _best(said: list[Found]) -> Found | None:
    return min(said, key=lambda each: (not each.healthy, each), default=None)
