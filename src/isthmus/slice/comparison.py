"""The difference between the slices of a site before and after an edit."""

from collections.abc import Callable, Collection, Iterable, Mapping

from isthmus.model.key import ObjectKey
from isthmus.slice.delta import SliceDelta
from isthmus.slice.view import View

_WHOLE_SHARE = 0.5
"""A delta that names more than this part of the slice is given as `whole`."""

_Hashes = Mapping[ObjectKey, str]
_Test = Callable[[ObjectKey], bool]


class Comparison:
    """Two states of the links and of the contents. The contents are given when all of them are known.

    Args:
        before: the links before the edit.
        now: the links after it.
    """

    def __init__(self, before: View, now: View) -> None:
        self._before = before
        self._now = now
        self._old: Mapping[ObjectKey, str | None] = {}
        self._hashes: _Hashes = {}
        self._classes: dict[tuple[frozenset[ObjectKey], frozenset[ObjectKey]], SliceDelta] = {}

    def contents(self, old: Mapping[ObjectKey, str | None], hashes: _Hashes) -> None:
        """Set the contents: hashes before the edit of what it changed, and all hashes now."""
        self._old, self._hashes = old, hashes
        self._classes.clear()

    def _old_hash(self, key: ObjectKey) -> str | None:
        return self._old[key] if key in self._old else self._hashes.get(key)

    def clusters(self, pairs: Mapping[ObjectKey, Collection[ObjectKey]]) -> set[ObjectKey]:
        """The clusters among candidate pairs that the site began or ceased to need for ingress."""
        found: set[ObjectKey] = set()
        for site, keys in pairs.items():
            old, new = self._before.class_of(site), self._now.class_of(site)
            found.update(
                key
                for key in keys
                if key.kind == "Cluster" and self._before.ingress(old, key) != self._now.ingress(new, key)
            )
        return found

    def class_clusters(self, sites: Iterable[ObjectKey]) -> set[ObjectKey]:
        """As `clusters`, of whole slices."""
        classes = {(self._before.class_of(site), self._now.class_of(site)) for site in sites}
        return {
            key
            for old, new in classes
            for key in self._before.closure(old) ^ self._now.closure(new)
            if key.kind == "Cluster"
        }

    def pairs(self, site: ObjectKey, keys: Iterable[ObjectKey]) -> SliceDelta:
        """The difference among some objects."""
        return self._delta(
            (key for key in keys),
            lambda key: self._before.holds(site, key),
            lambda key: self._now.holds(site, key),
        )

    def whole(self, site: ObjectKey) -> SliceDelta:
        """The difference of the whole slices: that of the class, and that of the site's own objects."""
        old_class, new_class = self._before.class_of(site), self._now.class_of(site)
        shared = self._class_delta(old_class, new_class)
        if shared.whole:
            return shared
        old_closure, new_closure = self._before.closure(old_class), self._now.closure(new_class)
        old_own, new_own = self._before.own(site), self._now.own(site)
        delta = self._delta(
            {*shared.set, *shared.removed, *old_own, *new_own},
            lambda key: key in old_closure or key in old_own,
            lambda key: key in new_closure or key in new_own,
        )
        return _bounded(delta, len(new_closure) + len(new_own))

    def _class_delta(self, old: frozenset[ObjectKey], new: frozenset[ObjectKey]) -> SliceDelta:
        if (old, new) not in self._classes:
            old_closure, new_closure = self._before.closure(old), self._now.closure(new)
            delta = self._delta(
                old_closure | new_closure, lambda key: key in old_closure, lambda key: key in new_closure
            )
            self._classes[old, new] = _bounded(delta, len(new_closure))
        return self._classes[old, new]

    def _delta(self, keys: Iterable[ObjectKey], was: _Test, is_now: _Test) -> SliceDelta:
        changed: dict[ObjectKey, str] = {}
        removed: set[ObjectKey] = set()
        for key in keys:
            old, new = self._old_hash(key), self._hashes.get(key)
            old = old if old is not None and was(key) else None
            new = new if new is not None and is_now(key) else None
            if new is None:
                if old is not None:
                    removed.add(key)
            elif new != old:
                changed[key] = new
        return SliceDelta(changed, frozenset(removed))


def _bounded(delta: SliceDelta, size: int) -> SliceDelta:
    changes = len(delta.set) + len(delta.removed)
    return SliceDelta(whole=True) if changes > max(_WHOLE_SHARE * size, 16) else delta
