"""Manifests: what a subject is to hold, signed by the console; deltas on them; and the chain that relays keep.

Applying (`extend_chain`), in order:
1. links in the order of arrival; a full manifest starts a candidate, a delta extends it (or what is held, when there
   is no candidate yet) if it is on exactly that epoch and revision;
2. links that are not newer than what is held are passed over without verifying them;
3. every other link must be signed by a trusted key, for this subject, and name at least one object: a slice always
   holds its subject's own object, so an empty manifest is a mistake and would remove everything;
4. the candidate replaces what is held only if its (epoch, revision) is higher. Nothing else ever removes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.error import SignatureRefused
from isthmus.identity.signature import Signer, SigningKeys
from isthmus.protocol.error import ManifestGap, ManifestRefused

MAX_DELTAS = 32
"""A chain with more deltas than this starts anew with a full manifest."""

_PURPOSE = "manifest"


class Version(NamedTuple):
    """When a manifest was made: `epoch` grows with every restore of the console, `revision` with every change."""

    epoch: int
    revision: int


@dataclass(frozen=True, slots=True)
class State:
    """The content of a verified manifest.

    `entries` maps object keys ("default/Cluster/shop/web") to content hashes (SHA-256, hexadecimal).
    `import_clusters` are the numbers of the clusters whose health the site ingests, `regions` names in order.
    """

    subject: str
    version: Version
    entries: Mapping[str, str]
    site_number: int = 0
    import_clusters: tuple[int, ...] = ()
    regions: tuple[str, ...] = ()

    def same_content(self, other: "State") -> bool:
        """Whether both say the same, whenever they were made."""
        return (
            self.entries == other.entries
            and self.site_number == other.site_number
            and self.import_clusters == other.import_clusters
            and self.regions == other.regions
        )


@dataclass(frozen=True, slots=True)
class Link:
    """One signed manifest as it travels: `base` is 0 for a full one; `added` are the hashes that a delta brings."""

    version: Version
    base: int
    signed: bytes
    added: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A full manifest, the deltas on it, and the state that they add up to."""

    state: State
    full: Link
    deltas: tuple[Link, ...] = ()

    def since(self, held: Version | None) -> tuple[Link, ...]:
        """The links that bring a holder of `held` to this chain's state; none if it is there or beyond."""
        if held is None:
            return (self.full, *self.deltas)
        if held >= self.state.version:
            return ()
        if held == self.full.version:
            return self.deltas
        for at, link in enumerate(self.deltas):
            if link.version == held:
                return self.deltas[at + 1 :]
        return (self.full, *self.deltas)


def sign_state(state: State, signer: Signer) -> Chain:
    """A chain of one full manifest. Raises ValueError for a state without entries."""
    if not state.entries:
        raise ValueError(f"A manifest of {state.subject} without objects would remove everything.")
    manifest = _frame(state)
    manifest.entries.extend(_entries(state.entries.items()))
    return Chain(state, _link(manifest, signer, state, 0, ()))


def sign_successor(chain: Chain, state: State, signer: Signer) -> Chain:
    """The chain with `state` on top: one more delta, or a new full manifest after MAX_DELTAS or in another epoch.

    Raises ValueError when `state` is not newer than the chain's, or has no entries.
    """
    before = chain.state
    if state.version <= before.version:
        raise ValueError(f"{state.subject}: {state.version} does not follow {before.version}.")
    if len(chain.deltas) >= MAX_DELTAS or state.version.epoch != before.version.epoch or not state.entries:
        return sign_state(state, signer)
    changed = {key: digest for key, digest in state.entries.items() if before.entries.get(key) != digest}
    removed = [key for key in before.entries if key not in state.entries]
    if len(changed) + len(removed) > len(state.entries):
        return sign_state(state, signer)
    manifest = _frame(state)
    manifest.base_revision = before.version.revision
    manifest.entries.extend(_entries(changed.items()))
    manifest.removed.extend(sorted(removed))
    link = _link(manifest, signer, state, before.version.revision, tuple(sorted(set(changed.values()))))
    return Chain(state, chain.full, (*chain.deltas, link))


def sign_delta(state: State, base: int, changed: Mapping[str, str], removed: Iterable[str], signer: Signer) -> Link:
    """A delta on revision `base` of the same epoch, from what changed: for a shelf that does not keep whole states.

    Of `state` only subject, version and the fields with full values are read.
    """
    manifest = _frame(state)
    manifest.base_revision = base
    manifest.entries.extend(_entries(changed.items()))
    manifest.removed.extend(sorted(removed))
    return _link(manifest, signer, state, base, tuple(sorted(set(changed.values()))))


