"""The deployment in memory, and every edit of it: planned, stored, published, in this order and one at a time.

An edit is acknowledged when it is stored. Its publication follows at once, and the next edit waits for it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

import structlog

from isthmus.console.cipher import Encrypted, Place
from isthmus.console.credential import find_faulty, may_be_faulty
from isthmus.console.database import StoreError
from isthmus.console.edit import Edit, plan_edit
from isthmus.console.error import RequestRefused
from isthmus.console.publication import Publication
from isthmus.console.reading import Reading
from isthmus.console.record import Commit, StoredObject, SubjectVersion, UnreadableObject
from isthmus.console.store import Store
from isthmus.console.vault import Vault, places_of
from isthmus.identity import Signer
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.revalidation import Validation
from isthmus.protocol import Version
from isthmus.slice import SLICER, SliceDelta, SliceIndex, site_subject
from isthmus.slice.subject import subject_key

_PUBLISH_BATCH = 64
"""Subjects that are signed and sent before other work of the process has its turn."""
_MANY_DOCUMENTS = 200
"""An edit of more objects than this is planned in a thread, so that streams and requests go on meanwhile."""

_log = structlog.get_logger()
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class EditResult:
    """What an edit did, or would do: `revision` is the newest of the deployment afterwards."""

    revision: int
    edit: Edit


class Deployment:
    """Objects, slices and what is published of them. Made by `load`.

    Attributes:
        records: the stored objects.
        unreadable: those that are stored and cannot be used by this release: they stay as they are until they are
            applied anew or deleted, and nothing that is published names them.
        reading: which objects were not accepted as they are stored, at the start.
        vault: their private values.
        index: the slices; ahead of the store while an edit is being stored.
        validation: the errors of the stored objects.
        publication: what regions and sites are served.
        epoch: grows with every restore.
        revision: the newest revision.
    """

    def __init__(
        self,
        store: Store,
        signer: Signer,
        vault: Vault,
        records: dict[ObjectKey, StoredObject],
        epoch: int,
        counters: dict[str, int],
        unreadable: Mapping[ObjectKey, UnreadableObject] | None = None,
    ) -> None:
        self.records = records
        self.unreadable = dict(unreadable or {})
        objects = {key: record.object for key, record in records.items()}
        self.vault = vault
        self.index = SliceIndex(objects.values(), vault)
        self.validation = Validation(
            objects, {key: each.unreadable.diagnostics for key, each in self.unreadable.items()}
        )
        self.publication = Publication(signer, self.index)
        self.epoch = epoch
        self.reading = Reading.of(records, self.unreadable)
        self.changed: Callable[[Collection[str]], None] = lambda _: None
        self._store = store
        self._counters = counters
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "store")
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def revision(self) -> int:
        """The newest revision; 0 before the first."""
        return self._counters.get("revision", 0)

    @classmethod
    def load(cls, store: Store, signer: Signer, vault: Vault) -> "Deployment":
        """Read everything. Blocks.

        Each manifest is served with the version that it had, so that nothing moves when the console starts again; but
        all get a new version when this release slices otherwise than the one before, or reads other objects.
        """
        facts, counters = store.facts(), store.counters()
        records, unreadable = store.objects()
        deployment = cls(store, signer, vault, records, int(facts.get("epoch", "1")), counters, unreadable)
        reading = deployment.reading
        stored = known = store.subjects()
        if facts.get("slicer", str(SLICER)) != str(SLICER) or reading.differs(facts.get("refused", "")):
            counters["revision"] = counters.get("revision", 0) + 1
            store.commit(Commit(counters["revision"], datetime.now(UTC), "upgrade", ()))
            known = {}
        fresh: dict[str, SubjectVersion | None] = {}
        for subject in deployment.index.subjects():
            version = known.get(subject)
            if version is None or version.epoch != deployment.epoch:
                version = fresh[subject] = SubjectVersion(deployment.epoch, max(deployment.revision, 1))
            deployment.publication.start(subject, Version(version.epoch, version.revision), version.left)
        for subject, version in stored.items():
            if not deployment.index.exists(subject) and subject_key(subject) not in unreadable:
                deployment.publication.start_farewell(subject, Version(version.epoch, version.revision), version.left)
        store.put_subjects(fresh)
        store.put_facts({"slicer": str(SLICER), "refused": reading.text})
        for each in deployment.refused():
            _log.error("object.refused", object=str(each.object), field=each.field, reason=each.message, mend=each.mend)
        return deployment

    async def call(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a blocking call of the store in its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    async def close(self) -> None:
        """Wait for the edit under way and its publication."""
        async with self._lock:
            self._thread.shutdown()

    # Edits

    async def edit(
        self,
        who: str,
        requested: Sequence[Object],
        deleted: Collection[ObjectKey] = (),
        *,
        dry_run: bool = False,
        expected: Mapping[ObjectKey, int] | None = None,
        check: Callable[[], None] = lambda: None,
    ) -> EditResult:
        """Create, update and delete objects, all or nothing.

        Args:
            who: for history.
            requested: objects to create or update.
            deleted: objects to delete.
            dry_run: only say what would change.
            expected: revisions that objects must still have if the edit changes them.
            check: called when no other edit can come between; raises RequestRefused.

        Raises:
            RequestRefused: 404, 409, 422, or what `check` raises; 503 when the store refused.
        """
        task = asyncio.ensure_future(self._edit(who, requested, deleted, dry_run, expected or {}, check))
        return await asyncio.shield(task)  # a client that goes away does not stop an edit half-way

    async def update(self, who: str, key: ObjectKey, change: Callable[[Object], Object]) -> EditResult:
        """Change one object by a function of what it is."""
        record = self.records.get(key)
        if record is None:
            raise self.missing(key)
        if record.object.refused is not None:
            text = f"{key.title} is stored as this release does not accept it; apply it anew first."
            raise RequestRefused(409, "stored-refused", text, record.object.refused.diagnostics)
        requested = change(record.object)

        def check() -> None:
            if self.records.get(key) != record:
                raise RequestRefused(409, "conflict", f"{key.title} was changed meanwhile: try again.")

        return await self.edit(who, [requested], check=check)

    async def _edit(
        self,
        who: str,
        requested: Sequence[Object],
        deleted: Collection[ObjectKey],
        dry_run: bool,
        expected: Mapping[ObjectKey, int],
        check: Callable[[], None],
    ) -> EditResult:
        await self._lock.acquire()
        publishing = False
        try:
            check()
            for key in deleted:
                if key not in self.records and key not in self.unreadable:
                    raise self.missing(key)
            concealed = self.vault.conceal(requested, self.records, datetime.now(UTC))
            requested, users = concealed.objects, self.validation.users
            found = concealed.diagnostics
            if may_be_faulty(requested, concealed.secrets):
                look = (requested, concealed.secrets, self.records, users, self.vault.secret)
                found += await asyncio.to_thread(lambda: tuple(find_faulty(*look)))
            plan = (self.records, self.validation, self._counters, requested, deleted, found, self.unreadable)
            if len(requested) > _MANY_DOCUMENTS:
                edit = await asyncio.to_thread(plan_edit, *plan)
            else:
                edit = plan_edit(*plan)
            self._refuse_stale(edit, expected)
            if dry_run or not edit.changes:
                return EditResult(self.revision, edit)
            version = Version(self.epoch, self.revision + 1)
            deltas = await self._commit(who, edit, version, concealed.fresh)
            publishing = True
            task = asyncio.get_running_loop().create_task(self._publish(version, deltas))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return EditResult(version.revision, edit)
        finally:
            if not publishing:
                self._lock.release()

    def _refuse_stale(self, edit: Edit, expected: Mapping[ObjectKey, int]) -> None:
        """Refuse to change objects that are not at the revision that the edit was made from."""
        revisions = {
            change.key: stored.revision
            for change in edit.changes
            if (stored := self.records.get(change.key) or self.unreadable.get(change.key)) is not None
        }
        stale = [
            Diagnostic(
                "revision-mismatch",
                change.key,
                "metadata.revision",
                f"is at revision {revisions[change.key]} now, not {expected[change.key]}",
                "read it again, or leave metadata.revision out",
            )
            for change in edit.changes
            if change.key in expected and change.key in revisions and revisions[change.key] != expected[change.key]
        ]
        if stale:
            raise RequestRefused(412, "revision-mismatch", "Objects were changed meanwhile; nothing was stored.", stale)

    async def _commit(
        self, who: str, edit: Edit, version: Version, private: Mapping[Place, Encrypted]
    ) -> Mapping[str, SliceDelta]:
        now = datetime.now(UTC)
        self.vault.add(private)  # the slices seal them
        deltas = self.index.apply(edit.objects)
        self.publication.hold_back(deltas)
        subjects: dict[str, SubjectVersion | None] = {}
        for subject in deltas:
            left = self.publication.left(subject)
            kept = self.index.exists(subject) or left  # the regions of a deleted site have yet to hear of it
            subjects[subject] = SubjectVersion(version.epoch, version.revision, left) if kept else None
        unknown = self._farewells(edit.objects)
        subjects |= {
            subject: SubjectVersion(version.epoch, version.revision, left) for subject, left in unknown.items()
        }
        forgotten = {place for key, obj in edit.objects.items() for place in self._places(key) - set(places_of(obj))}
        deleted = [site_subject(key) for key, obj in edit.objects.items() if key.kind == "Site" and obj is None]
        commit = Commit(version.revision, now, who, edit.changes, edit.counters, subjects, private, forgotten, deleted)
        try:
            await self.call(self._store.commit, commit)
        except StoreError as error:
            old = {change.key: self.records.get(change.key) for change in edit.changes}
            self.index.apply({key: record.object if record else None for key, record in old.items()})
            self.publication.release(deltas)
            self.vault.remove(private)
            _log.error("store.refused", revision=version.revision, reason=str(error))
            raise RequestRefused(503, "store-unavailable", f"Nothing was stored: {error}") from error
        self.vault.remove(forgotten)
        self.vault.drop_sealing_keys(deleted)
        for subject, regions in unknown.items():
            self.publication.start_farewell(subject, version, regions)
        self.validation.accept(edit.trial)
        self._counters = {**edit.counters, "revision": version.revision}
        for change in edit.changes:
            replaced = self.unreadable.pop(change.key, None)
            if change.object is None:
                self.records.pop(change.key, None)
            else:
                old_record = self.records.get(change.key)
                record = StoredObject(change.object, version.revision, now, now)
                if (before := old_record or replaced) is not None:
                    record = replace(record, created_at=before.created_at)
                self.records[change.key] = record
        return deltas

    def _places(self, key: ObjectKey) -> set[Place]:
        record = self.records.get(key)
        if record is None and key in self.unreadable:
            return self.vault.places(key)
        return set(places_of(record.object if record is not None else None))

    def _farewells(self, objects: Mapping[ObjectKey, Object | None]) -> dict[str, tuple[str, ...]]:
        """Deleted sites that cannot be read, so that nobody knows which regions have them: any may."""
        gone = [key for key, obj in objects.items() if obj is None and key.kind == "Site" and key in self.unreadable]
        stored = (*self.records, *self.unreadable) if gone else ()
        return {
            site_subject(key): tuple(
                sorted(each.name for each in stored if (each.tenant, each.kind) == (key.tenant, "Region"))
            )
            for key in gone
        }

    async def seal_to(self, subject: str, public: bytes) -> None:
        """Seal a site's secrets to another public key from now on. Its manifest follows if it has any.

        Raises:
            StoreError: nothing was stored.
        """
        await asyncio.shield(asyncio.ensure_future(self._seal_to(subject, public)))

    async def _seal_to(self, subject: str, public: bytes) -> None:
        async with self._lock:
            exists = self.index.exists(subject)
            if self.vault.sealing_key(subject) == public or not (exists or subject_key(subject) in self.unreadable):
                return
            await self.call(self._store.put_sealing_key, subject, public)
            self.vault.put_sealing_key(subject, public)
            if not exists or not self.index.reseal(subject_key(subject)):
                return
            version = Version(self.epoch, self.revision + 1)
            subjects = {subject: SubjectVersion(version.epoch, version.revision, self.publication.left(subject))}
            commit = Commit(version.revision, datetime.now(UTC), "sealing", (), {}, subjects)
            await self.call(self._store.commit, commit)
            self._counters = {**self._counters, "revision": version.revision}
            self.publication.publish(subject, version, SliceDelta(whole=True))
            self.changed([subject])

    async def _publish(self, version: Version, deltas: Mapping[str, SliceDelta]) -> None:
        try:
            names = list(deltas)
            for start in range(0, len(names), _PUBLISH_BATCH):
                batch = names[start : start + _PUBLISH_BATCH]
                for subject in batch:
                    self.publication.publish(subject, version, deltas[subject])
                self.changed(batch)
                await asyncio.sleep(0)
        except Exception:
            _log.exception("publication.failed", revision=version.revision)
            raise
        finally:
            self.publication.release(deltas)
            self._lock.release()

    async def published(self) -> None:
        """Wait until everything that was acknowledged is published too."""
        async with self._lock:
            return

    # Reading

    def missing(self, key: ObjectKey) -> RequestRefused:
        """Why there is no object of a key: 404, or 409 when what is stored cannot be read."""
        found = self.unreadable.get(key)
        if found is None:
            return RequestRefused(404, "not-found", f"{key.title} does not exist.")
        text = f"{key.title} is stored in a form that this release cannot use; apply it anew, or delete it."
        return RequestRefused(409, "stored-unreadable", text, found.unreadable.diagnostics)

    def refused(self) -> Iterator[Diagnostic]:
        """What this release does not accept of what is stored: nothing, unless another release has stored it."""
        for key in self.reading.refused:
            record = self.records.get(key)
            if key in self.unreadable:
                yield from self.unreadable[key].unreadable.diagnostics
            elif record is not None and record.object.refused is not None:
                yield from record.object.refused.diagnostics

    def of_kind(self, kind: str, tenant: str, namespace: str | None = None) -> Iterable[StoredObject]:
        """The objects of a kind by key, of one namespace or of all."""
        keys = sorted(
            key
            for key in self.records
            if key.kind == kind and key.tenant == tenant and (namespace is None or key.namespace == namespace)
        )
        return (self.records[key] for key in keys)
