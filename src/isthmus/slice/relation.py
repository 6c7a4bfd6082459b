"""A relation between keys that remembers how it was before the edit under way.

The slicer asks every question twice, of the state before an edit and of the state after it. Keeping a journal of the
changed pairs makes the state before an edit readable without a copy.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator

from isthmus.model.key import ObjectKey

_EMPTY: frozenset[ObjectKey] = frozenset()


class Relation:
    """A set of (left, right) pairs that can be read from both ends, now and as before the last `begin`."""

    def __init__(self) -> None:
        self._right: dict[ObjectKey, set[ObjectKey]] = {}
        self._left: dict[ObjectKey, set[ObjectKey]] = {}
        self.added: set[tuple[ObjectKey, ObjectKey]] = set()
        self.removed: set[tuple[ObjectKey, ObjectKey]] = set()
        self._journal_right: defaultdict[ObjectKey, dict[ObjectKey, bool]] = defaultdict(dict)
        self._journal_left: defaultdict[ObjectKey, dict[ObjectKey, bool]] = defaultdict(dict)

    def begin(self) -> None:
        """Start an edit: from here on, "before" means the pairs as they are now."""
        self.added.clear()
        self.removed.clear()
        self._journal_right.clear()
        self._journal_left.clear()

    def add(self, left: ObjectKey, right: ObjectKey) -> None:
        """Add a pair that is not in the relation."""
        self._right.setdefault(left, set()).add(right)
        self._left.setdefault(right, set()).add(left)
        self._note(left, right, present=True)

    def discard(self, left: ObjectKey, right: ObjectKey) -> None:
        """Remove a pair that is in the relation."""
        for side, key, value in ((self._right, left, right), (self._left, right, left)):
            side[key].remove(value)
            if not side[key]:
                del side[key]
        self._note(left, right, present=False)

    def _note(self, left: ObjectKey, right: ObjectKey, *, present: bool) -> None:
        pair = (left, right)
        opposite, same = (self.removed, self.added) if present else (self.added, self.removed)
        if pair in opposite:
            opposite.remove(pair)
            del self._journal_right[left][right], self._journal_left[right][left]
        else:
            same.add(pair)
            self._journal_right[left][right] = self._journal_left[right][left] = present

    def replace(self, left: ObjectKey, rights: Collection[ObjectKey]) -> None:
        """Make `rights` all that `left` is paired with."""
        current = self._right.get(left, _EMPTY)
        wanted = set(rights)
        for right in current - wanted:
            self.discard(left, right)
        for right in wanted - current:
            self.add(left, right)

    def right(self, left: ObjectKey, *, before: bool = False) -> Collection[ObjectKey]:
        """All that `left` is paired with."""
        return _read(self._right, self._journal_right, left, before)

    def left(self, right: ObjectKey, *, before: bool = False) -> Collection[ObjectKey]:
        """All that is paired with `right`."""
        return _read(self._left, self._journal_left, right, before)

    def holds(self, left: ObjectKey, right: ObjectKey, *, before: bool = False) -> bool:
        """Whether the pair is in the relation."""
        if before and left in self._journal_right:
            present = self._journal_right[left].get(right)
            if present is not None:
                return not present
        return right in self._right.get(left, _EMPTY)

    def __iter__(self) -> Iterator[tuple[ObjectKey, ObjectKey]]:
        return ((left, right) for left, rights in self._right.items() for right in rights)


def _read(
    side: dict[ObjectKey, set[ObjectKey]],
    journal: defaultdict[ObjectKey, dict[ObjectKey, bool]],
    key: ObjectKey,
    before: bool,
) -> Collection[ObjectKey]:
    current = side.get(key, _EMPTY)
    if not before or key not in journal:
        return current
    return {value for value in current if value not in journal[key]} | {
        value for value, present in journal[key].items() if not present
    }