def extend_chain(held: Chain | None, subject: str, updates: Sequence[Any], keys: SigningKeys) -> Chain | None:
    """What is held after some SignedManifest messages of one subject, or None when they change nothing.

    Raises ManifestRefused and ManifestGap; then what is held stays.
    """
    parsed = [(_parse(update), update) for update in updates]
    newest = max((_version(manifest) for manifest, _ in parsed), default=None)
    if newest is None or (held is not None and newest <= held.state.version):
        return None
    candidate = held
    for manifest, signed in parsed:
        version = _version(manifest)
        if manifest.base_revision == 0:
            candidate = _full(subject, version, manifest, signed, keys)
        elif candidate is not None and version <= candidate.state.version:
            continue
        else:
            candidate = _extended(candidate, subject, version, manifest, signed, keys)
    if candidate is None or (held is not None and candidate.state.version <= held.state.version):
        return None
    return candidate


def restore_chain(subject: str, links: Iterable[bytes]) -> Chain:
    """The chain of serialized SignedManifest messages from the own disk, first the full one, signatures unread.

    Raises ManifestRefused when they do not form one.
    """
    chain: Chain | None = None
    for body in links:
        signed = wire.SignedManifest.FromString(body)
        manifest = _parse(signed)
        version = _version(manifest)
        if manifest.base_revision == 0:
            chain = _full(subject, version, manifest, signed, None)
        else:
            try:
                chain = _extended(chain, subject, version, manifest, signed, None)
            except ManifestGap as gap:
                raise ManifestRefused("damaged", f"The cached manifest of {subject} is damaged.") from gap
    if chain is None:
        raise ManifestRefused("damaged", f"The cached manifest of {subject} is damaged.")
    return chain


def _full(subject: str, version: Version, manifest: Any, signed: Any, keys: SigningKeys | None) -> Chain:
    _verify(subject, manifest, signed, keys)
    if not manifest.entries:
        raise ManifestRefused("empty", f"A manifest of {subject} without objects is refused: it would remove all.")
    entries = {entry.key: entry.hash.hex() for entry in manifest.entries}
    state = _state(manifest, version, entries)
    return Chain(state, Link(version, 0, signed.SerializeToString(), ()))


def _extended(
    chain: Chain | None, subject: str, version: Version, manifest: Any, signed: Any, keys: SigningKeys | None
) -> Chain:
    if chain is None or chain.state.version != Version(version.epoch, manifest.base_revision):
        raise ManifestGap(subject)
    if version <= chain.state.version:
        raise ManifestRefused("malformed", f"A delta of {subject} does not lead forward.")
    _verify(subject, manifest, signed, keys)
    changed = {entry.key: entry.hash.hex() for entry in manifest.entries}
    entries = {**chain.state.entries, **changed}
    for key in manifest.removed:
        entries.pop(key, None)
    if not entries:
        raise ManifestRefused("empty", f"A manifest of {subject} without objects is refused: it would remove all.")
    link = Link(version, manifest.base_revision, signed.SerializeToString(), tuple(sorted(set(changed.values()))))
    return Chain(_state(manifest, version, entries), chain.full, (*chain.deltas, link))


def _parse(signed: Any) -> Any:
    try:
        return wire.Manifest.FromString(signed.manifest)
    except DecodeError as error:
        raise ManifestRefused("malformed", "A manifest cannot be read.") from error


def _verify(subject: str, manifest: Any, signed: Any, keys: SigningKeys | None) -> None:
    if manifest.subject != subject:
        raise ManifestRefused("wrong_subject", f"A manifest of {manifest.subject} was sent as one of {subject}.")
    if any(len(entry.hash) != 32 for entry in manifest.entries):
        raise ManifestRefused("malformed", f"A manifest of {subject} has a hash that is no SHA-256.")
    if keys is None:
        return
    try:
        keys.verify(_PURPOSE, signed.manifest, signed.signature, signed.key_id)
    except SignatureRefused as error:
        raise ManifestRefused("signature", f"The manifest of {subject}: {error}") from error


def subject_of(signed: Any) -> str:
    """The subject that a SignedManifest message claims. Raises ManifestRefused when it cannot be read."""
    return str(_parse(signed).subject)


def _version(manifest: Any) -> Version:
    return Version(manifest.epoch, manifest.revision)


def _state(manifest: Any, version: Version, entries: dict[str, str]) -> State:
    return State(
        manifest.subject,
        version,
        MappingProxyType(entries),
        manifest.site_number,
        tuple(manifest.import_clusters),
        tuple(manifest.regions),
    )


def _frame(state: State) -> Any:
    return wire.Manifest(
        subject=state.subject,
        epoch=state.version.epoch,
        revision=state.version.revision,
        site_number=state.site_number,
        import_clusters=state.import_clusters,
        regions=state.regions,
    )


def _entries(items: Iterable[tuple[str, str]]) -> list[Any]:
    return [wire.Entry(key=key, hash=bytes.fromhex(digest)) for key, digest in sorted(items)]


def _link(manifest: Any, signer: Signer, state: State, base: int, added: tuple[str, ...]) -> Link:
    body = manifest.SerializeToString(deterministic=True)
    signed = wire.SignedManifest(manifest=body, signature=signer.sign(_PURPOSE, body), key_id=signer.key_id)
    return Link(state.version, base, signed.SerializeToString(), added)
