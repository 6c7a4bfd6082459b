"""Compile: a large site from objects to Envoy's resources, and one changed route until Envoy's ACK."""

from __future__ import annotations

import asyncio
import gc
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from bench.process import free_port
from bench.report import Result, Target, Value, percentile
from bench.site import data_path, site_key
from bench.world import TRUST_DOMAIN, changed_route, large, objects
from isthmus.compile import Compiler
from isthmus.emit.envoy import EnvoyEmitter, EnvoyPaths
from isthmus.identity import Authority
from isthmus.model import Object, ObjectKey, emit_envelope, parse_envelope
from isthmus.site.collection import collection_paused

SIZE = (1_000, 5_000, 10_000)
SMALL = (100, 500, 1_000)


def run(quick: bool) -> Result:
    """Full compiles from new, then changes one after the other in a site that a real Envoy serves."""
    hosts, routes, endpoints = SMALL if quick else SIZE
    repeats, changes = (2, 10) if quick else (5, 100)
    known = objects(large(hosts, routes, endpoints, free_port()))
    full = [_full(known) for _ in range(repeats)]
    parse = [_parse(known) for _ in range(repeats)]
    taken, steps = asyncio.run(_changes(known, changes, hosts))
    totals = [sum(one) for one in full]
    rows: list[list[Value]] = [
        ["read all objects from disk (parse)", statistics.median(parse), max(parse)],
        ["full compile: objects to intent", *_pair([one[0] for one in full])],
        ["full emit: intent to Envoy's resources", *_pair([one[1] for one in full])],
        ["full compile and emit", *_pair(totals)],
        ["one route: compile and emit", statistics.median(steps), percentile(steps, 0.99)],
        ["one route: until Envoy's ACK", statistics.median(taken), percentile(taken, 0.99)],
    ]
    return Result(
        case="compile",
        title=f"Compile: {hosts:,} virtual hosts, {routes:,} routes, {endpoints:,} endpoints",
        columns=["what", "median ms", "worst or p99 ms"],
        rows=[[label, *(1000 * float(cell or 0) for cell in cells)] for label, *cells in rows],
        targets=[
            Target("full compile and emit", 1000 * statistics.median(totals), 2000, " ms"),
            Target("one changed route until Envoy's ACK", 1000 * statistics.median(taken), 50, " ms"),
        ],
        notes=[f"{repeats} full compiles, {changes} changed routes"],
        raw={"full": full, "changes": taken},
    )


def _pair(values: list[float]) -> tuple[float, float]:
    return statistics.median(values), max(values)


def _full(known: dict[ObjectKey, Object]) -> tuple[float, float]:
    """(compile, emit) in seconds, with nothing remembered."""
    gc.collect()
    compiler, emitter = Compiler(site_key("own"), TRUST_DOMAIN), EnvoyEmitter(EnvoyPaths())
    with collection_paused():  # as the agent does
        started = time.perf_counter()
        compilation = compiler.update(known)
        compiled = time.perf_counter()
        emitter.emit(compilation.intent)
        return compiled - started, time.perf_counter() - compiled


def _parse(known: dict[ObjectKey, Object]) -> float:
    bodies = [emit_envelope(obj) for obj in known.values()]
    gc.collect()
    started = time.perf_counter()
    for body in bodies:
        parse_envelope(body)
    return time.perf_counter() - started


async def _changes(known: dict[ObjectKey, Object], count: int, hosts: int) -> tuple[list[float], list[float]]:
    """Seconds of each change: (until Envoy's ACK, of which compile and emit)."""
    taken, steps = [], []
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="isb") as name:
        async with data_path(Path(name) / "own", "own", known, authority) as path:
            for index in range(count):
                key = ObjectKey("default", "Route", "bench", f"r-{index * 7 % hosts}-1")
                changed = changed_route(known[key], f"/changed-{index}/")
                started = time.perf_counter()
                _, changes = path.update({key: changed})
                steps.append(time.perf_counter() - started)
                await path.push(changes)
                taken.append(time.perf_counter() - started)
    return taken, steps
