"""Which version of each object the site uses: the manifest's, or the last good one.

Pure but for its own state. `wanted` is what the manifest names and this release can read; `good` is what Envoy last
accepted. An object that this release cannot read, or that Envoy refuses, stays at its good version. A new object that
is refused has none and is left out; the new versions of objects that use it wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    """`good` are the last good envelopes by key text, from disk; what this release cannot read of them is dropped."""

    def __init__(self, good: Mapping[str, bytes]) -> None:
        self.wanted: dict[ObjectKey, Version] = {}
        self.good: dict[ObjectKey, Version] = {}
        self.unreadable: dict[ObjectKey, Refusal] = {}
        self._entries: dict[str, str] = {}
        for key, body in good.items():
            try:
                self.good[parse_key(key)] = Version(parse_envelope(body), body)
            except (ValueError, EnvelopeError):
                continue

    def receive(self, entries: Mapping[str, str], body: Callable[[str], bytes | None]) -> None:
        """Take a manifest: key text -> content hash, and `body` to get at the objects. What is known is not read again.

        Raises KeyError when a body is missing.
        """
        for text in self._entries.keys() - entries.keys():
            self.wanted.pop(parse_key(text), None)
            self.unreadable.pop(parse_key(text), None)
        for text, digest in entries.items() - self._entries.items():
            content = body(digest)
            if content is None:
                raise KeyError(text)
            self._take(text, content)
        self._entries = dict(entries)

    def _take(self, text: str, body: bytes) -> None:
        key = parse_key(text)
        self.unreadable.pop(key, None)
        good = self.good.get(key)
        if good is not None and good.body == body:
            self.wanted[key] = good
            return
        try:
            obj = parse_envelope(body)
            if obj.key != key:
                raise EnvelopeError(f"the object calls itself {obj.key}", unsupported=False)
            self.wanted[key] = Version(obj, body)
        except EnvelopeError as error:
            code = "unsupported" if error.unsupported else "damaged"
            self.unreadable[key] = Refusal(text, code, "", str(error))
            if good is not None:
                self.wanted[key] = good
            else:
                self.wanted.pop(key, None)

    def changed(self) -> list[ObjectKey]:
        """Objects whose wanted version is not the good one, in order of their keys: the suspects of a refusal."""
        return sorted(key for key, version in self.wanted.items() if self._differs(key, version))

    def view(self, reverted: Iterable[ObjectKey] = ()) -> dict[ObjectKey, Object]:
        """The objects to compile when `reverted` go back to their good versions."""
        versions = self._versions(reverted)
        return {key: version.object for key, version in versions.items()}

    def accept(self, reverted: Iterable[ObjectKey] = ()) -> tuple[dict[str, bytes], list[str]]:
        """Note that Envoy has accepted `view(reverted)`; return what changed and what was removed, for the disk."""
        versions = self._versions(reverted)
        changed = {str(key): version.body for key, version in versions.items() if self._differs(key, version)}
        removed = [str(key) for key in self.good if key not in versions]
        self.good = versions
        return changed, removed

    def _differs(self, key: ObjectKey, version: Version) -> bool:
        good = self.good.get(key)
        return good is not version and (good is None or good.body != version.body)

    def held_back(self, refused: Iterable[ObjectKey]) -> dict[ObjectKey, ObjectKey]:
        """Changed objects that cannot be used either when `refused` stay at their good versions, each with the object
        that it waits for: they use a new one that is refused, which would leave them dangling."""
        waiting: dict[ObjectKey, ObjectKey] = {}
        absent = {key for key in refused if key not in self.good}
        while absent:
            found = {
                key: use.target
                for key, version in self.wanted.items()
                if key not in absent and key not in waiting and self._differs(key, version)
                for use in version.object.uses()
                if use.target in absent
            }
            waiting |= found
            absent = {key for key in found if key not in self.good}
        return waiting

    def _versions(self, reverted: Iterable[ObjectKey]) -> dict[ObjectKey, Version]:
        versions = dict(self.wanted)
        for key in reverted:
            if key in self.good:
                versions[key] = self.good[key]
            else:
                versions.pop(key, None)
        return versions
