"""Which version of each object the site uses: the manifest's, or the last good one.

Pure but for its own state. `wanted` is what the manifest names and this release can read; `good` is what Envoy last
accepted. An object that this release cannot read, or that Envoy refuses, stays at its good version; a new object that
cannot be used is left out, and with it the new versions of the objects that use it, since those would dangle.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
        for key, body in good.items():
            try:
                self.good[parse_key(key)] = Version(parse_envelope(body), body)
            except (ValueError, EnvelopeError):
                continue

    def receive(self, bodies: Mapping[str, bytes]) -> None:
        """Take all objects of a manifest. Parsing is skipped for bytes that are known."""
        wanted: dict[ObjectKey, Version] = {}
        unreadable: dict[ObjectKey, Refusal] = {}
        for text, body in bodies.items():
            key = parse_key(text)
            known = self._known(key, body)
            if known is not None:
                wanted[key] = known
                continue
            try:
                obj = parse_envelope(body)
                if obj.key != key:
                    raise EnvelopeError(f"the object calls itself {obj.key}", unsupported=False)
                wanted[key] = Version(obj, body)
            except EnvelopeError as error:
                code = "unsupported" if error.unsupported else "damaged"
                unreadable[key] = Refusal(text, code, "", str(error))
                if key in self.good:
                    wanted[key] = self.good[key]
        self.wanted, self.unreadable = wanted, unreadable

    def changed(self) -> list[ObjectKey]:
        """Objects whose wanted version is not the good one, in order of their keys: the suspects of a refusal."""
        return sorted(key for key, version in self.wanted.items() if self.good.get(key) != version)

    def view(self, reverted: Iterable[ObjectKey] = ()) -> dict[ObjectKey, Object]:
        """The objects to compile when `reverted` go back to their good versions."""
        versions = self._versions(reverted)
        return {key: version.object for key, version in versions.items()}

    def accept(self, reverted: Iterable[ObjectKey] = ()) -> tuple[dict[str, bytes], list[str]]:
        """Note that Envoy has accepted `view(reverted)`; return what changed and what was removed, for the disk."""
        versions = self._versions(reverted)
        changed = {str(key): version.body for key, version in versions.items() if self.good.get(key) != version}
        removed = [str(key) for key in self.good if key not in versions]
        self.good = versions
        return changed, removed

    def _known(self, key: ObjectKey, body: bytes) -> Version | None:
        for versions in (self.wanted, self.good):
            version = versions.get(key)
            if version is not None and version.body == body:
                return version
        return None

    def _versions(self, reverted: Iterable[ObjectKey]) -> dict[ObjectKey, Version]:
        back = set(reverted)
        if not back:
            return dict(self.wanted)
        missing = {key for key in back if key not in self.good}
        while missing:
            missing = {
                key
                for key, version in self.wanted.items()
                if key not in back
                and self.good.get(key) != version
                and any(use.target in missing for use in version.object.uses())
            }
            back |= missing
            missing = {key for key in missing if key not in self.good}
        versions = {key: version for key, version in self.wanted.items() if key not in back}
        versions.update((key, self.good[key]) for key in back if key in self.good)
        return versions
