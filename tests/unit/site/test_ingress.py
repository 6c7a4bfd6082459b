"""From routes to assignments."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from isthmus.compile.intent import Cluster, Intent, Member, Place, Shape, Socket
from isthmus.health.choice import SiteChoice
from isthmus.health.event import Announced, EndOfRib, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute
from isthmus.health.table import Table
from isthmus.model.key import ObjectKey
from isthmus.model.subset import subset_mark
from isthmus.site.ingress import HEARING, LONG_PATIENCE, PATIENCE, Ingress

from .hurry import hurried

NUMBERS = {"fra": 1, "nyc": 2}


def key(name: str) -> ObjectKey:
    return ObjectKey("default", "Cluster", "shop", name)


def cluster(name: str, number: int, stale_after: int | None = None) -> Cluster:
    members = tuple(
        Member(site, number, False, (Socket("127.0.0.1", 7400),), f"{site}.test", Place(0, number), False, ())
        for site, number in NUMBERS.items()
    )
    return Cluster(key(name), number, Shape.FABRIC, "DISTRIBUTED", "ROUND_ROBIN", members, 1000, stale_after)


def route(site: int, number: int, endpoint: int = 1, weight: int = 1) -> EndpointRoute:
    return EndpointRoute(site, endpoint, number, weight, 0)


class Desk:
    def __init__(self) -> None:
        self.now = 1000.0
        self.emitted: list[str] = []
        self.pushed: list[dict[str, bytes]] = []
        self.ingress = Ingress(
            Table(),
            emit=self.emit,
            push=lambda assignments: self.pushed.append(dict(assignments)),
            local_weight=lambda _, __: 0,
            clock=lambda: self.now,
        )

    def emit(self, cluster: Cluster, choices: Mapping[str, tuple[SiteChoice, ...]]) -> dict[str, bytes]:
        self.emitted.append(cluster.key.name)
        text = ",".join(f"{each.site}:{each.state}:{each.weight}" for each in choices[""])
        return {cluster.key.name: text.encode()}

    def hear(self, *routes: EndpointRoute) -> None:
        for each in routes:
            self.ingress.hear(Announced("eu", each))


INTENT = Intent("default", "ams", number=9, clusters=(cluster("web", 5), cluster("api", 6)), imports=(5, 6))


async def test_every_cluster_has_an_assignment_from_the_start() -> None:
    assert Desk().ingress.use(INTENT) == {"web": b"", "api": b""}


async def test_events_of_one_turn_make_one_push_of_what_they_touch() -> None:
    desk = Desk()
    desk.ingress.use(INTENT)
    desk.emitted.clear()
    desk.ingress.hear(SessionUp("eu"))
    desk.hear(route(1, 5), route(2, 5), route(1, 5, weight=3))
    assert desk.pushed == []
    await asyncio.sleep(0)
    assert desk.pushed == [{"web": b"fra:HEALTHY:3,nyc:HEALTHY:1"}]
    assert desk.emitted == ["web"]
    desk.ingress.hear(EndOfRib("eu"))
    desk.ingress.hear(Withdrawn("eu", EndpointKey(1, 1)))
    await asyncio.sleep(0)
    assert desk.pushed[-1] == {"web": b"nyc:HEALTHY:1"}
    desk.ingress.stop()


async def test_events_that_change_nothing_push_nothing() -> None:
    desk = Desk()
    desk.ingress.use(INTENT)
    desk.ingress.hear(SessionUp("eu"))
    desk.hear(route(1, 5))
    await asyncio.sleep(0)
    desk.pushed.clear()
    desk.hear(route(1, 5), route(1, 77, endpoint=2))
    await asyncio.sleep(0)
    assert desk.pushed == []
    desk.ingress.stop()


async def test_what_the_next_intent_has_unchanged_is_not_chosen_anew() -> None:
    desk = Desk()
    desk.ingress.use(INTENT)
    desk.ingress.hear(SessionUp("eu"))
    desk.hear(route(1, 5))
    await asyncio.sleep(0)
    desk.emitted.clear()
    changed = Intent("default", "ams", number=9, clusters=(INTENT.clusters[0], cluster("new", 8)), imports=(5, 8))
    assert desk.ingress.use(changed) == {"web": b"fra:HEALTHY:1", "new": b""}
    assert desk.emitted == ["new"]
    assert desk.ingress.choice(key("api")) == ()
    desk.ingress.stop()


async def test_a_stale_endpoint_is_degraded_after_a_while_and_removed_after_its_limit() -> None:
    desk = Desk()
    desk.ingress.use(Intent("default", "ams", number=9, clusters=(cluster("web", 5, 60_000),), imports=(5,)))
    desk.ingress.hear(SessionUp("eu"))
    desk.hear(route(1, 5))
    desk.ingress.forget_session("eu")
    await asyncio.sleep(0)
    for passed, expected in ((11.0, b"fra:DEGRADED:1"), (61.0, b"")):
        desk.now = 1000.0 + passed
        desk.ingress._expire()  # the timer's callback; the clock here is the test's
        await asyncio.sleep(0)
        assert desk.pushed[-1] == {"web": expected}
    desk.ingress.stop()


async def test_sites_are_chosen_for_every_subset() -> None:
    desk = Desk()
    web = replace(cluster("web", 5), subsets=("v1", "v2"), fallback=None)
    desk.ingress.use(replace(INTENT, clusters=(web,), imports=(5,)))
    desk.hear(
        replace(route(1, 5), subsets=frozenset({subset_mark("v1")})),
        replace(route(2, 5), subsets=frozenset({subset_mark("v1"), subset_mark("v2")})),
    )
    await asyncio.sleep(0)
    sites = {subset: [each.site for each in desk.ingress.choice(web.key, subset)] for subset in ("", "v1", "v2")}
    assert sites == {"": ["fra", "nyc"], "v1": ["fra", "nyc"], "v2": ["nyc"]}
    assert (web.key, "v2") in desk.ingress.choices()
    desk.ingress.stop()


@pytest.mark.parametrize(
    ("remembers", "live", "patience"),
    [(False, False, LONG_PATIENCE + HEARING), (True, False, PATIENCE + HEARING), (False, True, HEARING)],
    ids=["nothing is known", "something is remembered", "a region tells"],
)
async def test_word_of_a_new_cluster_is_waited_for_within_bounds(
    *, remembers: bool, live: bool, patience: float
) -> None:
    desk = Desk()
    desk.ingress.use(INTENT)
    desk.ingress.hear(SessionUp("eu"))
    if remembers:
        desk.hear(route(1, 6))
    if live:
        desk.ingress.hear(EndOfRib("eu"))
    with hurried() as waited:
        begun = asyncio.get_running_loop().time()
        await desk.ingress.heard((5,))
        assert asyncio.get_running_loop().time() - begun >= patience
        assert waited() <= patience + 0.1  # the loop's clock is no finer than its selector's
    desk.ingress.stop()


async def test_what_is_known_or_comes_in_time_is_not_waited_for_any_longer() -> None:
    desk = Desk()
    desk.ingress.use(INTENT)
    heard = asyncio.ensure_future(desk.ingress.heard((5, 6)))
    await asyncio.sleep(0)
    desk.hear(route(1, 5))
    await asyncio.sleep(0)
    assert not heard.done()
    with hurried() as waited:
        desk.hear(route(2, 6))
        await heard
        await desk.ingress.heard((5, 6))
        assert waited() == 0
    desk.ingress.stop()
