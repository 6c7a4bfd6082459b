"""The embedded store, really running: exactly once, readers that can only read, and what a crash leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.catalog import ApiCatalog
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.identity import Identity, Role
from isthmus.telemetry.batch import Batch, emit_batch
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.embedded import ROWS
from isthmus.telemetry.gauge import Gauge, frame_of
from isthmus.telemetry.intake import Intake
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.question import (
    Question,
    Selection,
    ask_gauges,
    ask_latencies,
    ask_losses,
    ask_records,
    ask_signals,
)
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.rollup import latencies_of, signals_of
from isthmus.telemetry.signal import add_counts, split_latencies
from isthmus.telemetry.store import QueryRefused, StoreUnavailable, TelemetryStore, Told
from isthmus.telemetry.window import plan_window

from ...unit.telemetry.message import entry, message

pytestmark = pytest.mark.asyncio(loop_scope="module")
REGION = Identity("isthmus.test", Role.REGION, "default", "eu")


def batch(site: str, token: str, count: int, at: datetime, **values: Any) -> bytes:
    """A batch of so many requests at a moment, 5 ms each."""
    records = Decoder(Naming(site)).parse("ingress", [message(*(entry(at=at, **values) for _ in range(count)))])
    tables = {"record": records, "signal": signals_of(records), "latency": latencies_of(records)}
    return emit_batch(Batch(f"default/site/{site}", token, time.time(), count, tables, {"envoy": 2}))


async def ask(telemetry: ConsoleTelemetry, question: Question) -> list[dict[str, Any]]:
    return await telemetry.store.query(question.sql, question.parameters)


async def count(telemetry: ConsoleTelemetry, site: str, suffix_step: int = 1) -> int:
    now = time.time()
    window = plan_window(now - 600, now + 60, suffix_step, now)
    rows = await ask(telemetry, ask_signals(Selection("default", window, (), {"site": [site]})))
    return sum(int(row["requests"]) for row in rows)


async def test_gauges_are_kept_and_asked_by_step(telemetry: ConsoleTelemetry) -> None:
    now = int(time.time()) // 60 * 60
    samples = [
        (now + 0.5, [Gauge("connections_upstream", "shop/web", 4), Gauge("process_up", "envoy", 1)]),
        (now + 10.5, [Gauge("connections_upstream", "shop/web", 6), Gauge("connections_upstream", "shop/api", 1)]),
        (now - 59.5, [Gauge("connections_upstream", "shop/web", 1)]),
    ]
    body = emit_batch(Batch("default/site/gau", "g1", time.time(), 0, {"gauge": frame_of(samples)}))
    for _ in range(2):
        assert await telemetry.take(REGION, "default/site/gau", body) == ""
    window = plan_window(now - 60, now + 60, 60, time.time())
    where = {"site": ["gau"], "label": ["shop/web"]}
    rows = await ask(telemetry, ask_gauges("default", window, ["connections_upstream"], where))
    assert [(row["t"], row["mean"], row["least"], row["most"], row["total"]) for row in rows] == [
        (now - 60, 1, 1, 1, 1), (now, 5, 4, 6, 10),
    ]  # fmt: skip
    assert await ask(telemetry, ask_gauges("other", window, ["connections_upstream"], where)) == []
    other = [(now + 0.5, [Gauge("connections_upstream", "shop/web", 8), Gauge("process_up", "envoy", 1)])]
    body = emit_batch(Batch("default/site/gbu", "g2", time.time(), 0, {"gauge": frame_of(other)}))
    assert await telemetry.take(REGION, "default/site/gbu", body) == ""
    names, both = ["connections_upstream", "process_up"], {"site": ["gau", "gbu"]}
    rows = await ask(telemetry, ask_gauges("default", window, names, both, ["connections_upstream"]))
    told = [tuple(row[each] for each in ("t", "name", "site", "label", "mean", "most", "total")) for row in rows]
    assert told == [
        (now - 60, "connections_upstream", "", "", 1, 1, 1),
        (now, "connections_upstream", "", "", 5 + 1 + 8, 8, 10 + 1 + 8),
        (now, "process_up", "", "envoy", 2, 1, 2),
    ]


async def test_a_batch_that_comes_twice_counts_once_in_every_rollup(telemetry: ConsoleTelemetry) -> None:
    now = datetime.now(UTC)
    first, second = batch("ams", "1", 10, now), batch("ams", "2", 5, now - timedelta(seconds=70), code=500)
    for body in (first, second, first, second, first):
        assert await telemetry.take(REGION, "default/site/ams", body) == ""
    for step in (1, 60, 3600):
        assert await count(telemetry, "ams", step) == 15
    moment = now.timestamp()
    window = plan_window(moment - 600, moment + 60, 60, moment)
    selection = Selection("default", window, ("route",), {"site": ["ams"]})
    counts = add_counts(await ask(telemetry, ask_signals(selection)), ("route",))
    assert counts[0, ("shop/home",)].failed == 5
    places = split_latencies(await ask(telemetry, ask_latencies(selection)), [], [], ("route",))
    assert places[0, ("shop/home",)]["total"]["p50"] == pytest.approx(5, rel=0.03)
    losses = await ask(telemetry, ask_losses("default", moment - 60, moment + 60))
    assert losses == [{"role": "site", "site": "ams", "reason": "envoy", "requests": 4}]


async def test_whose_rows_they_are_is_not_theirs_to_say(telemetry: ConsoleTelemetry) -> None:
    body = batch("ams", "of-fra", 3, datetime.now(UTC))
    await telemetry.take(REGION, "default/site/fra", body)
    assert await count(telemetry, "fra") == 3


async def test_records_are_found_by_any_field(telemetry: ConsoleTelemetry) -> None:
    now = datetime.now(UTC)
    await telemetry.take(REGION, "default/site/nyc", batch("nyc", "a", 2, now, path="/cart/7", code=503))
    await telemetry.take(REGION, "default/site/nyc", batch("nyc", "b", 2, now, path="/it's 50%", total=900_000))
    moment = now.timestamp()
    for conditions, found in (
        (["site=nyc"], 4),
        (["site=nyc", "path~CART"], 2),
        (["site=nyc", "path=/it's 50%"], 2),
        (["site=nyc", "code>=500"], 2),
        (["site=nyc", "total>=900"], 2),
        (["site=nyc", "error!="], 2),
        (["site=nyc", "method=POST"], 0),
    ):
        rows = await ask(telemetry, ask_records("default", moment - 60, moment + 60, conditions, 100))
        assert len(rows) == found, conditions
    assert await ask(telemetry, ask_records("other", moment - 60, moment + 60, [], 100)) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM file('/etc/hostname', 'LineAsString')",
        "INSERT INTO record (site) VALUES ('x')",
        "DROP TABLE record",
        "SET readonly = 0",
        "SELECT 1 SETTINGS max_execution_time = 1000",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT nothing FROM record",
    ],
)
async def test_questions_cannot_do_more_than_ask(telemetry: ConsoleTelemetry, sql: str) -> None:
    with pytest.raises(QueryRefused):
        await telemetry.store.query(sql, {})


async def test_an_answer_has_an_end(telemetry: ConsoleTelemetry) -> None:
    assert len(await telemetry.store.query(f"SELECT number FROM numbers({ROWS})", {})) == ROWS
    with pytest.raises(QueryRefused, match="Limit for result exceeded"):
        await telemetry.store.query(f"SELECT number FROM numbers({ROWS + 1})", {})


async def test_what_was_acknowledged_outlives_a_crash_of_the_store(telemetry: ConsoleTelemetry) -> None:
    acknowledged = 0
    pid = telemetry.pid
    assert pid is not None
    for number in range(6):
        body = batch("sin", str(number), 10, datetime.now(UTC))
        if number == 3:
            os.kill(pid, signal.SIGKILL)
        for _ in range(1200):
            try:
                assert await telemetry.take(REGION, "default/site/sin", body) == ""
                break
            except Exception:  # as a region does: the same batch, until it is taken
                await asyncio.sleep(0.05)
        acknowledged += 10
    assert telemetry.pid != pid
    for step in (1, 60, 3600):
        assert await count(telemetry, "sin", step) == acknowledged


async def test_what_comes_at_once_is_inserted_together(
    telemetry: ConsoleTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[int] = []
    keep = TelemetryStore.keep

    async def counting(store: TelemetryStore, group: str, told: Sequence[Told], *args: Any, **rest: Any) -> Any:
        groups.append(len(told))
        async with asyncio.timeout(60):
            while sum(groups) + len(telemetry._intake._next) < 60:  # noqa: ASYNC110 - an insert takes as long as it takes
                await asyncio.sleep(0.01)
        return await keep(store, group, told, *args, **rest)

    monkeypatch.setattr(TelemetryStore, "keep", counting)
    now = datetime.now(UTC)
    sites = [f"many-{number}" for number in range(60)]
    bodies = {site: batch(site, "1", 2, now) for site in sites}
    takes = [telemetry.take(REGION, f"default/site/{site}", bodies[site]) for site in [*sites, *sites]]
    assert await asyncio.gather(*takes) == [""] * 120
    assert sum(groups) == 60, "those that came twice were told to the store once"
    assert len(groups) == 2, "those that came while the first were inserted went in together"
    assert [await count(telemetry, site) for site in ("many-0", "many-31", "many-59")] == [2, 2, 2]


async def test_a_group_that_a_crash_left_behind_counts_once(telemetry: ConsoleTelemetry, tmp_path: Path) -> None:
    """The console ends between the insert and the receipt: the region sends again what the next console has."""
    body = batch("osl", "left", 7, datetime.now(UTC))
    never = asyncio.Event()

    class Ending(TelemetryStore):
        async def keep(self, group: str, told: Sequence[Told], *args: Any, **rest: Any) -> dict[str, str]:
            await telemetry.store.keep(group, told, *args, **rest)
            never.set()
            await asyncio.Event().wait()
            raise AssertionError

    store = Ending(tmp_path / "nobody.sock")
    first = Intake(tmp_path / "intake", store, lambda told: None)
    running = [asyncio.create_task(first.run()), asyncio.create_task(first.take("default", "osl", "site", body))]
    await never.wait()
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await store.close()
    assert await count(telemetry, "osl") == 7
    again = Intake(tmp_path / "intake", telemetry.store, lambda told: None)
    await again.recover()
    assert list((tmp_path / "intake").iterdir()) == []
    assert await again.take("default", "osl", "site", body) == "", "its name is known: nothing is inserted"
    for step in (1, 60, 3600):
        assert await count(telemetry, "osl", step) == 7


async def test_a_store_that_is_not_there_is_no_answer(telemetry: ConsoleTelemetry) -> None:
    store = TelemetryStore("http://127.0.0.1:9/isthmus")
    with pytest.raises(StoreUnavailable):
        await store.query("SELECT 1", {})
    await store.close()


async def test_what_was_learned_of_an_api_comes_back(telemetry: ConsoleTelemetry) -> None:
    now = datetime.now(UTC)
    for number in range(3):
        body = batch("gru", f"apis-{number}", 4, now, path=f"/api/users/{number}")
        await telemetry.take(REGION, "default/site/gru", body)
        await telemetry.take(REGION, "default/site/gru", body)  # what comes twice is learned once
    await telemetry.learned()
    await telemetry.apis.write()
    after = ApiCatalog(telemetry.store, Retention())
    await after.load()
    for apis in (telemetry.apis, after):
        endpoints, _ = apis.endpoints("default", "shop/site")
        [users] = [each for each in endpoints if each.path == "/api/users/{userId}"]
        assert (users.method, users.usage.tally.requests) == ("GET", 12)
    assert after.hosts("default") == ["shop/site"]
    assert after.hosts("other") == []
    assert after.endpoints("other", "shop/site") == ([], {})
