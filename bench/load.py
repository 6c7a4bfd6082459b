"""HTTP load: wrk for HTTP/1.1, h2load for HTTP/2, aioquic for HTTP/3, and what they measured."""

from __future__ import annotations

import json
import re
import subprocess
import sys
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
    *,
    keep: bool = True,
) -> Load:
    """Send GET requests for so many seconds over so many connections, kept alive or (not `keep`) new for each request.

    `watch` names processes (by id) whose CPU time is divided by the requests that were answered.
    Raises RuntimeError when a request failed: numbers of a broken set-up mean nothing.
    """
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT)
    command = ["taskset", "--cpu-list", on, program("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=5s"]
    if host:
        command += ["-H", f"Host: {host}"]
    if not keep:
        command += ["-H", "Connection: close"]
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


def drive_http2(url: str, seconds: int, on: str, watch: dict[str, int], connections: int = 32) -> Load:
    """The same over HTTP/2, one request at a time on each connection, as `drive` does. Percentiles are not told."""
    command = ["taskset", "--cpu-list", on, program("h2load"), f"-c{connections}", "-m1", "-t1", f"-D{seconds}", url]
    before = {name: cpu_seconds(pid) for name, pid in watch.items()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    after = {name: cpu_seconds(pid) for name, pid in watch.items()}
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", done.stdout)
    if counts is None or "Application protocol: h2" not in done.stdout:
        raise RuntimeError(f"h2load spoke no HTTP/2 with {url}:\n{done.stdout}")
    requests, bad = int(counts[2]), int(counts[3]) + int(counts[4])
    if bad or not requests:
        raise RuntimeError(f"{bad} of {counts[1]} requests to {url} failed:\n{done.stdout}")
    cpu = {name: 1e6 * (after[name] - before[name]) / requests for name in watch}
    return Load(requests, 0, requests / seconds, 0.0, 0.0, cpu)


def drive_http3(port: int, seconds: int, on: str, watch: dict[str, int], connections: int = 32) -> Load:
    """The same over HTTP/3 on this UDP port, one request at a time on each connection, as `drive` does.

    The handshakes are before the first request, and in the CPU time: a few among many requests.
    """
    command = ["taskset", "--cpu-list", on, sys.executable, "-m", "bench.quic", *map(str, (port, seconds, connections))]
    before = {name: cpu_seconds(pid) for name, pid in watch.items()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    after = {name: cpu_seconds(pid) for name, pid in watch.items()}
    if done.returncode:
        raise RuntimeError(f"no HTTP/3 with port {port}:\n{done.stderr[-2000:]}")
    seen = json.loads(done.stdout)
    if seen["failed"] or not seen["requests"]:
        raise RuntimeError(f"{seen['failed']} of {seen['requests']} requests to port {port} failed")
    cpu = {name: 1e6 * (after[name] - before[name]) / seen["requests"] for name in watch}
    return Load(seen["requests"], 0, seen["requests"] / seen["seconds"], seen["p50"], seen["p99"], cpu)
