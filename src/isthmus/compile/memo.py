"""Pure functions remembered with what they asked, so that a change recomputes only what it reaches.

A question is a function and its argument. While a function runs, every question that it asks is recorded. The rules:

1. Changing an input marks its direct askers *dirty* and everything above them *check*.
2. Asking a *check* question refreshes what it asked last time, in the same order; if no answer changed, its own stands.
3. A *dirty* question is computed again. An answer equal to the last one keeps the old object and stops the change;
   another answer marks the direct askers *dirty*.
4. A question that nobody asks any more is forgotten.

Answers must be immutable and comparable. Rejected: verifying the whole graph by revision numbers at every change, as
some incremental compilers do; with 30,000 questions that alone takes longer than the change itself.
"""

from collections.abc import Callable, Hashable
from enum import IntEnum
from typing import Any, TypeVar

A = TypeVar("A", bound=Hashable)
V = TypeVar("V")


class _State(IntEnum):
    CLEAN = 0
    CHECK = 1
    DIRTY = 2


_CLEAN, _CHECK, _DIRTY = _State.CLEAN, _State.CHECK, _State.DIRTY
_UNKNOWN: Any = object()


class _Node:
    __slots__ = ("argument", "asked", "askers", "function", "state", "value")

    def __init__(self, function: Callable[[Any, Any], Any], argument: Hashable) -> None:
        self.function = function
        self.argument = argument
        self.value: Any = _UNKNOWN
        self.state = _DIRTY
        self.asked: dict[_Node, None] = {}
        self.askers: dict[_Node, None] = {}


class Memo:
    """Inputs by name, and remembered answers about them."""

    def __init__(self) -> None:
        self._inputs: dict[Hashable, Any] = {}
        self._nodes: dict[tuple[Callable[[Any, Any], Any], Hashable], _Node] = {}
        self._running: list[_Node] = []

    def put(self, name: Hashable, value: Any) -> None:
        """Set an input; None removes it."""
        if value is None:
            self._inputs.pop(name, None)
        else:
            self._inputs[name] = value
        node = self._nodes.get((_read, name))
        if node is not None and node.value is not value and node.value != value:
            node.value = value
            _mark(node)

    def read(self, name: Hashable) -> Any:
        """An input's value, or None."""
        return self.ask(_read, name)

    def ask(self, function: Callable[["Memo", A], V], argument: A) -> V:
        """`function(self, argument)`, remembered."""
        node = self._nodes.get((function, argument))
        if node is None:
            node = self._nodes[function, argument] = _Node(function, argument)
        if self._running:
            asker = self._running[-1]
            asker.asked[node] = None
            node.askers[asker] = None
        if node.state:
            self._refresh(node)
        value: V = node.value
        return value

    def _refresh(self, node: _Node) -> None:
        if node.state == _CHECK:
            for asked in node.asked:
                if asked.state:
                    self._refresh(asked)
                    if node.state == _DIRTY:
                        break
            else:
                node.state = _CLEAN
                return
        before, node.asked = node.asked, {}
        self._running.append(node)
        try:
            value = node.function(self, node.argument)
        finally:
            self._running.pop()
        node.state = _CLEAN
        if before:
            for asked in before:
                if asked not in node.asked:
                    asked.askers.pop(node, None)
                    self._forget(asked)
        if node.value is _UNKNOWN or (value is not node.value and value != node.value):
            node.value = value
            for asker in node.askers:
                asker.state = _DIRTY

    def _forget(self, node: _Node) -> None:
        pending = [node]
        while pending:
            node = pending.pop()
            if node.askers or self._nodes.pop((node.function, node.argument), None) is None:
                continue
            for asked in node.asked:
                asked.askers.pop(node, None)
                pending.append(asked)


def _read(memo: Memo, name: Hashable) -> Any:
    return memo._inputs.get(name)


def _mark(node: _Node) -> None:
    for asker in node.askers:
        asker.state = _DIRTY
    pending = [above for asker in node.askers for above in asker.askers]
    while pending:
        above = pending.pop()
        if above.state == _CLEAN:
            above.state = _CHECK
            pending.extend(above.askers)
