"""What a region or site holds: verified manifests, and the objects that they name.

A manifest takes effect only when every object that it names is here ("complete"). Until then it is pending, further
deltas extend the pending one, and the complete one before it stays in effect.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from isthmus.identity.signature import SigningKeys
from isthmus.protocol.error import ManifestRefused
from isthmus.protocol.manifest import Chain, State, Version, extend_chain


class BodyStore(Protocol):
    """Objects by content hash (SHA-256, hexadecimal)."""

    def has(self, digest: str) -> bool:
        """Whether the object is here."""
        ...

    def get(self, digest: str) -> bytes | None:
        """The object."""
        ...

    def put(self, digest: str, body: bytes) -> None:
        """Keeps an object whose hash the caller has checked."""
        ...


class MemoryBodies:
    """A BodyStore that forgets everything with the process."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}

    def has(self, digest: str) -> bool:
        """See BodyStore."""
        return digest in self._bodies

    def get(self, digest: str) -> bytes | None:
        """See BodyStore."""
        return self._bodies.get(digest)

    def put(self, digest: str, body: bytes) -> None:
        """See BodyStore."""
        self._bodies[digest] = body


@dataclass(slots=True)
class _Pending:
    chain: Chain
    missing: set[str]


class Holdings:
    """Shared by all streams of a process: whichever brings the highest manifest wins, objects come from any."""

    def __init__(self, bodies: BodyStore, chains: Iterable[Chain] = ()) -> None:
        self.bodies = bodies
        self._complete = {chain.state.subject: chain for chain in chains}
        self._pending: dict[str, _Pending] = {}
        self._wanted: dict[str, set[str]] = {}
        self._adopted: set[str] = set()

    @property
    def subjects(self) -> list[str]:
        """The subjects with a complete manifest."""
        return list(self._complete)

    def chain(self, subject: str) -> Chain | None:
        """The complete manifest of a subject and what led to it."""
        return self._complete.get(subject)

    def state(self, subject: str) -> State | None:
        """The content of the complete manifest of a subject."""
        chain = self._complete.get(subject)
        return chain.state if chain else None

    def versions(self) -> dict[str, Version]:
        """What to say in a hello: the versions of the complete manifests."""
        return {subject: chain.state.version for subject, chain in self._complete.items()}

    def objects(self, state: State) -> dict[str, bytes]:
        """The objects of a complete state by key. Raises KeyError when one is gone: the state was superseded."""
        objects = {}
        for key, digest in state.entries.items():
            body = self.bodies.get(digest)
            if body is None:
                raise KeyError(key)
            objects[key] = body
        return objects

    def offer(self, subject: str, updates: Sequence[Any], keys: SigningKeys) -> set[str]:
        """Takes SignedManifest messages of one subject; returns the hashes of the objects that are missing for them.

        An update that repeats what is pending returns what is still missing for it, so that another stream can
        bring it. Raises ManifestRefused and ManifestGap; then everything stays as it was.
        """
        pending = self._pending.get(subject)
        latest = pending.chain if pending else self._complete.get(subject)
        chain = extend_chain(latest, subject, updates, keys)
        if chain is None:
            return set(pending.missing) if pending else set()
        if pending is not None:
            self._forget_pending(subject)
        named = _brought(self._complete.get(subject), chain)
        missing = {digest for digest in named if not self.bodies.has(digest)}
        if not missing:
            self._adopt(chain)
            return set()
        self._pending[subject] = _Pending(chain, missing)
        for digest in missing:
            self._wanted.setdefault(digest, set()).add(subject)
        return set(missing)

    def supply(self, digest: str, body: bytes) -> None:
        """Takes an object that somebody sent as having this hash; one that no pending manifest names is dropped.

        Raises ManifestRefused when it has another hash: it was changed on the way.
        """
        if digest not in self._wanted:
            return
        if sha256(body).hexdigest() != digest:
            raise ManifestRefused("object", f"An object is not the one that the manifest names (hash {digest[:12]}…).")
        self.bodies.put(digest, body)
        for subject in self._wanted.pop(digest):
            pending = self._pending[subject]
            pending.missing.discard(digest)
            if not pending.missing:
                del self._pending[subject]
                self._adopt(pending.chain)

    def missing(self, subject: str) -> set[str]:
        """The hashes of the objects that a pending manifest of the subject waits for."""
        pending = self._pending.get(subject)
        return set(pending.missing) if pending else set()

    def waiting(self, digest: str) -> str | None:
        """One of the subjects whose pending manifests wait for an object; None when there is none."""
        return min(self._wanted.get(digest, ()), default=None)

    def take_adopted(self) -> frozenset[str]:
        """The subjects whose complete manifest has changed since the last call."""
        adopted = frozenset(self._adopted)
        self._adopted.clear()
        return adopted

    def drop(self, subject: str) -> None:
        """Forgets a subject."""
        self._complete.pop(subject, None)
        self._forget_pending(subject)

    def named(self) -> set[str]:
        """The hashes of all objects that a complete or pending manifest names."""
        chains = [*self._complete.values(), *(pending.chain for pending in self._pending.values())]
        return {digest for chain in chains for digest in chain.state.entries.values()}

    def _adopt(self, chain: Chain) -> None:
        self._complete[chain.state.subject] = chain
        self._adopted.add(chain.state.subject)

    def _forget_pending(self, subject: str) -> None:
        pending = self._pending.pop(subject, None)
        for digest in pending.missing if pending else ():
            waiting = self._wanted.get(digest)
            if waiting is not None:
                waiting.discard(subject)
                if not waiting:
                    del self._wanted[digest]


def _brought(before: Chain | None, after: Chain) -> set[str]:
    """The hashes that `after` names and `before` may not have: at the cost of the change where it is one delta."""
    if before is not None and after.full is before.full and len(after.deltas) == len(before.deltas) + 1:
        return set(after.deltas[-1].added)
    return set(after.state.entries.values())
