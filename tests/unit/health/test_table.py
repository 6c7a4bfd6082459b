"""The table, as a dialogue with two regions."""

import pytest

from isthmus.health.event import Announced, EndOfRib, SessionDown, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute
from isthmus.health.table import SessionState, Table, TableError, parse_table


def route(endpoint: int, cluster: int = 10, weight: int = 1, site: int = 2, changed_at: int = 0) -> EndpointRoute:
    return EndpointRoute(site, endpoint, cluster, weight, changed_at)


def live(*sessions: str) -> Table:
    table = Table(confirm_within=20)
    for session in sessions:
        table.apply(SessionUp(session), 0)
        table.apply(EndOfRib(session), 0)
    table.expire(20, {})
    return table


def seen(table: Table, cluster: int = 10) -> dict[int, float | None]:
    """Endpoint number to stale since."""
    return {entry.route.endpoint: entry.stale_since for entry in table.entries(cluster)}


def test_announce_and_withdraw() -> None:
    table = live("eu")
    assert table.apply(Announced("eu", route(1)), 30) == {10}
    assert table.apply(Announced("eu", route(2, weight=5)), 31) == {10}
    assert seen(table) == {1: None, 2: None}
    assert table.apply(Withdrawn("eu", EndpointKey(2, 1)), 32) == {10}
    assert seen(table) == {2: None}
    assert [entry.heard_at for entry in table.entries(10)] == [31]


def test_an_endpoint_that_changes_its_cluster() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1, cluster=10)), 30)
    assert table.apply(Announced("eu", route(1, cluster=20)), 31) == {10, 20}
    assert (seen(table, 10), seen(table, 20)) == ({}, {1: None})


def test_a_lost_session_makes_stale_and_removes_nothing() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1)), 30)
    assert table.apply(SessionDown("eu"), 40) == {10}
    assert table.apply(SessionDown("eu"), 50) == frozenset()
    assert table.expire(10**9, {}) == frozenset()
    assert seen(table) == {1: 40}


def test_what_is_not_confirmed_goes_only_some_time_after_end_of_rib() -> None:
    table = live("eu")
    for endpoint in (1, 2):
        table.apply(Announced("eu", route(endpoint)), 30)
    table.apply(SessionDown("eu"), 40)
    table.apply(SessionUp("eu"), 1000)
    assert table.deadline({}) is None
    table.apply(Announced("eu", route(1)), 1001)
    table.apply(EndOfRib("eu"), 1002)
    assert table.sessions() == {"eu": SessionState.LIVE}
    assert table.deadline({}) == 1022
    table.expire(1021, {})
    assert seen(table) == {1: None, 2: 40}
    assert table.expire(1022, {}) == {10}
    assert seen(table) == {1: None}


def test_a_session_lost_again_before_the_sweep_sweeps_nothing() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1)), 30)
    table.apply(SessionDown("eu"), 40)
    table.apply(SessionUp("eu"), 41)
    table.apply(EndOfRib("eu"), 42)
    table.apply(SessionDown("eu"), 43)
    table.expire(1000, {})
    assert seen(table) == {1: 40}


def test_a_withdrawal_while_synchronising_counts_only_for_what_was_said_since() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1)), 30)
    table.apply(SessionDown("eu"), 40)
    table.apply(SessionUp("eu"), 50)
    table.apply(Announced("eu", route(2)), 51)
    assert table.apply(Withdrawn("eu", EndpointKey(2, 1)), 52) == frozenset()
    table.apply(Withdrawn("eu", EndpointKey(2, 2)), 53)
    assert seen(table) == {1: 40}


def test_a_route_that_one_of_two_regions_withdraws_stays_while_the_other_is_up() -> None:
    table = live("eu", "us")
    for session in ("eu", "us"):
        table.apply(Announced(session, route(1)), 30)
    table.apply(Withdrawn("eu", EndpointKey(2, 1)), 31)
    assert [entry.sessions for entry in table.entries(10)] == [("us",)]
    table.apply(Withdrawn("us", EndpointKey(2, 1)), 32)
    assert seen(table) == {}


