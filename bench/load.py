"""HTTP load: wrk, and what it measured."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.process import cpu_seconds, program

_SCRIPT = """
done = function(summary, latency, requests)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write
               + summary.errors.status + summary.errors.timeout
  io.write(string.format('RESULT {"requests": %d, "failed": %d, "seconds": %.6f, "p50": %.1f, "p99": %.1f}\\n',
    summary.requests, failed, summary.duration / 1e6, latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """One run: latencies in microseconds, CPU in microseconds per request of each process watched."""

    requests: int
    failed: int
    rate: float
    p50: float
    p99: float
    cpu: dict[str, float]


def drive(
    url: str,
    seconds: int,
    folder: Path,
    on: str,
    watch: dict[str, int],
    connections: int = 32,
    host: str | None = None,
) -> Load:
    """Send GET requests for so many seconds over so many kept-alive connections.

    `watch` names processes (by id) whose CPU time is divided by the requests that were answered.
    Raises RuntimeError when a request failed: numbers of a broken set-up mean nothing.
    """
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT)
    command = ["taskset", "--cpu-list", on, program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=5s"]
    if host:
        command += ["-H", f"Host: {host}"]
    before = {name: cpu_seconds(pid) for name, pid in watch.items()}
    done = subprocess.run(
        [*command, "-s", str(script), url], capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    after = {name: cpu_seconds(pid) for name, pid in watch.items()}
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    seen = json.loads(line.removeprefix("RESULT "))
    if seen["failed"] or not seen["requests"]:
        raise RuntimeError(f"{seen['failed']} of {seen['requests']} requests to {url} failed:\n{done.stdout}")
    return Load(
        requests=seen["requests"],
        failed=seen["failed"],
        rate=seen["requests"] / seen["seconds"],
        p50=seen["p50"],
        p99=seen["p99"],
        cpu={name: 1e6 * (after[name] - before[name]) / seen["requests"] for name in watch},
    )
