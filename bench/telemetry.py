"""Telemetry: what it costs to tell of every request, how many records the store takes, how fast it answers."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from bench.load import drive
from bench.log_receiver import receiving
from bench.process import cores, cpu_seconds, free_port
from bench.proxy import origin
from bench.report import Result, Target, Value
from bench.site import Log, data_path
from bench.world import TRUST_DOMAIN, objects, service, site
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.identity import Authority, Identity, Role
from isthmus.telemetry.batch import Batch, emit_batch
from isthmus.telemetry.decoder import RECORD_SCHEMA
from isthmus.telemetry.question import Selection, ask_latencies, ask_signals
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.rollup import latencies_of, signals_of
from isthmus.telemetry.signal import add_counts, split_latencies
from isthmus.telemetry.window import plan_window

HOSTS = 1_000
"""Virtual hosts of the dashboard."""
_LOGS: tuple[Log, ...] = ("none", "service", "file")


def run(quick: bool) -> Result:
    """Three measurements, one after the other."""
    rounds, seconds = (2, 4) if quick else (7, 6)
    costs = asyncio.run(_costs(rounds, seconds))
    rows: list[list[Value]] = [
        [f"CPU per request, {text}", costs[log], "µs"]
        for log, text in (
            ("none", "Envoy without a log"),
            ("service", "Envoy and agent, every request told"),
            ("file", "Envoy, every request in a JSON file"),
        )
    ]
    records, batches = (100_000, 4) if quick else (100_000, 20)
    with tempfile.TemporaryDirectory(prefix="ist") as name:
        ingest, answer, held = asyncio.run(_store(Path(name), records, batches, quick))
    ratio = costs["service"] / costs["none"]
    rows += [
        ["records taken, per second and core", ingest, "records"],
        [f"rate and latencies of {HOSTS} virtual hosts, over an hour by minutes", answer, "s"],
    ]
    return Result(
        case="telemetry",
        title="Telemetry: every request told, kept and asked for",
        columns=["what", "value", "unit"],
        rows=rows,
        targets=[
            Target("CPU of Envoy and agent, told to not told", ratio, 1.25, " ×"),
            Target("CPU to take 50,000 records", 50_000 / ingest, 1, " s"),
            Target("dashboard query", answer, 1, " s"),
        ],
        notes=[
            f"Envoy on one core, the receiver on the others; median of {rounds} interleaved rounds of {seconds} s",
            "an Envoy that does not tell the agent counts statuses and times by cluster itself",
            f"CPU of console and store for {batches} batches of {records:,} whole records with their roll-ups",
            f"the query reads roll-ups that stand for {held / 1e6:,.0f} million requests; quickest of five",
        ],
    )


async def _costs(rounds: int, seconds: int) -> dict[str, float]:
    """CPU per request in µs, by kind of log."""
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    found: dict[str, list[float]] = {log: [] for log in _LOGS}
    with tempfile.TemporaryDirectory(prefix="isb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        upstream = stack.enter_context(origin(folder, others))
        async with contextlib.AsyncExitStack() as paths:
            servers: dict[str, tuple[int, dict[str, int]]] = {}
            for log in _LOGS:
                port = free_port()
                known = objects(
                    [
                        site("own", fabric=("127.0.0.1", free_port())),
                        *service("web", [("own", "127.0.0.1", upstream.port)], port, "own"),
                    ]
                )
                path = await paths.enter_async_context(data_path(folder / log, "own", known, authority, measured, log))
                watch = {"envoy": path.pid}
                if log == "service":
                    watch["agent"] = await asyncio.to_thread(stack.enter_context, receiving(folder / log, others))
                servers[log] = (port, watch)
            for turn in range(rounds + 1):
                for log in _LOGS if turn % 2 else reversed(_LOGS):
                    port, watch = servers[log]
                    url = f"http://127.0.0.1:{port}/"
                    load = await asyncio.to_thread(drive, url, seconds, folder, others, watch, host="web.example")
                    if turn:  # the first is for warmth
                        found[log].append(sum(load.cpu.values()))
    return {log: statistics.median(values) for log, values in found.items()}


async def _store(folder: Path, records: int, batches: int, quick: bool) -> tuple[float, float, int]:
    """Records taken per second of CPU, seconds of the dashboard's query, and requests that it is about."""
    telemetry = ConsoleTelemetry(folder / "telemetry", None, Retention())
    telemetry.start()
    try:
        while not telemetry.ready:  # noqa: ASYNC110 - the console has no event for it, since it waits for nobody
            await asyncio.sleep(0.05)
        ingest = await _ingest(telemetry, records, batches)
        held = await _fill(telemetry, 2_000_000 if quick else 100_000_000)
        return ingest, await _ask(telemetry), held
    finally:
        await telemetry.stop()


