"""What a site announces, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.health.announcer import (
    AnnouncementPlan,
    Announcer,
    EndpointNumbers,
    HealthyEndpoint,
    NumbersError,
    parse_numbers,
)
from isthmus.health.route import EndpointKey, EndpointRoute

NUMBERS = EndpointNumbers().allocate(["a", "b"])


def test_numbers_are_kept_and_never_given_twice() -> None:
    numbers = EndpointNumbers().allocate(["b", "a"])
    assert numbers.by_name == {"a": 1, "b": 2}
    assert numbers.allocate(["a"]) is numbers
    fewer = numbers.retain(["a"])
    assert fewer.by_name == {"a": 1}
    assert fewer.allocate(["b"]).by_name == {"a": 1, "b": 3}
    assert parse_numbers(fewer.emit()) == fewer


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"next":1,"numbers":{"a":1}}',
        b'{"next":3,"numbers":{"a":1,"b":1}}',
        b'{"next":0,"numbers":{}}',
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NumbersError):
        parse_numbers(data)


def test_health_goes_out_at_once() -> None:
    announcer = Announcer(7)
    plan = announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100.5)
    assert plan == AnnouncementPlan(announce=(EndpointRoute(7, 1, 10, 5, 100500),))
    assert announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100.6) == AnnouncementPlan()
    assert announcer.plan({}, NUMBERS, 100.7) == AnnouncementPlan(withdraw=(EndpointKey(7, 1),))
    plan = announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100.8)
    assert [route.changed_at for route in plan.announce] == [100800]


def test_changes_of_weight_alone_wait_for_a_second() -> None:
    announcer = Announcer(7)
    announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100)
    assert announcer.plan({"a": HealthyEndpoint(10, 6)}, NUMBERS, 100.2) == AnnouncementPlan(next_at=101)
    assert announcer.plan({"a": HealthyEndpoint(10, 7)}, NUMBERS, 100.4) == AnnouncementPlan(next_at=101)
    plan = announcer.plan({"a": HealthyEndpoint(10, 7)}, NUMBERS, 101)
    assert [route.weight for route in plan.announce] == [7]
    plan = announcer.plan({"a": HealthyEndpoint(10, 8)}, NUMBERS, 50)
    assert [route.weight for route in plan.announce] == [8], "the clock was set back"
    assert plan.next_at is None


def test_a_weight_that_comes_back_says_nothing() -> None:
    announcer = Announcer(7)
    announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100)
    announcer.plan({"a": HealthyEndpoint(10, 6)}, NUMBERS, 100.2)
    assert announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 101) == AnnouncementPlan()


def test_draining_does_not_wait() -> None:
    announcer = Announcer(7)
    announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100)
    plan = announcer.plan({"a": HealthyEndpoint(10, 4, draining=True)}, NUMBERS, 100.1)
    assert [(route.weight, route.draining) for route in plan.announce] == [(4, True)]


def test_what_is_announced_already_is_not_announced_again() -> None:
    announcer = Announcer(7)
    known = (EndpointRoute(7, 1, 10, 5, 1), EndpointRoute(7, 9, 10, 5, 1))
    announcer.adopt(known)
    assert announcer.announced() == known
    plan = announcer.plan({"a": HealthyEndpoint(10, 5), "b": HealthyEndpoint(10, 5)}, NUMBERS, 100)
    assert [route.endpoint for route in plan.announce] == [2]
    assert plan.withdraw == (EndpointKey(7, 9),)
    assert [route.endpoint for route in announcer.announced()] == [1, 2]


Round = tuple[dict[str, HealthyEndpoint], bool]
DESIRED = st.dictionaries(
    st.sampled_from("abcd"), st.builds(HealthyEndpoint, st.just(10), st.integers(1, 2), st.booleans())
)


@given(st.lists(st.tuples(DESIRED, st.booleans())))
def test_a_plan_is_the_difference_from_all_that_is_announced(rounds: list[Round]) -> None:
    announcer, numbers = Announcer(7, weight_interval=0), EndpointNumbers()
    for now, (desired, forgotten) in enumerate(rounds, 1):
        numbers = (EndpointNumbers(numbers.next_number) if forgotten else numbers).allocate(desired)
        anew = Announcer(7, weight_interval=0)
        anew.adopt(announcer.announced())
        assert announcer.plan(desired, numbers, now) == anew.plan(desired, numbers, now)
        assert announcer.announced() == anew.announced()
        assert {route.endpoint for route in announcer.announced()} == {numbers.by_name[name] for name in desired}


def test_a_weight_that_waits_is_looked_at_again_though_nothing_else_changes() -> None:
    announcer = Announcer(7)
    announcer.plan({"a": HealthyEndpoint(10, 5)}, NUMBERS, 100)
    assert announcer.plan({"a": HealthyEndpoint(10, 6)}, NUMBERS, 100.2).next_at == 101
    assert announcer.plan({"a": HealthyEndpoint(10, 6)}, NUMBERS, 100.3).next_at == 101
    assert [route.weight for route in announcer.plan({"a": HealthyEndpoint(10, 6)}, NUMBERS, 101).announce] == [6]
