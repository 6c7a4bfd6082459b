"""What each region and site is to hold: the console's shelf of signed manifests.

A whole manifest is signed when somebody asks for it, from the slice as it is; what is kept per subject is its version
and its latest deltas. So memory does not grow with sites x objects, and an edit costs one small signature per subject.
Between an edit of the slices and its commit to the store the touched subjects are held back: nothing unstored leaves.

A site that was deleted keeps what it holds, but its regions are told that it belongs to none of them, so that they end
its BGP session. That is a delta without objects on whatever version a region holds, so nothing of the site is needed.
"""

import zlib
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from isthmus.identity import Signer
from isthmus.protocol import Link, State, Version, sign_delta, sign_state
from isthmus.slice import SliceDelta, SliceIndex
from isthmus.slice.subject import subject_key

_FEW_DELTAS = 32
"""A subject with fewer deltas than this gets no whole manifest, however large they are."""
_MANY_DELTAS = 192
"""A subject gets a whole manifest after this many deltas, up to twice as many; which differs by subject, so that not
all are due at once."""
_WHOLE_SHARE = 0.25
"""Between both limits, a whole manifest is due when the deltas name this part of the slice."""
_CACHE_BYTES = 64 << 20


@dataclass(slots=True)
class _Entry:
    version: Version
    deltas: list[Link] = field(default_factory=list)
    named: int = 0
    regions: tuple[str, ...] = ()
    left: set[str] = field(default_factory=set)


