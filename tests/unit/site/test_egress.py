"""What a site announces of its endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.compile.intent import Endpoint, Hosted, Intent, Socket
from isthmus.compile.probe import HealthCheck, UdpProbe
from isthmus.engine.envoy import HealthEvent, HostHealth
from isthmus.health.announcer import AnnouncementPlan, EndpointNumbers
from isthmus.model.key import ObjectKey
from isthmus.model.subset import subset_mark
from isthmus.site.egress import DRAIN, TRANSITIONS, Egress

WEB = ObjectKey("default", "Cluster", "shop", "web")
CHECK = HealthCheck(ObjectKey("default", "HealthCheck", "shop", "http"), None, 1000, 1000, 1, 1, 0)


def key(name: str) -> ObjectKey:
    return ObjectKey("default", "Endpoint", "shop", name)


def intent(*names: str, checked: bool | int = True, drained: bool = False, weight: int = 1) -> Intent:
    endpoints = tuple(Endpoint(key(name), Socket("127.0.0.1", 8000 + ord(name)), weight) for name in names)
    hosted = Hosted(WEB, 7, "ROUND_ROBIN", 1000, (CHECK,) * int(checked), endpoints)
    return Intent("default", "fra", number=3, drained=drained, hosted=(hosted,))


class Desk:
    """An egress with everything that it says written down."""

    def __init__(self, numbers: EndpointNumbers | None = None) -> None:
        self.plans: list[AnnouncementPlan] = []
        self.touched: list[ObjectKey] = []
        self.saved: list[EndpointNumbers] = []
        self.egress = Egress(
            numbers or EndpointNumbers(),
            xds_names=lambda cluster, checks: (
                f"{cluster.name}@local",
                *(f"{cluster.name}@probe-{index}" for index in range(1, checks)),
            ),
            speak=self.plans.append,
            changed=self.note,
            save=self.saved.append,
        )
        self.egress.identify(3, ())

    def note(self, keys: Iterable[ObjectKey]) -> None:
        self.touched += keys

    def event(self, name: str, healthy: bool, now: float = 2.0, at: str = "web@local") -> None:
        self.egress.hear(HealthEvent(at, "127.0.0.1", 8000 + ord(name), healthy, "timeout", now), now)

    def announced(self) -> list[str]:
        return [each.endpoint.name for each in self.egress.endpoints() if each.announced]


def ready(*names: str, checked: bool = True) -> Desk:
    desk = Desk()
    desk.egress.reconcile([], 0.0)
    desk.egress.confirm(intent(*names, checked=checked), 1.0)
    return desk


def test_an_endpoint_is_announced_once_envoy_accepted_it_and_found_it_healthy() -> None:
    desk = Desk()
    desk.egress.reconcile([], 0.0)
    desk.event("a", True)
    assert desk.plans == []
    desk.egress.confirm(intent("a", "b"), 2.0)
    assert desk.announced() == ["a"]
    assert [(route.cluster, route.weight) for route in desk.plans[-1].announce] == [(7, 1)]
    desk.event("b", True)
    assert desk.announced() == ["a", "b"]


def test_an_endpoint_that_fails_is_withdrawn_and_its_cluster_is_chosen_anew() -> None:
    desk = ready("a")
    desk.event("a", True)
    desk.touched.clear()
    desk.event("a", False)
    assert len(desk.plans[-1].withdraw) == 1
    assert desk.touched == [WEB]
    assert desk.egress.weight(WEB) == 0
    assert desk.egress.endpoints()[0].reason == "fails its health check: timeout"


def test_a_site_without_endpoints_speaks_once_since_that_opens_its_sessions() -> None:
    desk = ready()
    desk.egress.plan(5.0)
    assert desk.plans == [AnnouncementPlan()]


def test_without_health_checks_an_accepted_endpoint_is_healthy() -> None:
    desk = ready("a", checked=False)
    assert desk.announced() == ["a"]
    assert desk.egress.weight(WEB) == 1


def test_nothing_is_said_before_envoy_was_asked() -> None:
    desk = Desk()
    desk.egress.confirm(intent("a", checked=False), 1.0)
    assert desk.plans == []
    desk.egress.reconcile([], 2.0)
    assert desk.announced() == ["a"]


def test_a_restarted_agent_says_nothing_when_nothing_has_changed() -> None:
    before = ready("a")
    before.event("a", True)
    after = Desk(before.saved[-1])
    after.egress.identify(3, before.egress.routes())
    after.egress.reconcile([HostHealth("web@local", "127.0.0.1", 8000 + ord("a"), True, False)], 9.0)
    after.egress.leave(intent("a"), 9.0)
    after.egress.confirm(intent("a"), 9.0)
    assert after.announced() == ["a"]
    assert [plan for plan in after.plans if plan.announce or plan.withdraw] == []


def test_an_adopted_envoy_is_spoken_of_before_it_has_taken_an_intent() -> None:
    """What it checks, as it finds it, and what it has unchecked; not what is only declared."""
    desk = Desk()
    known = [HostHealth("web@local", "127.0.0.1", 8000 + ord("a"), True, False)]
    desk.egress.reconcile(known, 1.0)
    (found,) = desk.egress.in_force(intent("a", "b", checked=False)).hosted
    assert [each.key for each in found.endpoints] == [key("a")]
    whole = intent("a", "b")
    assert desk.egress.in_force(whole) == whole
    desk.egress.confirm(desk.egress.in_force(whole), 1.0)
    assert desk.announced() == ["a"]


def test_an_envoy_that_connects_before_its_intent_was_confirmed_has_its_endpoints_announced() -> None:
    desk = Desk()
    desk.egress.reconcile([HostHealth("web@local", "127.0.0.1", 8000 + ord("a"), True, False)], 1.0)
    desk.egress.confirm(intent("a"), 2.0, again=True)
    assert desk.announced() == ["a"]
    desk.egress.confirm(intent("a"), 3.0)
    assert desk.announced() == ["a"]


def test_an_envoy_that_comes_back_while_something_new_is_on_its_way_says_its_findings_once() -> None:
    desk = ready("a")
    desk.event("a", True)
    desk.egress.envoy_down(3.0)
    found = [HostHealth("web@local", "127.0.0.1", 8000 + ord(name), True, False) for name in "ab"]
    desk.egress.reconcile(found, 4.0)
    desk.egress.confirm(intent("a"), 4.0, again=True)
    assert desk.announced() == ["a"]
    desk.egress.confirm(intent("a", "b"), 5.0)
    assert desk.announced() == ["a", "b"]
    desk.egress.confirm(intent("a"), 6.0)
    desk.egress.confirm(intent("a", "b"), 7.0)
    assert desk.announced() == ["a"], "what is forgotten in the end must be found anew"


def test_a_dead_envoy_withdraws_everything() -> None:
    desk = ready("a")
    desk.event("a", True)
    desk.egress.envoy_down(3.0)
    assert len(desk.plans[-1].withdraw) == 1
    desk.egress.confirm(intent("a"), 4.0)
    assert desk.announced() == []
    desk.event("a", True)
    assert desk.announced() == ["a"]


def test_a_check_that_is_added_does_not_withdraw_before_its_first_result() -> None:
    desk = ready("a", checked=False)
    desk.egress.confirm(intent("a", checked=True), 2.0)
    assert desk.announced() == ["a"]
    desk.event("a", False)
    assert desk.announced() == []


def test_a_removed_endpoint_is_withdrawn_before_it_leaves_envoy() -> None:
    desk = ready("a", "b", checked=False)
    assert desk.egress.leave(intent("b", checked=False), 2.0) is True
    assert len(desk.plans[-1].withdraw) == 1
    assert desk.announced() == ["b"]
    assert desk.egress.leave(intent("b", checked=False), 2.0) is False


def test_a_drained_site_says_so_then_withdraws_and_comes_back() -> None:
    desk = ready("a", checked=False)
    due = desk.egress.confirm(intent("a", checked=False, drained=True), 5.0)
    assert [route.draining for route in desk.plans[-1].announce] == [True]
    assert due == 5.0 + DRAIN
    desk.egress.plan(due)
    assert len(desk.plans[-1].withdraw) == 1
    desk.egress.confirm(intent("a", checked=False), 60.0)
    assert [route.draining for route in desk.plans[-1].announce] == [False]


def test_numbers_are_saved_before_they_are_used_and_never_used_again() -> None:
    desk = ready("a", checked=False)
    first = desk.plans[-1].announce[0].endpoint
    desk.egress.confirm(intent("b", checked=False), 2.0)
    assert desk.plans[-1].announce[0].endpoint == first + 1
    assert desk.saved[-1].next_number == first + 2


def test_every_health_check_must_pass() -> None:
    desk = Desk()
    desk.egress.reconcile([], 0.0)
    both = intent("a", checked=2)
    desk.egress.confirm(both, 1.0)
    desk.event("a", True)
    assert desk.announced() == []
    desk.event("a", True, at="web@probe-1")
    assert desk.announced() == ["a"]
    assert desk.egress.unhealthy(both.hosted[0]) == frozenset()
    desk.touched.clear()
    desk.event("a", False, at="web@probe-1")
    assert desk.announced() == []
    assert desk.touched == [WEB]
    assert desk.egress.unhealthy(both.hosted[0]) == {both.hosted[0].endpoints[0].socket}


def test_a_drained_endpoint_is_announced_as_draining_and_then_withdrawn() -> None:
    desk = ready("a", "b", checked=False)
    assert desk.egress.weight(WEB) == 2
    before = intent("a", "b", checked=False)
    hosted = before.hosted[0]
    endpoints = (replace(hosted.endpoints[0], drained=True), hosted.endpoints[1])
    drained = replace(before, hosted=(replace(hosted, endpoints=endpoints),))
    assert desk.egress.confirm(drained, 5.0) == 5.0 + DRAIN
    assert [each.draining for each in desk.plans[-1].announce] == [True]
    assert desk.egress.weight(WEB) == 1
    assert desk.egress.plan(5.0 + DRAIN) is None
    assert len(desk.plans[-1].withdraw) == 1
    assert desk.announced() == ["b"]
    assert desk.egress.endpoints()[0].reason == "drained, no health check"
    desk.egress.confirm(before, 30.0)
    assert desk.announced() == ["a", "b"]


def test_transitions_are_remembered_with_reason_and_time() -> None:
    desk = ready("a")
    for now, healthy in ((2.0, True), (3.0, True), (4.0, False), (5.0, True)):
        desk.event("a", healthy, now)
    transitions = desk.egress.endpoints()[0].transitions
    assert [(each.at, each.healthy) for each in transitions] == [(2.0, True), (4.0, False), (5.0, True)]
    assert transitions[1].reason == "timeout"
    for now in range(10, 40):
        desk.event("a", now % 2 == 0, float(now))
    assert len(desk.egress.endpoints()[0].transitions) == TRANSITIONS


def test_envoy_is_told_what_it_cannot_probe() -> None:
    desk = ready("a")
    hosted = replace(intent("a").hosted[0], health_checks=(replace(CHECK, udp=UdpProbe("00")),))
    desk.egress.confirm(replace(intent("a"), hosted=(hosted,)), 2.0)
    assert desk.egress.unhealthy(hosted) == frozenset()
    desk.event("a", False)
    assert desk.egress.unhealthy(hosted) == {hosted.endpoints[0].socket}


def test_subsets_are_announced_and_unserved_ones_are_known() -> None:
    desk = ready("a", "b")
    before = intent("a", "b")
    hosted = before.hosted[0]
    endpoints = tuple(
        replace(each, subsets=subsets)
        for each, subsets in zip(hosted.endpoints, (("one", "two"), ("two",)), strict=True)
    )
    hosted = replace(
        hosted, endpoints=endpoints, subsets=(("one", ("x",)), ("three", ("z",)), ("two", ("y",))), fallback=""
    )
    desk.egress.confirm(replace(before, hosted=(hosted,)), 2.0)
    desk.event("a", True)
    desk.event("b", True)
    marks = {frozenset(each.subsets) for plan in desk.plans for each in plan.announce}
    assert marks == {frozenset(map(subset_mark, ("one", "two"))), frozenset({subset_mark("two")})}
    assert [desk.egress.weight(WEB, subset) for subset in ("", "one", "two", "three")] == [2, 1, 2, 0]
    assert desk.egress.unserved(hosted) == {"three"}
    desk.event("a", False)
    assert desk.egress.unserved(hosted) == {"one", "three"}
    assert desk.egress.unserved(replace(hosted, fallback=None)) == frozenset()


def test_only_clusters_that_have_changed_are_chosen_anew() -> None:
    desk, other = Desk(), ObjectKey("default", "Cluster", "shop", "other")
    desk.egress.reconcile([], 0.0)
    first = intent("a", checked=False)
    both = replace(first, hosted=(*first.hosted, replace(intent("b", checked=False).hosted[0], key=other)))
    desk.egress.confirm(first, 1.0)
    desk.touched.clear()
    desk.egress.confirm(both, 2.0)
    assert desk.touched == [other]
    assert [each.endpoint.name for each in desk.egress.endpoints()] == ["a", "b"]
    assert len(desk.egress.routes()) == 2


CLUSTERS = tuple(ObjectKey("default", "Cluster", "shop", name) for name in ("one", "two", "three"))
HOSTED = [
    Hosted(
        cluster,
        7 + index,
        "ROUND_ROBIN",
        1000,
        (CHECK,) * checks,
        tuple(replace(intent(name).hosted[0].endpoints[0], drained=name == "d" and drained) for name in names),
    )
    for index, cluster in enumerate(CLUSTERS)
    for names in ("", "a", "bc", "abd")
    for checks in (0, 1, 2)
    for drained in (False, True)
]
INTENTS = st.tuples(*(st.sampled_from([None, *(e for e in HOSTED if e.key == key)]) for key in CLUSTERS), st.booleans())
EVENTS = st.tuples(
    st.sampled_from(CLUSTERS), st.sampled_from(("local", "probe-1")), st.sampled_from("abd"), st.booleans()
)
STEPS = st.lists(st.one_of(INTENTS, EVENTS, st.sampled_from(("plan", "down"))), max_size=12)


@given(STEPS)
def test_what_is_remembered_of_a_cluster_is_what_would_be_found_again(steps: list[Any]) -> None:
    lived, anew = Desk(), Desk()
    for desk in (lived, anew):
        desk.egress.reconcile([], 0.0)
    for now, step in enumerate(steps, 1):
        for desk in (lived, anew):
            egress, at = desk.egress, now * DRAIN / 3
            if step == "plan":
                egress.plan(at)
            elif step == "down":
                egress.envoy_down(at)
            elif len(step) == 4 and isinstance(step[1], str):
                cluster, check, name, healthy = step
                desk.event(name, healthy, at, f"{cluster.name}@{check}")
            else:
                *clusters, drained = step
                hosted = (each if desk is lived else replace(each) for each in clusters if each is not None)
                wanted = Intent("default", "fra", number=3, drained=drained, hosted=tuple(hosted))
                egress.leave(wanted, at)
                egress.confirm(wanted, at)
        assert lived.egress.endpoints() == anew.egress.endpoints()
        assert lived.egress.routes() == anew.egress.routes()
        assert lived.plans == anew.plans
        for cluster in CLUSTERS:
            assert lived.egress.weight(cluster) == anew.egress.weight(cluster)
