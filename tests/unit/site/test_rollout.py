"""What a site does when Envoy refuses, with the discovery server's answers played by a rule."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from isthmus.engine.envoy import Nack, Push
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.site.inventory import Inventory, Refusal
from isthmus.site.rollout import Rollout, Superseded

from .test_inventory import CLUSTER, ROUTE, bodies, cluster, receive, route

SITE = ObjectKey("default", "Site", "", "fra")
Plan = Mapping[ObjectKey, Object]


class Rule:
    """Refuses every plan that holds one of the `bad` objects."""

    def __init__(self, inventory: Inventory, *bad: Object) -> None:
        self.bad = bad
        self.superseded = asyncio.Event()
        self.plans: list[Plan] = []
        self.objects: dict[ObjectKey, Object | None] = {}
        self.rollout = Rollout(inventory, self.build, self.push, self.superseded, SITE)

    async def build(self, changed: Mapping[ObjectKey, Object | None]) -> Plan:
        self.objects |= changed
        return {key: obj for key, obj in self.objects.items() if obj is not None}

    def push(self, plan: Plan) -> Push:
        self.plans.append(plan)
        push = Push([("type", "resource")])
        bad = [obj for obj in self.bad if obj in plan.values()]
        push.settle(("type", "resource"), Nack("type", "resource", "1", f"no {bad[0].key}") if bad else None)
        return push


async def test_everything_is_accepted() -> None:
    inventory = Inventory({})
    receive(inventory, bodies(cluster(), route()))
    outcome = await Rule(inventory).rollout.apply()
    assert outcome.refusals == {}
    assert set(outcome.changed) == {str(CLUSTER), str(ROUTE)}
    assert inventory.changed() == []


async def test_the_refused_object_keeps_its_good_version_and_the_others_move_on() -> None:
    inventory = Inventory(bodies(cluster("1s"), route(prefix="/a")))
    receive(inventory, bodies(cluster("2s"), route(prefix="/b")))
    rule = Rule(inventory, cluster("2s"))
    outcome = await rule.rollout.apply()
    assert outcome.plan == {CLUSTER: cluster("1s"), ROUTE: route(prefix="/b")}
    assert [(key, refusal.code) for key, refusal in outcome.refusals.items()] == [(CLUSTER, "refused-by-envoy")]
    assert str(CLUSTER) in outcome.refusals[CLUSTER].message

    tried = len(rule.plans)
    receive(inventory, bodies(cluster("2s"), route(prefix="/c")))
    outcome = await rule.rollout.apply()
    assert len(rule.plans) == tried + 1  # what is known to be refused is not tried again
    assert CLUSTER in outcome.refusals

    receive(inventory, bodies(cluster("3s"), route(prefix="/c")))
    assert (await rule.rollout.apply()).refusals == {}


async def test_a_cause_outside_of_all_objects_is_the_sites() -> None:
    inventory = Inventory(bodies(cluster("1s")))
    receive(inventory, bodies(cluster("2s")))
    outcome = await Rule(inventory, cluster("1s"), cluster("2s")).rollout.apply()
    assert set(outcome.refusals) == {CLUSTER, SITE}


async def test_a_newer_manifest_interrupts() -> None:
    inventory = Inventory({})
    receive(inventory, bodies(cluster()))
    rule = Rule(inventory)
    rule.rollout = Rollout(inventory, rule.build, lambda plan: Push([("never", "answered")]), rule.superseded, SITE)
    task = asyncio.create_task(rule.rollout.apply())
    await asyncio.sleep(0)
    rule.superseded.set()
    with pytest.raises(Superseded):
        await task
    assert inventory.changed() == [CLUSTER]


async def test_users_of_a_new_object_that_is_refused_are_held_back_and_say_so() -> None:
    inventory = Inventory(bodies(route("old")))
    receive(inventory, bodies(cluster(), route("web")))
    outcome = await Rule(inventory, cluster()).rollout.apply()
    assert outcome.plan == {ROUTE: route("old")}
    assert {key: refusal.code for key, refusal in outcome.refusals.items()} == {
        CLUSTER: "refused-by-envoy",
        ROUTE: "held-back",
    }


async def test_what_the_plan_can_do_without_reverts_nothing_and_is_told() -> None:
    inventory = Inventory(bodies(cluster("1s")))
    receive(inventory, bodies(cluster("2s"), route()))
    rule = Rule(inventory, cluster("2s"))
    told = Refusal(str(CLUSTER), "spare", "", "it does without")

    def excuse(plan: Plan, nack: Nack) -> dict[ObjectKey, Refusal]:
        assert (plan[CLUSTER], nack.message) == (cluster("2s"), f"no {CLUSTER}")
        return {CLUSTER: told}

    rule.rollout = Rollout(inventory, rule.build, rule.push, rule.superseded, SITE, excuse)
    outcome = await rule.rollout.apply()
    assert (outcome.plan, outcome.refusals) == ({CLUSTER: cluster("2s"), ROUTE: route()}, {CLUSTER: told})
    assert len(rule.plans) == 1, "nothing else is tried"
    assert inventory.changed() == []
    rule.bad = ()
    assert (await rule.rollout.apply()).refusals == {}
