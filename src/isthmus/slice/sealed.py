"""Sealed copies: for each site, of each private value that it needs, an object that it alone can open.

They are the one thing in a slice that differs from site to site, so hashes are kept by site and object; their number is
that of the secrets which sites really use. Bodies are made again when asked for: sealing is deterministic.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Protocol

from isthmus.model.envelope import content_hash
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.sealed import sealed_key

_KEPT_BODIES = 1024
"""How many bodies stay readable as they were, for regions that ask a moment later."""


class Sealer(Protocol):
    """Seals private values; the same value for the same site is the same bytes."""

    def seals(self, site: ObjectKey) -> bool:
        """Whether a site's public key is known."""
        ...

    def seal(self, site: ObjectKey, obj: Object) -> bytes:
        """The envelope of the sealed copy of an object's private values for a site whose key is known."""
        ...


class SealedCopies:
    """The sealed copies of all sites. Without a sealer there are none."""

    def __init__(self, sealer: Sealer | None) -> None:
        self._sealer = sealer
        self._hashes: dict[tuple[ObjectKey, ObjectKey], tuple[tuple[str, ...], str]] = {}
        self._places: dict[str, tuple[ObjectKey, ObjectKey]] = {}
        self._recent: OrderedDict[str, bytes] = OrderedDict()

    def seals(self, site: ObjectKey) -> bool:
        """Whether anything is sealed to a site."""
        return self._sealer is not None and self._sealer.seals(site)

    def entry(self, site: ObjectKey, obj: Object | None) -> tuple[ObjectKey, str] | None:
        """Key and content hash of a site's sealed copy of an object; None when there is nothing to seal."""
        sealed = sealed_key(obj.key) if obj is not None else None
        if obj is None or sealed is None or self._sealer is None:
            return None
        prints = tuple(f"{name}:{value.fingerprint}" for name, value in obj.private.items())
        if not prints or not self._sealer.seals(site):
            return None
        known = self._hashes.get((site, obj.key))
        if known is None or known[0] != prints:
            if known is not None:
                self._places.pop(known[1], None)
            body = self._sealer.seal(site, obj)
            known = self._hashes[site, obj.key] = (prints, content_hash(body))
            self._places[known[1]] = (site, obj.key)
            self._keep(known[1], body)
        return sealed, known[1]

    def body(self, digest: str, objects: Mapping[ObjectKey, Object]) -> bytes | None:
        """The envelope with a content hash, if it is of a sealed copy that some site was given."""
        recent = self._recent.get(digest)
        if recent is not None:
            return recent
        site, key = self._places.get(digest, (None, None))
        obj = objects.get(key) if key is not None else None
        if self._sealer is None or site is None or obj is None or not self._sealer.seals(site):
            return None
        body = self._sealer.seal(site, obj)
        if content_hash(body) != digest:
            return None
        self._keep(digest, body)
        return body

    def forget(self, is_gone: Callable[[ObjectKey, ObjectKey], bool]) -> None:
        """Forget the copies for which `is_gone(site, object)`."""
        for pair in [pair for pair in self._hashes if is_gone(*pair)]:
            self.drop(*pair)

    def drop(self, site: ObjectKey, key: ObjectKey) -> None:
        """Forget a site's copy of an object."""
        known = self._hashes.pop((site, key), None)
        if known is not None:
            self._places.pop(known[1], None)

    def _keep(self, digest: str, body: bytes) -> None:
        self._recent[digest] = body
        while len(self._recent) > _KEPT_BODIES:
            self._recent.popitem(last=False)
