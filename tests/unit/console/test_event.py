"""Events of many sites, one of which says too much."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from isthmus.console import event_log
from isthmus.console.event_log import EventLog
from isthmus.console.recent import KEPT, OF_NAMESPACE, OF_SUBJECT, RecentEvents
from isthmus.console.record import Event
from isthmus.console.watch import Watch
from isthmus.protocol import StatusReport

from .conftest import Running

LOUD, QUIET = "default/site/loud", "default/site/quiet"


def event(number: int, subject: str, namespace: str = "") -> Event:
    key = f"default/Endpoint/{namespace}/web" if namespace else ""
    return Event(number, time.time(), "bad", subject, "endpoint is unhealthy", key)


def report(subject: str, healthy: bool, count: int, namespace: str = "shop") -> StatusReport:
    endpoints = [
        {"cluster": "c", "endpoint": f"default/Endpoint/{namespace}/e{each}", "healthy": healthy, "since": 1.0}
        for each in range(count)
    ]
    return StatusReport(subject, json.dumps({"endpoints": endpoints}).encode(), time.time())


def test_a_site_pushes_out_its_own_alone() -> None:
    recent = RecentEvents()
    recent.add(event(1, QUIET))
    for number in range(2, 3 * KEPT):
        recent.add(event(number, LOUD))
    found = list(recent.newest_first())
    assert [each.number for each in found] == [*range(3 * KEPT - 1, 3 * KEPT - 1 - OF_SUBJECT, -1), 1]
    assert [each.number for each in recent.after(3 * KEPT - 3)] == [3 * KEPT - 2, 3 * KEPT - 1]


def test_a_namespace_pushes_out_its_own_alone() -> None:
    recent = RecentEvents()
    recent.add(event(1, QUIET, "quiet"))
    for number in range(2, 3 * KEPT):
        recent.add(event(number, f"default/site/s{number % 50}", "loud"))
    found = list(recent.newest_first())
    assert len(found) == OF_NAMESPACE + 1
    assert found[-1].number == 1


def test_no_more_than_so_many_are_remembered() -> None:
    recent = RecentEvents()
    for number in range(1, 2 * KEPT):
        recent.add(event(number, f"default/site/s{number % 50}"))
    assert [each.number for each in recent.newest_first()] == list(range(2 * KEPT - 1, KEPT - 1, -1))


async def test_events_of_others_stay_on_disk_and_what_goes_is_counted(
    shop: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_log, "PARTS", {"subject": 300, "namespace": 500})
    context, watch = shop.console.context, Watch()
    with shop.console.context.store._transaction() as connection:
        connection.exec_driver_sql("DELETE FROM event")
    log = EventLog(context.deployment, context.store, watch)

    async def flap(subject: str, count: int, namespace: str = "shop") -> None:
        watch.feed_status(report(subject, True, count, namespace))
        watch.feed_status(report(subject, False, count, namespace))
        await log.flush()

    async def kept(subject: str) -> int:
        return len(await log.page(100_000, None, subject, "", ""))

    await flap(QUIET, 1, "calm")
    for _ in range(20):
        await flap(LOUD, 50)
    assert await kept(QUIET) == 1
    assert 300 <= await kept(LOUD) <= 330
    for site in range(8):
        await flap(f"default/site/other-{site}", 100)
    everything = await log.page(100_000, None, "", "", "default/Endpoint/shop/")
    assert 500 <= len(everything) <= 550, "of the namespace at all sites"
    assert await kept(QUIET) == 1
    before = log.dropped
    assert before > 0
    await flap(LOUD, OF_SUBJECT + 70)
    assert log.dropped >= before + 70, "those that were too many at once are counted too"
    shop.console.context.metrics.events = log
    text = shop.console.context.metrics.text().decode()
    assert f"isthmus_events_dropped_total {float(log.dropped)}" in text


async def test_a_console_goes_on_from_what_is_on_disk(shop: Running) -> None:
    context: Any = shop.console.context
    watch = Watch()
    log = EventLog(context.deployment, context.store, watch)
    await log.load()
    watch.feed_status(report(QUIET, True, 2))
    watch.feed_status(report(QUIET, False, 2))
    assert len(watch.unsaved()) == 2
    await log.flush()
    again = Watch()
    await EventLog(context.deployment, context.store, again).load()
    assert again.number == watch.number
    assert [each.number for each in again.events()] == [each.number for each in watch.events()]
    assert again.unsaved() == []
