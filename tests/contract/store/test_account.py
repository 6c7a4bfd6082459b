"""People and their sessions, on SQLite and on PostgreSQL alike."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.console.database import StoreError
from isthmus.console.record import Account, Session
from isthmus.console.store import Store

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HOUR = timedelta(hours=1)
ADA = Account("ada", "admin", "$argon2id$ada", T0)
EVE = Account("eve@example.org", "read", "$argon2id$eve", T0 + HOUR)


def session(digest: str, account: str | None = None, token: str | None = None, hours: int = 12) -> Session:
    return Session(digest, token, account, T0, T0 + hours * HOUR)


def digests(store: Store, now: datetime = T0) -> list[str]:
    return sorted(each.digest for each in store.sessions(now))


def test_accounts_are_kept_by_name(store: Store, open_store: Callable[[str], Store], url: str) -> None:
    assert store.accounts() == []
    for account in (EVE, ADA):
        store.put_account(account)
    assert open_store(url).accounts() == [ADA, EVE]
    changed = replace(ADA, role="read", password="$argon2id$other")
    store.put_account(changed)
    assert store.accounts() == [changed, EVE]


def test_sessions_are_kept_whole(store: Store, open_store: Callable[[str], Store], url: str) -> None:
    store.put_account(ADA)
    kept = [session("a", account="ada"), session("b", token="t1")]
    for each in kept:
        store.add_session(each)
    assert sorted(open_store(url).sessions(T0), key=lambda each: each.digest) == kept


def test_a_session_ends_alone_with_its_account_or_in_time(store: Store) -> None:
    for account in (ADA, EVE):
        store.put_account(account)
    for each in (
        session("a1", account="ada"), session("a2", account="ada"), session("e", account=EVE.name),
        session("t", token="t1"), session("short", token="t1", hours=1),
    ):  # fmt: skip
        store.add_session(each)
    store.remove_session("a1")
    store.remove_session("never was")
    assert digests(store) == ["a2", "e", "short", "t"]
    assert digests(store, T0 + HOUR) == ["a2", "e", "t"], "the hour is over"
    assert digests(store) == ["a2", "e", "t"], "and it is forgotten"
    store.remove_sessions_of("ada")
    assert digests(store) == ["e", "t"]
    assert store.remove_account(EVE.name)
    assert not store.remove_account(EVE.name)
    assert (digests(store), store.accounts()) == (["t"], [ADA])


def test_a_new_session_takes_the_place_of_others(store: Store) -> None:
    for digest in ("a", "b", "c"):
        store.add_session(session(digest, token="t1"))
    store.add_session(session("over", token="t1", hours=1))
    late = Session("d", "t1", None, T0 + 2 * HOUR, T0 + 5 * HOUR)
    store.add_session(late, {"a", "c", "never was"})
    assert digests(store) == ["b", "d"]


def test_a_digest_is_one_session_s(store: Store) -> None:
    store.add_session(session("a", token="t1"))
    with pytest.raises(StoreError):
        store.add_session(session("a", token="t2"))
    assert [each.token_id for each in store.sessions(T0)] == ["t1"]
