"""The store, on SQLite and on PostgreSQL alike."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from isthmus.console.database import StoreError
from isthmus.console.error import ConsoleError
from isthmus.console.record import (
    ApiToken,
    AuditEntry,
    Change,
    Commit,
    Event,
    IssuedCertificate,
    JoinGrant,
    SubjectVersion,
)
from isthmus.console.settings import database_url
from isthmus.console.store import Store
from isthmus.model import Object, ObjectKey
from isthmus.model.document import parse_documents
from isthmus.model.object import System

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
FRA = ObjectKey("default", "Site", "", "fra")


def site(description: str = "", name: str = "fra", number: int = 1) -> Object:
    parsed = parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": name, "description": description}}]
    )
    return parsed.objects[0].with_system(System(created=1, number=number))


def commit(revision: int, *changes: Change, **more: Any) -> Commit:
    return Commit(revision, T0 + timedelta(seconds=revision), "ada", changes, **more)


def test_what_was_committed_is_there_after_opening_again(
    store: Store, open_store: Callable[[str], Store], url: str
) -> None:
    first = commit(
        1,
        Change(FRA, "created", site("one"), "+one"),
        counters={"Site": 1, "created": 1},
        subjects={"default/site/fra": SubjectVersion(1, 1, ("eu", "us"))},
    )
    store.commit(first)
    store.commit(commit(2, Change(FRA, "updated", site("two"), "-one\n+two")))
    store.close()
    again = open_store(url)
    record = again.objects()[0][FRA]
    assert record.object == site("two")
    assert (record.revision, record.created_at, record.updated_at) == (
        2,
        T0 + timedelta(seconds=1),
        first.at.replace(second=7),
    )
    assert again.counters() == {"Site": 1, "created": 1, "revision": 2}
    assert again.subjects() == {"default/site/fra": SubjectVersion(1, 1, ("eu", "us"))}


def test_a_deleted_object_is_gone_but_its_history_stays(store: Store) -> None:
    store.commit(commit(1, Change(FRA, "created", site(), "+fra"), subjects={"default/site/fra": SubjectVersion(1, 1)}))
    store.commit(commit(2, Change(FRA, "deleted", None, "-fra"), subjects={"default/site/fra": None}))
    assert store.objects() == ({}, {})
    assert store.subjects() == {}
    assert [(r.revision, r.who, r.at, [c.action for c in r.changes]) for r in store.revisions(str(FRA))] == [
        (2, "ada", T0 + timedelta(seconds=2), ["deleted"]),
        (1, "ada", T0 + timedelta(seconds=1), ["created"]),
    ]


def test_a_revision_is_stored_whole_or_not_at_all(store: Store) -> None:
    store.commit(commit(1, Change(FRA, "created", site(), "+fra"), counters={"Site": 1}))
    ams = site(name="ams", number=2)
    with pytest.raises(StoreError, match="another console"):
        store.commit(commit(1, Change(ams.key, "created", ams, "+ams"), counters={"Site": 2}))
    too_long = Change(ObjectKey("default", "Site", "", "x"), "created", ams, "+")
    broken = commit(2, too_long, subjects={"default/site/x": SubjectVersion(1, None)})  # type: ignore[arg-type]
    with pytest.raises(StoreError):
        store.commit(broken)
    assert set(store.objects()[0]) == {FRA}
    assert store.counters() == {"Site": 1, "revision": 1}
    assert [r.revision for r in store.revisions()] == [1]


def test_history_is_paged_and_can_be_of_one_object(store: Store) -> None:
    ams = site(name="ams", number=2)
    for revision in range(1, 6):
        store.commit(
            commit(
                revision,
                Change(FRA, "updated", site(str(revision)), f"fra {revision}"),
                *([Change(ams.key, "created", ams, "ams")] if revision == 3 else []),
            )
        )
    assert [r.revision for r in store.revisions(limit=2)] == [5, 4]
    assert [r.revision for r in store.revisions(limit=2, before=4)] == [3, 2]
    assert [(r.revision, [c.diff for c in r.changes]) for r in store.revisions(str(ams.key))] == [(3, ["ams"])]
    assert [c.diff for c in store.revisions(limit=3)[2].changes] == ["fra 3", "ams"]


def test_facts_and_counters_are_replaced(store: Store) -> None:
    assert store.is_empty()
    store.put_facts({"epoch": "1", "slicer": "1"})
    store.put_facts({"epoch": "2"})
    store.put_counters({"Site": 5})
    assert store.facts() == {"epoch": "2", "slicer": "1"}
    assert store.counters() == {"Site": 5}
    assert not store.is_empty()


def test_api_tokens_are_kept_until_they_are_revoked(store: Store) -> None:
    one = ApiToken("1", "a" * 64, "admin", "ada", T0)
    two = ApiToken("2", "b" * 64, "read", "ci", T0 + timedelta(1), T0 + timedelta(2))
    store.add_api_token(one)
    store.add_api_token(two)
    assert store.api_tokens() == [one, two]
    assert store.remove_api_token("1")
    assert not store.remove_api_token("1")
    assert store.api_tokens() == [two]


def test_a_join_token_is_for_the_key_that_comes_first(store: Store) -> None:
    grant = JoinGrant("d" * 64, "default", "site", "fra", "ada", T0, T0 + timedelta(hours=1))
    store.add_join_grant(grant)
    soon, later = T0 + timedelta(minutes=1), T0 + timedelta(minutes=2)
    fra = ("default", "site", "fra")
    assert store.use_join_grant("e" * 64, *fra, "key1", soon) is None
    for other in (("other", "site", "fra"), ("default", "region", "fra"), ("default", "site", "nyc")):
        assert store.use_join_grant("d" * 64, *other, "key1", soon) is None
    assert store.use_join_grant("d" * 64, *fra, "key1", soon) == grant
    again = store.use_join_grant("d" * 64, *fra, "key2", later)
    assert again is not None
    assert (again.used_at, again.used_by_key) == (soon, "key1")


def test_an_expired_join_token_is_not_consumed(store: Store) -> None:
    store.add_join_grant(JoinGrant("d" * 64, "default", "site", "fra", "ada", T0, T0 + timedelta(hours=1)))
    expired = store.use_join_grant("d" * 64, "default", "site", "fra", "key1", T0 + timedelta(hours=1))
    assert expired is not None
    assert expired.used_at is None
    store.sweep_join_grants(T0 + timedelta(hours=2))
    assert store.use_join_grant("d" * 64, "default", "site", "fra", "key1", T0) is None


def test_certificates_and_audit_come_newest_first(store: Store) -> None:
    certificates = [IssuedCertificate(f"{n:x}", "spiffe://x", "join", T0 + timedelta(n), T0) for n in range(3)]
    for certificate in certificates:
        store.add_certificate(certificate)
    entries = [AuditEntry(T0, "ada", f"action.{n}", "ä") for n in range(3)]
    store.add_audit(entries)
    assert store.certificates(2) == [certificates[2], certificates[1]]
    found = store.audit(2)
    assert [replace(entry, number=0) for entry in found] == [entries[2], entries[1]]
    assert found[0].number > found[1].number > 0


def test_a_dump_loads_into_another_store(
    store: Store, open_store: Callable[[str], Store], new_database: Callable[[], str]
) -> None:
    store.put_facts({"epoch": "1"})
    store.add_audit([AuditEntry(T0, "ada", "a", "b")])
    store.commit(commit(1, Change(FRA, "created", site(), "+fra"), counters={"Site": 1}))
    other = open_store(new_database())
    other.load(store.dump())
    assert other.objects() == store.objects()
    assert other.dump() == store.dump()
    other.add_audit([AuditEntry(T0, "ada", "after", "b")])
    assert [entry.action for entry in other.audit()] == ["after", "a"]


def test_a_database_of_a_newer_release_is_refused(store: Store, open_store: Callable[[str], Store], url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConsoleError, match="newer release"):
        open_store(url)


def test_the_tables_are_those_that_migrations_make(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from isthmus.console.schema import metadata

    with store.engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    assert differences == []


def test_sqlite_is_durable_before_it_acknowledges(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/d.db")
    with store.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2  # FULL
    store.close()


def test_an_unreachable_database_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConsoleError, match="cannot be opened"):
        Store.open(database_url(tmp_path, f"postgresql://nobody@/none?host={tmp_path}"))
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(ConsoleError, match="cannot be opened"):
        Store.open(f"sqlite:///{damaged}")
    with pytest.raises(ConsoleError, match="not supported"):
        database_url(tmp_path, "mysql://x")
    assert sqlite3.sqlite_version_info >= (3, 35)


def test_events_of_a_namespace_are_trimmed_without_those_of_others(store: Store) -> None:
    keys = ["default/Endpoint/shop/a", "default/Route/endpoint/r", "default/Route/endpoint/s", "default/Site//Endpoint"]
    store.add_events([Event(number, 1.0, "info", "fra", "up", key) for number, key in enumerate(keys, 1)], 0, 0.0)
    assert store.trim_events("namespace", "endpoint", 1) == 1
    assert [each.number for each in store.events(10)] == [4, 3, 1]
    assert store.trim_events("subject", "fra", 2) == 1
    assert [each.number for each in store.events(10)] == [4, 3]