async def _ingest(telemetry: ConsoleTelemetry, records: int, batches: int) -> float:
    region = Identity(TRUST_DOMAIN, Role.REGION, "default", "eu")
    bodies = [await asyncio.to_thread(_batch, str(number), records) for number in range(batches)]
    assert telemetry.pid is not None
    before = cpu_seconds(telemetry.pid) + time.process_time()
    for body in bodies:
        refusal = await telemetry.take(region, "default/site/own", body)
        if refusal:
            raise RuntimeError(refusal)
    return records * batches / (cpu_seconds(telemetry.pid) + time.process_time() - before)


def _batch(token: str, records: int) -> bytes:
    """Whole records of some hundred virtual hosts, over two seconds."""
    now = datetime.now(UTC) - timedelta(seconds=5)
    index = pl.int_range(records, eager=True)
    values: dict[str, pl.Expr] = {
        "time": pl.lit(now).cast(pl.Datetime("us", "UTC"))
        + pl.duration(microseconds=pl.col("i") * 2_000_000 // records),
        "log": pl.lit("ingress"),
        "namespace": pl.lit("shop"),
        "virtual_host": pl.format("shop/host-{}", pl.col("i") % 300),
        "route": pl.format("shop/route-{}", pl.col("i") % 900),
        "cluster": pl.format("shop/web-{}", pl.col("i") % 300),
        "peer": pl.lit("own"),
        "path": pl.format("/items/{}", pl.col("i") * 7919 % 50_000),
        "request_id": pl.format("{}-0000-4000-8000-0123456789ab", pl.col("i").hash(int(token))),
        "code": pl.when(pl.col("i") % 200 == 0).then(503).otherwise(200),
        "total": 500 + pl.col("i") * 104_729 % 20_000,
    }
    frame = pl.DataFrame({"i": index}).select(
        **{
            name: values.get(name, pl.lit("") if kind == pl.String else pl.lit(100)).cast(kind)
            for name, kind in RECORD_SCHEMA.items()
        }
    )
    tables = {"record": frame, "signal": signals_of(frame), "latency": latencies_of(frame)}
    return emit_batch(Batch("default/site/own", token, time.time(), records, tables))


async def _fill(telemetry: ConsoleTelemetry, requests: int) -> int:
    """Roll-ups of an hour by minutes, as so many requests would have left them: 25 buckets for each part."""
    minutes, buckets = 60, 25
    each = max(1, requests // (HOSTS * minutes * buckets))
    start = int(time.time()) // 60 * 60 - 3600
    row = (
        f"'default' AS tenant, 'own' AS site, toDateTime({start}) + (number % {minutes}) * 60 AS time, 'ingress' AS log"
    )
    host = "concat('shop/host-', toString(intDiv(number, {per}) % " + str(HOSTS) + "))"
    key = "tenant, site, time, log, virtual_host"
    for part in ("total", "own", "upstream"):
        per = minutes * buckets
        await telemetry.store.execute(
            f"INSERT INTO latency_1m ({key}, part, bucket, requests) SELECT {row}, {host.format(per=per)}, '{part}', "
            f"140 + intDiv(number, {minutes}) % {buckets}, {each} FROM numbers({HOSTS * per})"
        )
    await telemetry.store.execute(
        f"INSERT INTO signal_1m ({key}, code, requests, total_sum) SELECT {row}, {host.format(per=minutes)}, 200, "
        f"{each * buckets}, {each * buckets * 5000} FROM numbers({HOSTS * minutes})"
    )
    return each * buckets * minutes * HOSTS


async def _ask(telemetry: ConsoleTelemetry) -> float:
    now = time.time()
    window = plan_window(now - 3600, now, 60, now)
    selection = Selection("default", window, ("virtual_host",), {"site": ["own"]})
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        questions = (ask_signals(selection), ask_latencies(selection))
        signals, latencies = await asyncio.gather(
            *(telemetry.store.query(each.sql, each.parameters) for each in questions)
        )
        counts = add_counts(signals, selection.by)
        places = split_latencies(latencies, [], [], selection.by)
        best = min(best, time.perf_counter() - began)
        if len(counts) < HOSTS or len(places) < HOSTS:
            raise RuntimeError(f"{len(counts)} of {HOSTS} virtual hosts were found")
    return best
