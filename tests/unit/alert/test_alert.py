"""Alerts over time."""

from __future__ import annotations

from isthmus.alert.alert import MOST, OF_NAMESPACE, OF_SITE, REMEMBERED, RULES, Alerts, AlertState, Condition

OFFLINE = Condition("site-offline", "Site fra", "Site fra is connected to no region.")
LOST = Condition("telemetry-lost", "Site fra: buffer", "Nothing is told of 4 requests.")
HOLD = RULES["site-offline"].hold


def states(alerts: Alerts) -> list[tuple[str, AlertState]]:
    return [(each.condition.rule, each.state) for each in alerts.list()]


def test_a_condition_fires_once_it_has_held_for_long_enough() -> None:
    alerts = Alerts()
    assert alerts.update([OFFLINE], 100) == []
    assert states(alerts) == [("site-offline", AlertState.PENDING)]
    assert alerts.update([OFFLINE], 100 + HOLD - 1) == []
    [fired] = alerts.update([OFFLINE], 100 + HOLD)
    assert (fired.state, fired.since, fired.fired_at) == (AlertState.FIRING, 100, 100 + HOLD)
    assert alerts.update([OFFLINE], 101 + HOLD) == []


def test_a_condition_that_comes_and_goes_troubles_nobody() -> None:
    alerts = Alerts()
    alerts.update([OFFLINE], 100)
    assert alerts.update([], 110) == []
    assert alerts.list() == []
    alerts.update([OFFLINE], 100 + HOLD)
    assert states(alerts) == [("site-offline", AlertState.PENDING)]


def test_an_alert_is_resolved_and_then_forgotten() -> None:
    alerts = Alerts()
    [fired] = alerts.update([LOST], 100)
    assert fired.state is AlertState.FIRING
    [resolved] = alerts.update([], 200)
    assert (resolved.state, resolved.resolved_at) == (AlertState.RESOLVED, 200)
    assert alerts.update([], 200 + REMEMBERED) == []
    assert states(alerts) == [("telemetry-lost", AlertState.RESOLVED)]
    [again] = alerts.update([LOST], 300)
    assert (again.since, again.resolved_at) == (300, None)
    alerts.update([], 400)
    alerts.update([], 401 + REMEMBERED)
    assert alerts.list() == []


def test_what_could_not_be_looked_at_stays_as_it_is() -> None:
    alerts = Alerts()
    alerts.update([LOST], 100)
    assert alerts.update([], 200, unknown=lambda condition: condition.rule == "telemetry-lost") == []
    assert states(alerts) == [("telemetry-lost", AlertState.FIRING)]


def test_the_worst_comes_first() -> None:
    alerts = Alerts()
    alerts.update([LOST, OFFLINE], 100)
    alerts.update([LOST, OFFLINE], 100 + HOLD)
    assert [rule for rule, _ in states(alerts)] == ["site-offline", "telemetry-lost"]


def endpoints(number: int, site: str = "fra") -> list[Condition]:
    """At twenty sites."""
    names = [f"{site}-{each % 20}" for each in range(number)]
    return [
        Condition("endpoint-down", f"Site {name}: web-{each}", "It is unhealthy.", name)
        for each, name in enumerate(names)
    ]


def test_a_new_alert_takes_the_place_of_the_oldest_that_is_over() -> None:
    alerts, hold = Alerts(), RULES["endpoint-down"].hold
    down = endpoints(MOST)
    alerts.update(down, 100)
    assert len(alerts.update(down, 100 + hold)) == MOST
    alerts.update(down[1:], 110 + hold)
    alerts.update([], 120 + hold)
    alerts.update([OFFLINE], 130 + hold)
    [fired] = alerts.update([OFFLINE], 130 + hold + HOLD)
    assert fired.condition == OFFLINE
    known = {each.condition.subject for each in alerts.list()}
    assert len(known) == MOST
    assert down[0].subject not in known, "it was over first"
    alerts.update([OFFLINE, *endpoints(MOST, "nyc")], 140 + hold + HOLD)
    assert {each.condition.site[:3] for each in alerts.list()} == {"", "nyc"}, "those that are over are in nobody's way"
    assert len(alerts.list()) == MOST


