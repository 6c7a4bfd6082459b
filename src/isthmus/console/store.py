"""Objects and revisions on disk.

All writes assume that one console writes (`leader.py` sees to it); the revision number guards it once more, since a
second writer would repeat one.
"""

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from isthmus.console import schema
from isthmus.console.alert_register import AlertRegister
from isthmus.console.cipher import Encrypted, Place
from isthmus.console.database import StoreError
from isthmus.console.record import (
    AcmeAttempt,
    Commit,
    PastChange,
    Revision,
    RevisionLine,
    StoredObject,
    SubjectVersion,
    UnreadableObject,
    emit_time,
    parse_time,
)
from isthmus.model.envelope import emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.stored import Unreadable, parse_stored

_FEW_CHANGES = 3
"""Changes that a revision in brief names."""


class Store(AlertRegister):
    """All that a console keeps. `Store.open(url)` opens it."""

    # Facts and counters

    def facts(self) -> dict[str, str]:
        """Every fact by name."""
        with self._transaction() as connection:
            return {row.name: row.value for row in connection.execute(select(schema.fact))}

    def put_facts(self, facts: Mapping[str, str]) -> None:
        """Set some facts."""
        with self._transaction() as connection:
            rows = [{"name": name, "value": value} for name, value in facts.items()]
            self._upsert(connection, schema.fact, rows)

    def counters(self) -> dict[str, int]:
        """The highest number given out, by counter."""
        with self._transaction() as connection:
            return {row.name: row.value for row in connection.execute(select(schema.counter))}

    def put_counters(self, counters: Mapping[str, int]) -> None:
        """Set some counters."""
        with self._transaction() as connection:
            self._put_counters(connection, counters)

    def _put_counters(self, connection: Connection, counters: Mapping[str, int]) -> None:
        rows = [{"name": name, "value": value} for name, value in counters.items()]
        self._upsert(connection, schema.counter, rows)

    # Objects and revisions

    def objects(self) -> tuple[dict[ObjectKey, StoredObject], dict[ObjectKey, UnreadableObject]]:
        """Every object, and those apart that this release cannot use."""
        found: dict[ObjectKey, StoredObject] = {}
        unreadable: dict[ObjectKey, UnreadableObject] = {}
        with self._transaction() as connection:
            for row in connection.execute(select(schema.object_)):
                key = ObjectKey(row.tenant, row.kind, row.namespace, row.name)
                body, created_at = bytes(row.body), parse_time(row.created_at)
                obj = parse_stored(key, body)
                if isinstance(obj, Unreadable):
                    unreadable[key] = UnreadableObject(body, obj, row.revision, created_at)
                else:
                    found[key] = StoredObject(obj, row.revision, created_at, parse_time(row.updated_at))
        return found, unreadable

    def commit(self, commit: Commit) -> None:
        """Store a revision: its changes, counters and manifest versions, all or nothing.

        Raises:
            StoreError: nothing was stored; in particular when the revision exists already.
        """
        at = emit_time(commit.at)
        with self._transaction() as connection:
            try:
                connection.execute(schema.revision.insert(), {"revision": commit.revision, "at": at, "who": commit.who})
            except IntegrityError:
                raise StoreError(f"Revision {commit.revision} exists already: another console writes here.") from None
            if commit.changes:
                rows = [
                    {
                        "revision": commit.revision,
                        "position": position,
                        "key": str(change.key),
                        "action": change.action,
                        "diff": change.diff,
                    }
                    for position, change in enumerate(commit.changes)
                ]
                connection.execute(schema.change.insert(), rows)
            self._put_objects(connection, commit, at)
            self._put_counters(connection, {**commit.counters, "revision": commit.revision})
            self._put_subjects(connection, commit.subjects)
            self._put_private(connection, commit.private)
            for place in commit.forgotten:
                connection.execute(schema.private_value.delete().where(*_at(schema.private_value, place)))
            for subject in commit.left:
                connection.execute(schema.sealing_key.delete().where(schema.sealing_key.c.subject == subject))

    def _put_objects(self, connection: Connection, commit: Commit, at: str) -> None:
        table = schema.object_
        deleted = [change.key for change in commit.changes if change.object is None]
        for key in deleted:
            connection.execute(
                table.delete().where(
                    table.c.tenant == key.tenant,
                    table.c.kind == key.kind,
                    table.c.namespace == key.namespace,
                    table.c.name == key.name,
                )
            )
        rows = [
            {
                **change.key._asdict(),
                "body": emit_envelope(change.object),
                "revision": commit.revision,
                "created_at": at,
                "updated_at": at,
            }
            for change in commit.changes
            if change.object is not None
        ]
        if rows:
            insert = (postgresql.insert if self.kind == "postgresql" else sqlite.insert)(table)
            kept = {name: insert.excluded[name] for name in ("body", "revision", "updated_at")}
            keys = [column.name for column in table.primary_key]
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=kept), rows)

    def subjects(self) -> dict[str, SubjectVersion]:
        """The version of every subject's manifest."""
        with self._transaction() as connection:
            return {
                row.subject: SubjectVersion(
                    row.epoch, row.revision, tuple(name for name in row.left_regions.split(",") if name)
                )
                for row in connection.execute(select(schema.subject))
            }

    def put_subjects(self, subjects: Mapping[str, SubjectVersion | None]) -> None:
        """Set versions of manifests; None forgets a subject."""
        with self._transaction() as connection:
            self._put_subjects(connection, subjects)

    def _put_subjects(self, connection: Connection, subjects: Mapping[str, SubjectVersion | None]) -> None:
        rows = [
            {
                "subject": name,
                "epoch": version.epoch,
                "revision": version.revision,
                "left_regions": ",".join(version.left),
            }
            for name, version in subjects.items()
            if version is not None
        ]
        self._upsert(connection, schema.subject, rows)
        for name, version in subjects.items():
            if version is None:
                connection.execute(schema.subject.delete().where(schema.subject.c.subject == name))

    # Private values

    def private_values(self) -> dict[Place, Encrypted]:
        """Every private value, encrypted."""
        with self._transaction() as connection:
            return {
                Place(row.key, row.field, row.fingerprint): Encrypted(row.key_id, bytes(row.body))
                for row in connection.execute(select(schema.private_value))
            }

    def put_private_values(self, values: Mapping[Place, Encrypted]) -> None:
        """Put values in place of what they were, all or nothing."""
        with self._transaction() as connection:
            self._put_private(connection, values)

    def _put_private(self, connection: Connection, values: Mapping[Place, Encrypted]) -> None:
        rows = [{**place._asdict(), **encrypted._asdict()} for place, encrypted in values.items()]
        self._upsert(connection, schema.private_value, rows)

    def sealing_keys(self) -> dict[str, bytes]:
        """The public key that is sealed to, by subject."""
        with self._transaction() as connection:
            return {row.subject: bytes(row.public_key) for row in connection.execute(select(schema.sealing_key))}

    def put_sealing_key(self, subject: str, public: bytes) -> None:
        """Seal to this key from now on."""
        with self._transaction() as connection:
            self._upsert(connection, schema.sealing_key, [{"subject": subject, "public_key": public}])

    # Attempts to get certificates

    def acme_attempts(self) -> list[AcmeAttempt]:
        """Those that failed, one for each certificate."""
        with self._transaction() as connection:
            rows = connection.execute(select(schema.acme_attempt)).all()
        return [
            AcmeAttempt(
                row.key, row.declared, row.failures, row.error, parse_time(row.failed_at), parse_time(row.next_at)
            )
            for row in rows
        ]

    def put_acme_attempt(self, attempt: AcmeAttempt) -> None:
        """Keep one in place of the last of its certificate."""
        times = {"failed_at": emit_time(attempt.failed_at), "next_at": emit_time(attempt.next_at)}
        row = {**asdict(attempt), **times}
        with self._transaction() as connection:
            self._upsert(connection, schema.acme_attempt, [row])

    def forget_acme_attempt(self, key: str) -> None:
        """The certificate was got, or is gone."""
        with self._transaction() as connection:
            connection.execute(schema.acme_attempt.delete().where(schema.acme_attempt.c.key == key))

    def revisions(self, key: str | None = None, limit: int = 50, before: int | None = None) -> list[Revision]:
        """Past revisions, newest first: of one object (`str(key)`) or all; below revision `before` when given."""
        query = select(schema.revision).order_by(schema.revision.c.revision.desc()).limit(limit)
        if key is not None:
            of_key = select(schema.change.c.revision).where(schema.change.c.key == key)
            query = query.where(schema.revision.c.revision.in_(of_key))
        if before is not None:
            query = query.where(schema.revision.c.revision < before)
        changes: dict[int, list[PastChange]] = {}
        with self._transaction() as connection:
            rows = connection.execute(query).all()
            found = select(schema.change).where(schema.change.c.revision.in_([row.revision for row in rows]))
            if key is not None:
                found = found.where(schema.change.c.key == key)
            for row in connection.execute(found.order_by(schema.change.c.revision, schema.change.c.position)):
                changes.setdefault(row.revision, []).append(PastChange(row.key, row.action, row.diff))
        return [
            Revision(row.revision, parse_time(row.at), row.who, tuple(changes.get(row.revision, ()))) for row in rows
        ]

    def revision_lines(self, key: str | None = None, limit: int = 50, before: int | None = None) -> list[RevisionLine]:
        """Past revisions in brief, newest first, as `revisions` selects them: at most three changes, no differences."""
        table = schema.change
        query = select(schema.revision).order_by(schema.revision.c.revision.desc()).limit(limit)
        if key is not None:
            of_key = select(table.c.revision).where(table.c.key == key)
            query = query.where(schema.revision.c.revision.in_(of_key))
        if before is not None:
            query = query.where(schema.revision.c.revision < before)
        first: dict[int, list[tuple[str, str]]] = {}
        with self._transaction() as connection:
            rows = connection.execute(query).all()
            of_these = table.c.revision.in_([row.revision for row in rows])
            count = select(table.c.revision, func.count().label("changes")).where(of_these).group_by(table.c.revision)
            counts = {row.revision: row.changes for row in connection.execute(count)}
            few = table.c.key == key if key is not None else table.c.position < _FEW_CHANGES
            named = select(table.c.revision, table.c.action, table.c.key).where(of_these, few)
            for row in connection.execute(named.order_by(table.c.revision, table.c.position)):
                first.setdefault(row.revision, []).append((row.action, row.key))
        return [
            RevisionLine(
                row.revision,
                parse_time(row.at),
                row.who,
                tuple(first.get(row.revision, ())),
                counts.get(row.revision, 0),
            )
            for row in rows
        ]

    def revision(self, number: int, most: int) -> tuple[Revision, int] | None:
        """One revision with at most so many of its changes, and how many there are; None when there is none."""
        table = schema.change
        with self._transaction() as connection:
            row = connection.execute(select(schema.revision).where(schema.revision.c.revision == number)).one_or_none()
            if row is None:
                return None
            of_it = table.c.revision == number
            total = connection.execute(select(func.count()).select_from(table).where(of_it)).scalar_one()
            found = connection.execute(select(table).where(of_it).order_by(table.c.position).limit(most)).all()
        changes = tuple(PastChange(each.key, each.action, each.diff) for each in found)
        return Revision(number, parse_time(row.at), row.who, changes), total


def _at(table: Table, place: Place) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name, value in place._asdict().items()]