def test_a_live_withdrawal_outweighs_the_memory_of_a_lost_session() -> None:
    table = live("eu", "us")
    for session in ("eu", "us"):
        table.apply(Announced(session, route(1)), 30)
    table.apply(SessionDown("us"), 31)
    assert seen(table) == {1: None}
    table.apply(Withdrawn("eu", EndpointKey(2, 1)), 32)
    assert seen(table) == {}


def test_a_region_that_has_lost_the_site_does_not_make_stale_what_another_confirms() -> None:
    table = live("eu", "us")
    table.apply(Announced("eu", route(1, weight=1, changed_at=5), origin_stale=True), 30)
    assert seen(table) == {1: 30}
    table.apply(Announced("us", route(1, weight=2, changed_at=4)), 31)
    (entry,) = table.entries(10)
    assert (entry.stale_since, entry.route.weight) == (None, 2)
    table.apply(SessionDown("us"), 40)
    (entry,) = table.entries(10)
    assert (entry.stale_since, entry.route.weight) == (40, 1)


def test_the_newest_change_of_two_fresh_sources_counts() -> None:
    table = live("eu", "us")
    table.apply(Announced("eu", route(1, weight=1, changed_at=5)), 30)
    table.apply(Announced("us", route(1, weight=2, changed_at=4)), 31)
    assert [entry.route.weight for entry in table.entries(10)] == [1]


def test_stale_after() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1)), 30)
    table.apply(Announced("eu", route(2, cluster=20)), 30)
    table.apply(SessionDown("eu"), 40)
    assert table.deadline({10: 60}) == 100
    assert table.expire(99, {10: 60}) == frozenset()
    assert table.expire(100, {10: 60}) == {10}
    assert (seen(table), seen(table, 20)) == ({}, {2: 40})


def test_restored_entries_are_stale_until_they_are_confirmed() -> None:
    before = live("eu")
    for endpoint in (1, 2):
        before.apply(Announced("eu", route(endpoint)), 30)
    table = parse_table(before.emit(100), confirm_within=20)
    assert seen(table) == {1: 100, 2: 100}
    table.apply(SessionDown("eu"), 200)
    assert seen(table) == {1: 100, 2: 100}
    table.apply(SessionUp("eu"), 201)
    table.apply(Announced("eu", route(1)), 202)
    table.apply(EndOfRib("eu"), 203)
    assert seen(table) == {1: None, 2: 100}
    table.expire(223, {})
    assert seen(table) == {1: None}


def test_entries_of_a_region_that_is_no_longer_used_go_with_the_next_ones_sweep() -> None:
    table = live("eu", "us")
    table.apply(Announced("us", route(1)), 30)
    assert table.forget_session("us", 40) == {10}
    table.expire(1000, {})
    assert seen(table) == {1: 40}
    table.apply(SessionUp("eu"), 1001)
    table.apply(EndOfRib("eu"), 1002)
    table.expire(1022, {})
    assert seen(table) == {}


def test_entries_of_a_region_that_is_only_down_stay() -> None:
    table = live("eu", "us")
    table.apply(Announced("us", route(1)), 30)
    table.apply(SessionDown("us"), 40)
    table.apply(SessionUp("eu"), 41)
    table.apply(EndOfRib("eu"), 42)
    table.expire(1000, {})
    assert seen(table) == {1: 40}


def test_retain_forgets_other_clusters() -> None:
    table = live("eu")
    table.apply(Announced("eu", route(1, cluster=10)), 30)
    table.apply(Announced("eu", route(2, cluster=20)), 30)
    assert table.retain({20, 30}) == {10}
    assert table.clusters() == {20}


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"format":2,"savedAt":0,"entries":[]}', b'{"format":1,"savedAt":0,"entries":[{}]}', b"\xff"],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(TableError):
        parse_table(data)