class Publication:
    """See isthmus.protocol.Shelf. Made of a signer and the slices; `begin` and `publish` keep it with the store."""

    def __init__(self, signer: Signer, index: SliceIndex) -> None:
        self._signer = signer
        self._index = index
        self._entries: dict[str, _Entry] = {}
        self._farewells: dict[str, _Entry] = {}
        self._served: dict[str, set[str]] = {}
        self._held_back: set[str] = set()
        self._wholes: OrderedDict[str, Link] = OrderedDict()
        self._whole_bytes = 0

    # Publishing

    def start(self, subject: str, version: Version, left: Iterable[str] = ()) -> None:
        """Serve a subject of which nothing is known but its version: after a start of the console."""
        entry = _Entry(version, regions=self._index.regions_of(subject_key(subject)), left=set(left))
        self._entries[subject] = entry
        self._serve(subject, entry.regions)

    def start_farewell(self, subject: str, version: Version, left: Iterable[str]) -> None:
        """Tell these regions of a site that was deleted with `version`: after a start of the console."""
        self._farewells[subject] = _Entry(version, left=set(left))

    def hold_back(self, subjects: Iterable[str]) -> None:
        """The slices of these subjects changed, and the change is not stored yet."""
        self._held_back.update(subjects)

    def release(self, subjects: Iterable[str]) -> None:
        """The change of these subjects was taken back."""
        self._held_back.difference_update(subjects)

    def left(self, subject: str) -> tuple[str, ...]:
        """The regions that a site moves away from with the edit under way, or left without having heard of it."""
        entry = self._entries.get(subject)
        if entry is None:
            return ()
        regions = set(self._index.regions_of(subject_key(subject)))
        return tuple(sorted((entry.left | set(entry.regions)) - regions))

    def publish(self, subject: str, version: Version, delta: SliceDelta) -> None:
        """Serve a subject's changed slice, which is stored now."""
        self._held_back.discard(subject)
        self._forget_whole(subject)
        if not self._index.exists(subject):
            self._withdraw(subject, version)
            return
        self._farewells.pop(subject, None)
        header = self._index.header(subject)
        entry = self._entries.get(subject)
        if entry is None:
            self._entries[subject] = _Entry(version, regions=header.regions)
            self._serve(subject, header.regions)
            return
        if delta.whole or version.epoch != entry.version.epoch or self._is_due(subject, entry):
            entry.deltas.clear()
            entry.named = 0
        else:
            changed = {str(key): digest for key, digest in delta.set.items()}
            removed = [str(key) for key in delta.removed]
            state = State(subject, version, {}, header.number, header.import_clusters, header.regions)
            entry.deltas.append(sign_delta(state, entry.version.revision, changed, removed, self._signer))
            entry.named += len(changed) + len(removed)
        entry.version = version
        entry.left = (entry.left | set(entry.regions)) - set(header.regions)
        for region in set(entry.regions) - set(header.regions):
            self._served[_region_of(subject, region)].discard(subject)
        entry.regions = header.regions
        self._serve(subject, header.regions)

    def _is_due(self, subject: str, entry: _Entry) -> bool:
        count = len(entry.deltas)
        if count < _FEW_DELTAS:
            return False
        if count >= _MANY_DELTAS + zlib.crc32(subject.encode()) % _MANY_DELTAS:
            return True
        return entry.named > _WHOLE_SHARE * len(self._index.slice_of(subject))

    def _serve(self, subject: str, regions: Iterable[str]) -> None:
        for region in regions:
            self._served.setdefault(_region_of(subject, region), set()).add(subject)

    def _withdraw(self, subject: str, version: Version) -> None:
        """A subject that was deleted is not served any more; its regions get one last manifest that names no region."""
        entry = self._entries.pop(subject, None)
        if entry is None:
            return
        for region in entry.regions:
            self._served[_region_of(subject, region)].discard(subject)
        left = entry.left | set(entry.regions)
        if left:
            self.start_farewell(subject, version, left)

    def heard(self, subject: str, version: Version) -> None:
        """A subject uses this version: the regions that it left have done their last duty if it is the newest."""
        entry = self._entries.get(subject)
        if entry is not None and version >= entry.version:
            entry.left.clear()

    # Reading

    def version(self, subject: str) -> Version | None:
        """The version of the manifest that is served."""
        entry = self._entries.get(subject)
        return entry.version if entry is not None else None

    def versions(self) -> Mapping[str, Version]:
        """The version of every manifest that is served."""
        return {subject: entry.version for subject, entry in self._entries.items()}

    def whole(self, subject: str) -> Link:
        """The whole manifest of a subject, signed now or a short while ago."""
        known = self._wholes.get(subject)
        if known is not None:
            self._wholes.move_to_end(subject)
            return known
        link = sign_state(self.state(subject), self._signer).full
        self._wholes[subject] = link
        self._whole_bytes += len(link.signed)
        while self._whole_bytes > _CACHE_BYTES and len(self._wholes) > 1:
            self._whole_bytes -= len(self._wholes.popitem(last=False)[1].signed)
        return link

    def _forget_whole(self, subject: str) -> None:
        link = self._wholes.pop(subject, None)
        self._whole_bytes -= len(link.signed) if link is not None else 0

    def state(self, subject: str) -> State:
        """What a subject is to hold; of a deleted one, what its last manifest says beside the objects."""
        farewell = self._farewells.get(subject)
        if farewell is not None:
            return State(subject, farewell.version, {})
        header = self._index.header(subject)
        entries = {str(key): digest for key, digest in self._index.slice_of(subject).items()}
        version = self._entries[subject].version
        return State(subject, version, entries, header.number, header.import_clusters, header.regions)

    def since(self, subject: str, held: Version | None) -> tuple[Link, ...]:
        """The links that bring a holder of `held` to the version that is served."""
        farewell = self._farewells.get(subject)
        if farewell is not None:
            return self._part(subject, farewell.version, held)
        entry = self._entries.get(subject)
        if entry is None or subject in self._held_back:
            return ()
        if held is not None:
            if held >= entry.version:
                return ()
            for position, link in enumerate(entry.deltas):
                if link.base == held.revision and link.version.epoch == held.epoch:
                    return tuple(entry.deltas[position:])
        return (self.whole(subject),)

    def _part(self, subject: str, version: Version, held: Version | None) -> tuple[Link, ...]:
        """The last manifest of a deleted site, for a holder of `held`; nothing for who holds nothing of it."""
        if held is None or held.epoch != version.epoch or held >= version:
            return ()
        return (sign_delta(State(subject, version, {}), held.revision, {}, (), self._signer),)

    # Shelf

    def chain(self, subject: str, peer: str) -> "ServedSubject | None":
        """See Shelf. A region that a site left may have its manifest until the site has heard where to go."""
        farewell = self._farewells.get(subject)
        if farewell is not None:
            return ServedSubject(self, subject) if peer in self._left_by(subject, farewell) else None
        entry = self._entries.get(subject)
        if entry is None:
            return None
        allowed = subject == peer or subject in self._served.get(peer, ()) or peer in self._left_by(subject, entry)
        return ServedSubject(self, subject) if allowed else None

    def body(self, digest: str) -> bytes | None:
        """See Shelf."""
        return self._index.body(digest)

    def subjects(self, peer: str) -> Collection[str]:
        """See Shelf."""
        entries = (*self._entries.items(), *self._farewells.items())
        left = (subject for subject, entry in entries if peer in self._left_by(subject, entry))
        own = (peer,) if peer in self._entries else ()
        return sorted({*own, *self._served.get(peer, ()), *left})

    def audience(self, subject: str) -> Collection[str]:
        """See Shelf."""
        farewell = self._farewells.get(subject)
        if farewell is not None:
            return self._left_by(subject, farewell)
        entry = self._entries.get(subject)
        if entry is None:
            return ()
        return {subject, *(_region_of(subject, region) for region in (*entry.regions, *entry.left))}

    def _left_by(self, subject: str, entry: _Entry) -> set[str]:
        return {_region_of(subject, region) for region in entry.left}


@dataclass(frozen=True, slots=True)
class ServedSubject:
    """See isthmus.protocol.Served."""

    publication: Publication
    subject: str

    @property
    def state(self) -> State:
        """What the manifests add up to."""
        return self.publication.state(self.subject)

    def since(self, held: Version | None) -> tuple[Link, ...]:
        """The links that bring a holder of `held` to the newest version."""
        return self.publication.since(self.subject, held)


def _region_of(subject: str, region: str) -> str:
    return f"{subject.partition('/')[0]}/region/{region}"
