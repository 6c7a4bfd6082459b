"""Remembering what was emitted from a part of an intent, by the part's identity."""

from collections.abc import Callable, Sequence
from itertools import compress, count
from operator import is_not
from typing import Generic, TypeVar, cast

P = TypeVar("P")
V = TypeVar("V")
_NOTHING: object = object()


class Last(Generic[P, V]):
    """A function that answers the same (or an equal) part as last time without running."""

    def __init__(self, function: Callable[[P], V]) -> None:
        self._function = function
        self._part: object = _NOTHING
        self._value: V

    def __call__(self, part: P) -> V:
        if part is not self._part and part != self._part:
            self._value = self._function(part)
        self._part = part
        return self._value


class Each(Generic[P, V]):
    """A function over many parts that runs only for those that were not among the parts last time.

    What stays at the beginning and at the end costs next to nothing: one part of ten thousand is changed, added or
    removed by a few comparisons of identities and two copies of a list.
    """

    def __init__(self, function: Callable[[P], V]) -> None:
        self._function = function
        self._parts: Sequence[P] = ()
        self._values: list[V] = []

    def __call__(self, parts: Sequence[P]) -> list[V]:
        """The values, in order. Read-only; the same list for the same parts."""
        before, values = self._parts, self._values
        start, end = _same_ends(before, parts)
        if start == len(before) == len(parts):
            return values
        last = len(before) - end
        known = {id(before[at]): values[at] for at in range(start, last)}  # `before` holds the parts, so ids are theirs
        middle: list[V] = []
        for part in parts[start : len(parts) - end]:
            value = known.get(id(part), _NOTHING)
            middle.append(self._function(part) if value is _NOTHING else cast(V, value))
        self._parts, self._values = parts, [*values[:start], *middle, *values[last:]]
        return self._values


class Joined(Generic[P]):
    """Resources by name of many parts, each of which makes some; no two parts make one of the same name."""

    def __init__(self, function: Callable[[P], dict[str, bytes]]) -> None:
        self._each = Each(function)
        self._values: list[dict[str, bytes]] = []
        self._joined: dict[str, bytes] = {}

    def __call__(self, parts: Sequence[P]) -> dict[str, bytes]:
        """All resources, in order. Read-only; the same mapping for the same parts."""
        before, values = self._values, self._each(parts)
        if values is before:
            return self._joined
        self._values = values
        start, end = _same_ends(before, values)
        replaced, new = before[start : len(before) - end], values[start : len(values) - end]
        named_alike = len(replaced) == len(new) and all(map(_same_names, replaced, new))
        joined = self._joined.copy() if named_alike else {}
        for resources in new if named_alike else values:
            joined.update(resources)
        self._joined = joined
        return joined


def _same_ends(before: Sequence[object], after: Sequence[object]) -> tuple[int, int]:
    """How many items are the same objects at the beginning, and of the rest at the end."""
    shorter = min(len(before), len(after))
    start = next(compress(count(), map(is_not, before, after)), shorter)
    end = next(compress(count(), map(is_not, reversed(before), reversed(after))), shorter)
    return start, min(end, shorter - start)


def _same_names(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    return list(before) == list(after)
