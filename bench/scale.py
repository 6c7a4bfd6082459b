"""Scale: one changed virtual host among very many, in plain HTTP and with TLS, until Envoy's ACK."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.certificate import issue
from bench.process import free_port, resident
from bench.report import Result, Target, Value, percentile
from bench.site import data_path
from bench.world import TRUST_DOMAIN, Document, changed_route, many, objects
from isthmus.identity import Authority
from isthmus.model import Object, ObjectKey

SIZES = {1_000: 50.0, 10_000: 100.0}
"""Virtual hosts -> milliseconds to reach."""
SMALL = {100: 50.0}


@dataclass(frozen=True, slots=True)
class Changes:
    """Seconds of each change until Envoy's ACK, of which compile and emit; Envoy's memory in bytes."""

    taken: list[float]
    steps: list[float]
    memory: int


def run(quick: bool) -> Result:
    """Each size and proxy type in an Envoy of its own."""
    sizes, count = (SMALL, 10) if quick else (SIZES, 60)
    certificate = issue("*.example")
    kinds: dict[str, tuple[list[Document], dict[str, Any]]] = {
        "HTTP": ([], {}),
        "HTTPS": (
            [certificate.declare("all")],
            {"proxy": "HTTPS", "tls": {"certificates": [{"name": "all"}]}},
        ),
    }
    rows: list[list[Value]] = []
    targets: list[Target] = []
    raw: dict[str, object] = {}
    for hosts, limit in sizes.items():
        for kind, (more, fields) in kinds.items():
            known = objects([*more, *many(hosts, free_port(), **fields)])
            changes = asyncio.run(_change(known, count, hosts))
            taken, steps = (1000 * statistics.median(each) for each in (changes.taken, changes.steps))
            title = f"{hosts:,} virtual hosts, {kind}"
            rows.append([title, taken, 1000 * percentile(changes.taken, 0.99), steps, changes.memory / 2**20])
            targets.append(Target(f"one changed route, {title}", taken, limit, " ms"))
            raw[title] = changes.taken
    return Result(
        case="scale",
        title="Scale: one changed route among many virtual hosts, until Envoy's ACK",
        columns=["site", "median ms", "p99 ms", "of which compile and emit, ms", "Envoy's memory, MiB"],
        rows=rows,
        targets=targets,
        notes=[f"{count} changes each; two routes for each virtual host, 200 clusters"],
        raw=raw,
    )


async def _change(known: dict[ObjectKey, Object], count: int, hosts: int) -> Changes:
    taken, steps = [], []
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="isb") as name:
        async with data_path(Path(name) / "own", "own", known, authority) as path:
            for index in range(count):
                key = ObjectKey("default", "Route", "bench", f"r-{index * 7 % hosts}-0")
                changed = changed_route(known[key], f"/changed-{index}/")
                started = time.perf_counter()
                _, changes = path.update({key: changed})
                steps.append(time.perf_counter() - started)
                await path.push(changes)
                taken.append(time.perf_counter() - started)
            memory = resident(path.pid)
    return Changes(taken, steps, memory)
