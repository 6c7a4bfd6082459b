"""Who is told of what, and when."""

from __future__ import annotations

import json
from typing import Any, get_args

from isthmus.alert.alert import RULES, Alert, AlertState, Condition
from isthmus.alert.notification import GroupKey, Notification
from isthmus.alert.routing import Group, plan_notifications
from isthmus.alert.silence import Silence, parse_matcher
from isthmus.model.alert_policy import AlertPolicy, RuleName

WEB = Condition("endpoint-down", "Site fra: web-1", "web-1 is unhealthy", "fra", "shop")
API = Condition("endpoint-down", "Site ams: api-1", "api-1 is unhealthy", "ams", "shop")
OTHER = Condition("endpoint-down", "Site fra: bank-1", "bank-1 is unhealthy", "fra", "bank")
SITE = Condition("site-offline", "Site fra", "Site fra is connected to no region.", "fra")


def policy(namespace: str = "shop", **spec: Any) -> AlertPolicy:
    document = {
        "metadata": {"name": "all", "namespace": namespace},
        "spec": {
            "receivers": [{"name": "ops"}],
            "groupWait": "30s",
            "groupInterval": "5m",
            "repeatInterval": "1h",
            **spec,
        },
    }
    return AlertPolicy.model_validate_json(json.dumps(document))


def fires(condition: Condition, since: float = 0.0) -> Alert:
    return Alert(condition, AlertState.FIRING, since, since)


class Desk:
    """Plans in a row, and remembers groups between them as the console does."""

    def __init__(self, *policies: AlertPolicy) -> None:
        self.policies = policies
        self.silences: list[Silence] = []
        self.groups: dict[GroupKey, Group] = {}

    def at(self, now: float, *alerts: Alert) -> list[Notification]:
        plan = plan_notifications(alerts, self.policies, self.silences, self.groups, now, now)
        for key, group in plan.groups.items():
            if group is None:
                self.groups.pop(key, None)
            else:
                self.groups[key] = group
        return [each.notification for each in plan.due]


def subjects(told: list[Notification]) -> list[tuple[list[str], list[str]]]:
    return [([a.condition.subject for a in each.firing], [a.condition.subject for a in each.resolved]) for each in told]


def test_the_rules_that_policies_name_are_the_rules() -> None:
    assert set(get_args(RuleName)) == set(RULES)


def test_a_group_waits_then_tells_changes_and_repeats() -> None:
    desk = Desk(policy())
    web, api = fires(WEB), fires(API, 40)
    assert desk.at(0, web) == []
    assert desk.at(29, web) == []
    assert subjects(desk.at(30, web)) == [([WEB.subject], [])]
    assert desk.at(40, web, api) == []
    assert subjects(desk.at(330, web, api)) == [([WEB.subject, API.subject], [])]
    assert desk.at(700, web, api) == []
    assert subjects(desk.at(3930, web, api)) == [([WEB.subject, API.subject], [])]


def test_who_heard_that_something_fires_hears_that_it_is_over() -> None:
    desk = Desk(policy(groupWait="0s"))
    web, api = fires(WEB), fires(API)
    desk.at(0, web, api)
    assert desk.at(100, web) == []
    [told] = desk.at(300, web)
    assert subjects([told]) == [([WEB.subject], [API.subject])]
    assert (told.resolved[0].state, told.resolved[0].resolved_at) == (AlertState.RESOLVED, 300)
    assert subjects(desk.at(600)) == [([], [WEB.subject])]
    assert desk.groups == {}
    assert desk.at(10_000) == []


def test_what_was_over_before_anybody_was_told_is_not_told() -> None:
    desk = Desk(policy())
    desk.at(0, fires(WEB))
    assert desk.at(20) == []
    assert desk.groups == {}
    assert desk.at(100) == []


def test_one_that_is_over_and_fires_again_is_told_once() -> None:
    desk = Desk(policy(groupWait="0s"))
    desk.at(0, fires(WEB))
    assert subjects(desk.at(400, fires(WEB, 200))) == [([WEB.subject], [])]
    assert desk.at(800, fires(WEB, 200)) == []
    assert subjects(desk.at(900)) == [([], [WEB.subject])]


def test_a_namespace_hears_of_its_own_alone() -> None:
    alerts = [fires(WEB), fires(OTHER), fires(SITE)]
    assert subjects(Desk(policy("shop", groupWait="0s")).at(0, *alerts)) == [([WEB.subject], [])]
    assert subjects(Desk(policy("bank", groupWait="0s")).at(0, *alerts)) == [([OTHER.subject], [])]
    assert Desk(policy("empty", groupWait="0s")).at(0, *alerts) == []
    shared = Desk(policy("shared", groupWait="0s")).at(0, *alerts)
    assert subjects(shared) == [([WEB.subject, OTHER.subject, SITE.subject], [])]


def test_a_policy_sends_what_it_asks_for() -> None:
    alerts = [fires(WEB), fires(API), fires(OTHER), fires(SITE)]

    def told(**match: Any) -> set[str]:
        found = Desk(policy("shared", groupWait="0s", match=match)).at(0, *alerts)
        return {alert.condition.subject for each in found for alert in each.firing}

    assert told(severities=["critical"]) == {SITE.subject}
    assert told(sites=["fra"], rules=["endpoint-down"]) == {WEB.subject, OTHER.subject}
    assert told(namespaces=["bank"]) == {OTHER.subject}


def test_the_labels_of_a_policy_are_a_set() -> None:
    assert policy(groupBy=["SITE", "RULE", "SITE"]).spec.group_by == ("RULE", "SITE")


def test_groups_are_by_the_labels_of_the_policy() -> None:
    alerts = [fires(WEB), fires(API), fires(SITE)]
    by_site = Desk(policy("shared", groupWait="0s", groupBy=["SITE"])).at(0, *alerts)
    assert [(each.group.labels, len(each.firing)) for each in by_site] == [
        ((("site", "fra"),), 2), ((("site", "ams"),), 1),
    ]  # fmt: skip


def test_nothing_is_told_of_what_is_silent() -> None:
    desk = Desk(policy(groupWait="0s"))
    desk.silences = [Silence("s", (parse_matcher("site=fra"),), 0, 1000, "me", "work")]
    assert subjects(desk.at(0, fires(WEB), fires(API))) == [([API.subject], [])]
    assert subjects(desk.at(1000, fires(WEB), fires(API))) == [([WEB.subject, API.subject], [])]


def test_the_end_of_a_silent_alert_is_told_when_the_silence_is_over() -> None:
    desk = Desk(policy(groupWait="0s"))
    desk.at(0, fires(WEB))
    desk.silences = [Silence("s", (parse_matcher("site=fra"),), 10, 1000, "me", "work")]
    assert desk.at(500) == []
    assert subjects(desk.at(1000)) == [([], [WEB.subject])]


def test_a_policy_that_is_gone_leaves_no_groups() -> None:
    desk = Desk(policy(groupWait="0s"))
    desk.at(0, fires(WEB))
    desk.policies = ()
    assert desk.at(400) == []
    assert desk.groups == {}
