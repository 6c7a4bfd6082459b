"""The site's private values in plain text: in memory alone. What is on disk is sealed.

Others ask for a value by the key of its Secret, and are told when one changes: `vault.value(key)`, `vault.watch(f)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import structlog

from isthmus.identity import CredentialDirectory, IdentityError, SealingKey, sealing_place
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.sealed import SEALABLE_KINDS, SEALED_KINDS, SealedCertificate, SealedSecret, sealed_of
from isthmus.site.inventory import Refusal

Watcher = Callable[[frozenset[ObjectKey]], None]

log = structlog.get_logger()


class Vault:
    """Opens the sealed copies among a site's objects with the key that never leaves it."""

    def __init__(self, credentials: CredentialDirectory, subject: str) -> None:
        self._credentials = credentials
        self._subject = subject
        self._key: SealingKey | None = None
        self._sealed: dict[ObjectKey, Mapping[str, str]] = {}
        self._texts: dict[ObjectKey, dict[str, str]] = {}
        self._private: set[ObjectKey] = set()
        self._watchers: list[Watcher] = []
        self.refusals: dict[ObjectKey, Refusal] = {}

    def value(self, key: ObjectKey, field: str = "value") -> str | None:
        """The plain value of a Secret (or of another field of an object with private values), by the key of the object.

        None when the site has no sealed copy that it can open: the object does not exist, nothing at this site refers
        to it, or it has yet to arrive.
        """
        return self._texts.get(key, {}).get(field)

    @property
    def missing(self) -> frozenset[ObjectKey]:
        """The objects with private values of which the site was given no sealed copy."""
        return frozenset(self._private - self._sealed.keys())

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Have `watcher` called, in the event loop, with the keys of the objects whose values have changed, appeared or
        gone. Returns what ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def take(self, changed: Mapping[ObjectKey, Object | None]) -> frozenset[ObjectKey]:
        """Take in changed objects (None: gone). Returns the objects whose values are others now; tells no watcher."""
        found = set()
        for key, obj in changed.items():
            if key.kind in SEALABLE_KINDS:
                (self._private.add if obj is not None and obj.private else self._private.discard)(key)
            if key.kind not in SEALED_KINDS:
                continue
            owner = sealed_of(key)
            before = self._texts.get(owner)
            if isinstance(obj, SealedSecret | SealedCertificate):
                if self._sealed.get(owner) != obj.spec.values or before is None:
                    self._sealed[owner] = obj.spec.values
                    self._open(owner)
            else:
                self._sealed.pop(owner, None)
                self._texts.pop(owner, None)
                self.refusals.pop(owner, None)
            if self._texts.get(owner) != before:
                found.add(owner)
        return frozenset(found)

    def tell(self, changed: frozenset[ObjectKey]) -> None:
        """Tell watchers of changed values."""
        for watcher in list(self._watchers) if changed else ():
            watcher(changed)

    def _open(self, owner: ObjectKey) -> None:
        """A copy that cannot be opened leaves the value as it was."""
        try:
            if self._key is None:
                self._key = self._credentials.sealing_key()
            if self._key is None:
                raise IdentityError("The site has no sealing key yet.")
            self._texts[owner] = {
                field: self._key.unseal(sealed, sealing_place(self._subject, str(owner), field))
                for field, sealed in self._sealed[owner].items()
            }
            self.refusals.pop(owner, None)
        except IdentityError as error:
            log.error("site.secret_not_opened", object=str(owner), reason=str(error))
            self.refusals[owner] = Refusal(str(owner), "not-opened", "", str(error))