def test_a_critical_alert_takes_the_place_of_the_oldest_warning() -> None:
    alerts = Alerts()
    down = endpoints(MOST)
    alerts.update(down[:1], 100)
    alerts.update(down, 110)
    alerts.update([*down, LOST, OFFLINE], 120)
    known = {each.condition.subject for each in alerts.list()}
    assert known == {OFFLINE.subject, *(each.subject for each in down[1:])}, "a warning takes no other warning's place"
    fired = alerts.update([*down, OFFLINE], 120 + HOLD)
    assert [each.condition for each in fired] == [OFFLINE]


def invented(number: int, rule: str = "cluster-down", site: str = "liar", namespace: str = "") -> list[Condition]:
    return [Condition(rule, f"Site {site}: {each}", "It is down.", site, namespace) for each in range(number)]


def test_what_one_site_says_takes_no_place_of_another() -> None:
    alerts, true = Alerts(), Condition("endpoint-down", "Site fra: web", "It is unhealthy.", "fra")
    alerts.update([true, *invented(MOST + 1000)], 100)
    assert len(alerts.list()) == 1 + OF_SITE
    assert alerts.left_out == {"Site liar": MOST + 1000 - OF_SITE}
    alerts.update([true, *invented(MOST + 1000), OFFLINE], 110)
    assert {true, OFFLINE} <= {each.condition for each in alerts.list()}
    offline = Condition("site-offline", "Site liar", "It is offline.", "liar")
    alerts.update([offline, true], 120, unknown=lambda each: each.site == "liar")
    assert offline in {each.condition for each in alerts.list()}, "what it says does not hide that it is gone"
    assert alerts.left_out == {}


def test_invented_receivers_take_the_part_of_their_site() -> None:
    alerts = Alerts()
    alerts.update([*invented(MOST, "telemetry-receiver"), LOST], 100)
    assert len(alerts.list()) == OF_SITE + 1
    assert alerts.left_out == {"Site liar": MOST - OF_SITE}


def test_within_its_part_the_worst_of_a_site_is_kept() -> None:
    alerts = Alerts()
    small, bad = invented(OF_SITE, "endpoint-down"), invented(1)
    alerts.update([*small, *bad], 100)
    assert len(alerts.list()) == OF_SITE
    assert bad[0] in {each.condition for each in alerts.list()}


def test_one_namespace_takes_no_place_of_another() -> None:
    alerts = Alerts()
    loud = [each for site in range(20) for each in invented(200, site=f"s{site}", namespace="loud")]
    quiet = invented(1, site="fra", namespace="quiet")
    alerts.update([*loud, *quiet], 100)
    assert len(alerts.list()) == OF_NAMESPACE + 1
    assert quiet[0] in {each.condition for each in alerts.list()}
    assert alerts.left_out == {"Namespace loud": 4000 - OF_NAMESPACE}
    hosts = [Condition("error-rate", f"VirtualHost x/{each}", "It fails.") for each in range(2000)]
    alerts.update([*loud, *quiet, *hosts], 110)
    assert alerts.left_out["Undeclared virtual hosts"] == 2000 - OF_NAMESPACE


def test_a_full_room_has_a_place_for_what_the_console_sees() -> None:
    alerts = Alerts()
    full = [each for site in range(10) for each in invented(OF_SITE, site=f"s{site}")]
    alerts.update(full, 100)
    assert len(alerts.list()) == MOST
    alerts.update([*full, OFFLINE], 110)
    alerts.update([*full, OFFLINE], 120)
    assert OFFLINE in {each.condition for each in alerts.list()}
    assert (len(alerts.list()), alerts.left_out) == (MOST, {"All": 1})
