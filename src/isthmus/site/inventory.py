"""Which version of each object the site uses: the manifest's, or the last good one.

Pure but for its own state. `wanted` is what the manifest names and this release can read; `good` is what Envoy last
accepted. An object that this release cannot read, or that Envoy refuses, stays at its good version. A new object that
is refused has none and is left out; the new versions of objects that use it wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from isthmus.model.envelope import EnvelopeError, parse_envelope
from isthmus.model.key import ObjectKey, parse_key
from isthmus.model.object import Object


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a site does not use the manifest's version of an object."""

    key: str
    code: str
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of an object: the content and its envelope."""

    object: Object
    body: bytes


class Inventory:
    """`good` are the last good envelopes by key text, from disk; what this release cannot read of them is dropped.

    What an edit costs depends on what it changes, not on what there is; only `receive` looks at every entry's hash.
    """

    def __init__(self, good: Mapping[str, bytes]) -> None:
        self.wanted: dict[ObjectKey, Version] = {}
        self.good: dict[ObjectKey, Version] = {}
        self.unreadable: dict[ObjectKey, Refusal] = {}
        self._entries: dict[str, str] = {}
        self._changed: set[ObjectKey] = set()
        self._gone: set[ObjectKey] = set()
        self._touched: set[ObjectKey] = set()
        self._shown_back: set[ObjectKey] = set()
        for key, body in good.items():
            try:
                self.good[parse_key(key)] = Version(parse_envelope(body), body)
            except (ValueError, EnvelopeError):
                continue
        self._gone.update(self.good)

    def receive(self, entries: Mapping[str, str], body: Callable[[str], bytes | None]) -> None:
        """Take a manifest: key text -> content hash, and `body` to get at the objects. What is known is not read again.

        Raises KeyError when a body is missing.
        """
        before = self._entries
        taken = [(text, digest) for text, digest in entries.items() if before.get(text) != digest]
        bodies = {}
        for text, digest in taken:
            content = body(digest)
            if content is None:
                raise KeyError(text)
            bodies[text] = content
        for text in before.keys() - entries.keys() if len(before) + len(taken) != len(entries) else ():
            self._drop(parse_key(text))
        for text, content in bodies.items():
            self._take(text, content)
        self._entries = dict(entries)

    def changed(self) -> list[ObjectKey]:
        """Objects whose wanted version is not the good one, in order of their keys: the suspects of a refusal."""
        return sorted(self._changed)

    def view(self, reverted: Collection[ObjectKey] = ()) -> Mapping[ObjectKey, Object]:
        """The objects in use when `reverted` go back to their good versions."""
        objects = {key: version.object for key, version in self.wanted.items()}
        for key in reverted:
            good = self.good.get(key)
            if good is not None:
                objects[key] = good.object
            else:
                objects.pop(key, None)
        return objects

    def changes(self, reverted: Collection[ObjectKey] = ()) -> dict[ObjectKey, Object | None]:
        """How `view(reverted)` may differ from what the calls before this one added up to; None: no longer there."""
        back = set(reverted)
        changes: dict[ObjectKey, Object | None] = {}
        for key in self._touched | self._shown_back | back:
            version = self.good.get(key) if key in back else self.wanted.get(key)
            changes[key] = version.object if version is not None else None
        self._touched.clear()
        self._shown_back = back
        return changes

    def accept(self, reverted: Collection[ObjectKey] = ()) -> tuple[dict[str, bytes], list[str]]:
        """Note that Envoy has accepted `view(reverted)`; return what changed and what was removed, for the disk."""
        accepted = self._changed.difference(reverted)
        for key in accepted:
            self.good[key] = self.wanted[key]
        removed = [str(key) for key in self._gone]
        for key in self._gone:
            del self.good[key]
        self._gone.clear()
        self._changed -= accepted
        return {str(key): self.wanted[key].body for key in accepted}, removed

    def held_back(self, refused: Iterable[ObjectKey]) -> dict[ObjectKey, ObjectKey]:
        """Changed objects that cannot be used either when `refused` stay at their good versions, each with the object
        that it waits for: they use a new one that is refused, which would leave them dangling."""
        waiting: dict[ObjectKey, ObjectKey] = {}
        absent = {key for key in refused if key not in self.good}
        while absent:
            found = {
                key: use.target
                for key in self._changed
                if key not in absent and key not in waiting
                for use in self.wanted[key].object.uses()
                if use.target in absent
            }
            waiting |= found
            absent = {key for key in found if key not in self.good}
        return waiting

    def _take(self, text: str, body: bytes) -> None:
        key = parse_key(text)
        self.unreadable.pop(key, None)
        good = self.good.get(key)
        if good is not None and good.body == body:
            self._want(key, good)
            return
        try:
            obj = parse_envelope(body)
            if obj.key != key:
                raise EnvelopeError(f"the object calls itself {obj.key}", unsupported=False)
        except EnvelopeError as error:
            self._drop(key)
            if good is not None:
                self._want(key, good)
            code = "unsupported" if error.unsupported else "damaged"
            self.unreadable[key] = Refusal(text, code, "", str(error))
        else:
            self._want(key, Version(obj, body))

    def _want(self, key: ObjectKey, version: Version) -> None:
        self.wanted[key] = version
        self._touched.add(key)
        self._gone.discard(key)
        if self.good.get(key) is version:
            self._changed.discard(key)
        else:
            self._changed.add(key)

    def _drop(self, key: ObjectKey) -> None:
        self.unreadable.pop(key, None)
        self.wanted.pop(key, None)
        self._touched.add(key)
        self._changed.discard(key)
        if key in self.good:
            self._gone.add(key)
