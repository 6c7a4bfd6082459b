"""Remembering what was emitted from a part of an intent, by the part's identity."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

P = TypeVar("P")
V = TypeVar("V")
_NOTHING = object()


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
    """A function over many parts that runs only for those that were not among the parts last time."""

    def __init__(self, function: Callable[[P], V]) -> None:
        self._function = function
        self._known: dict[int, tuple[P, V]] = {}

    def __call__(self, parts: Iterable[P]) -> list[V]:
        before, now = self._known, {}
        values = []
        for part in parts:
            known = before.get(id(part))  # the entry holds the part, so its id cannot become another's meanwhile
            if known is None:
                known = (part, self._function(part))
            now[id(part)] = known
            values.append(known[1])
        self._known = now
        return values
