"""Whatever sessions say in whatever order, the table keeps its promises."""

from hypothesis import given
from hypothesis import strategies as st

from isthmus.health.event import Announced, EndOfRib, Event, SessionDown, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute
from isthmus.health.table import Entry, Table, parse_table

SESSIONS = ("eu", "us")
CLUSTERS = (1, 2)

sessions = st.sampled_from(SESSIONS)
routes = st.builds(
    EndpointRoute,
    site=st.integers(1, 2),
    endpoint=st.integers(1, 2),
    cluster=st.sampled_from(CLUSTERS),
    weight=st.integers(1, 3),
    changed_at=st.integers(0, 3),
)
keys = st.builds(EndpointKey, st.integers(1, 2), st.integers(1, 2))
events = st.one_of(
    st.builds(SessionUp, sessions),
    st.builds(EndOfRib, sessions),
    st.builds(SessionDown, sessions),
    st.builds(Announced, sessions, routes, st.booleans(), st.booleans()),
    st.builds(Withdrawn, sessions, keys),
)
dialogues = st.lists(events, max_size=40)


def _all(table: Table) -> dict[EndpointKey, Entry]:
    return {entry.route.key: entry for cluster in CLUSTERS for entry in table.entries(cluster)}


@given(dialogues)
def test_only_a_withdrawal_removes(dialogue: list[Event]) -> None:
    table = Table()
    for now, event in enumerate(dialogue):
        before = set(_all(table))
        touched = table.apply(event, now)
        gone = before - set(_all(table))
        assert gone <= ({event.key} if isinstance(event, Withdrawn) else set())
        assert touched <= set(CLUSTERS)


@given(dialogues)
def test_what_is_not_touched_has_not_changed(dialogue: list[Event]) -> None:
    table = Table()
    for now, event in enumerate(dialogue):
        before = {cluster: table.entries(cluster) for cluster in CLUSTERS}
        touched = table.apply(event, now)
        for cluster in set(CLUSTERS) - touched:
            assert table.entries(cluster) == before[cluster]


@given(dialogues)
def test_fresh_means_that_a_session_that_is_up_has_said_so(dialogue: list[Event]) -> None:
    table = Table()
    for now, event in enumerate(dialogue):
        table.apply(event, now)
        states = table.sessions()
        for entry in _all(table).values():
            if entry.stale_since is None:
                assert any(states.get(name) in ("syncing", "live") for name in entry.sessions)
            else:
                assert entry.stale_since <= now


@given(dialogues)
def test_a_table_from_disk_is_the_same_but_stale(dialogue: list[Event]) -> None:
    table = Table()
    for now, event in enumerate(dialogue):
        table.apply(event, now)
    saved_at = float(len(dialogue))
    restored = parse_table(table.emit(saved_at))
    before, after = _all(table), _all(restored)
    assert before.keys() == after.keys()
    for key, entry in after.items():
        assert entry.stale_since is not None
        assert entry.stale_since <= saved_at
        assert before[key].stale_since in (None, entry.stale_since)
        assert entry.sessions == before[key].sessions
    assert parse_table(restored.emit(saved_at + 1)).emit(0) == restored.emit(0)


@given(dialogues, st.lists(routes, max_size=4, unique_by=lambda route: route.key))
def test_after_a_full_synchronisation_the_table_is_what_the_sessions_say(
    dialogue: list[Event], truth: list[EndpointRoute]
) -> None:
    table = Table(confirm_within=20)
    for now, event in enumerate(dialogue):
        table.apply(event, now)
    for session in SESSIONS:
        table.apply(SessionDown(session), 100)
        table.apply(SessionUp(session), 101)
        for route in truth:
            table.apply(Announced(session, route), 102)
        table.apply(EndOfRib(session), 103)
    table.expire(103 + 20, {})
    entries = _all(table)
    assert {entry.route for entry in entries.values()} == set(truth)
    assert all(entry.stale_since is None for entry in entries.values())


@given(dialogues, st.floats(0.1, 50))
def test_stale_after_leaves_no_older_stale_entry(dialogue: list[Event], limit: float) -> None:
    table = Table()
    for now, event in enumerate(dialogue):
        table.apply(event, now)
    now = 60.0
    fresh = {key for key, entry in _all(table).items() if entry.stale_since is None}
    table.expire(now, dict.fromkeys(CLUSTERS, limit))
    left = _all(table)
    assert fresh <= left.keys()
    assert all(entry.stale_since is None or entry.stale_since + limit > now for entry in left.values())
    deadline = table.deadline(dict.fromkeys(CLUSTERS, limit))
    assert deadline is None or deadline > now
