"""Connections and datagrams that nothing looks into: TCP throughput and UDP exchanges, through one site, across two,
and through HAProxy and nginx where they can do them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.gateway import order
from bench.process import cores, cpu_seconds, free_port, program, running, wait_listening
from bench.report import Result, Target, Value
from bench.site import data_path
from bench.world import TRUST_DOMAIN, access, objects, service, site
from isthmus.identity import Authority

ONE, TWO = "Isthmus, one site", "Isthmus, across two sites"
_GIB = 2**30
_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"
_CONNECTIONS, _SESSIONS = 4, 32


@dataclass(frozen=True, slots=True)
class Run:
    """Units (GiB or exchanged datagrams) a second, and CPU seconds of the proxies for each."""

    rate: float
    cpu: float
    lost: int = 0


Watch = dict[str, int]
Runs = dict[str, dict[str, list[Run]]]


def run(quick: bool) -> Result:
    """Both jobs, contestants interleaved; all proxies on one core, source and client on the others."""
    rounds, seconds = (1, 2) if quick else (7, 4)
    return _result(asyncio.run(_measure(rounds, seconds)), rounds, seconds)


@contextlib.contextmanager
def _traffic(job: str, port: int, folder: Path, on: str) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.traffic", job, str(port)]
    with running(command, folder / f"{job}.log", on=on) as child:
        if job == "source":
            wait_listening(port, child, folder / f"{job}.log")
        else:
            time.sleep(0.5)  # nothing tells that a datagram socket is bound; a lost first datagram is asked again
        yield


@contextlib.contextmanager
def _haproxy(folder: Path, upstream: int, on: str) -> Iterator[tuple[int, int]]:
    port, config, log = free_port(), folder / "haproxy-tcp.cfg", folder / "haproxy-tcp.log"
    config.write_text(f"""
global
    nbthread 1
defaults
    mode tcp
    log stdout format raw local0
    option tcplog
    timeout connect 5s
    timeout client 3600s
    timeout server 3600s
listen all
    bind 127.0.0.1:{port}
    server origin 127.0.0.1:{upstream}
""")
    with running([program("haproxy"), "-db", "-f", str(config)], log, on=on) as child:
        wait_listening(port, child, log)
        yield port, child.pid


@contextlib.contextmanager
def _nginx(folder: Path, tcp: int, udp: int, on: str) -> Iterator[tuple[int, int, int]]:
    tcp_port, udp_port, config, log = free_port(), free_port(), folder / "stream.conf", folder / "nginx-stream.log"
    config.write_text(f"""
    load_module {_MODULE};
    daemon off;
    master_process off;
    pid {folder}/stream.pid;
    error_log {folder}/stream-error.log warn;
    events {{ worker_connections 4096; }}
    stream {{
        log_format plain '$remote_addr $protocol $status $bytes_sent $bytes_received $session_time';
        access_log {folder}/stream-access.log plain;
        server {{ listen 127.0.0.1:{tcp_port}; proxy_pass 127.0.0.1:{tcp}; }}
        server {{ listen 127.0.0.1:{udp_port} udp; proxy_pass 127.0.0.1:{udp}; }}
    }}
    """)
    command = [program("nginx"), "-c", str(config), "-p", str(folder), "-e", str(folder / "stream-error.log")]
    with running(command, log, on=on) as child:
        wait_listening(tcp_port, child, log)
        yield tcp_port, udp_port, child.pid


async def _measure(rounds: int, seconds: int) -> Runs:
    measured, others = cores()
    authority = Authority.create(TRUST_DOMAIN, datetime.now(UTC))
    with tempfile.TemporaryDirectory(prefix="isb") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        tcp, udp = free_port(), free_port()
        stack.enter_context(_traffic("source", tcp, folder, others))
        stack.enter_context(_traffic("echo", udp, folder, others))
        ports = {key: free_port() for key in ("tcp-near", "tcp-far", "udp-near", "udp-far")}
        documents: list[dict[str, Any]] = [
            site("ams", fabric=("127.0.0.1", free_port())),
            site("fra", fabric=("127.0.0.1", free_port())),
        ]
        for key, port in ports.items():
            proxy, place = key.split("-")
            origin = tcp if proxy == "tcp" else udp
            ingress = "fra" if place == "near" else "ams"
            documents += service(key, [("fra", "127.0.0.1", origin)], port, ingress, proxy=proxy.upper())
        known = objects(documents)
        for key in ("tcp-far", "udp-far"):
            known |= access(key, ["ams"])
        async with (
            data_path(folder / "fra", "fra", known, authority, measured) as egress,
            data_path(folder / "ams", "ams", known, authority, measured) as ingress_path,
        ):
            one, two = {"site": egress.pid}, {"ingress": ingress_path.pid, "egress": egress.pid}
            tcp_jobs = {ONE: (ports["tcp-near"], one), TWO: (ports["tcp-far"], two)}
            udp_jobs = {ONE: (ports["udp-near"], one), TWO: (ports["udp-far"], two)}
            port, pid = stack.enter_context(_haproxy(folder, tcp, measured))
            tcp_jobs["HAProxy"] = (port, {"proxy": pid})
            tcp_port, udp_port, pid = stack.enter_context(_nginx(folder, tcp, udp, measured))
            tcp_jobs["nginx"] = (tcp_port, {"proxy": pid})
            udp_jobs["nginx"] = (udp_port, {"proxy": pid})
            return await asyncio.to_thread(
                lambda: {
                    "TCP": _drive("sink", tcp_jobs, others, rounds, seconds),
                    "UDP": _drive("ask", udp_jobs, others, rounds, seconds),
                }
            )


def _drive(
    job: str, contestants: dict[str, tuple[int, Watch]], on: str, rounds: int, seconds: int
) -> dict[str, list[Run]]:
    runs: dict[str, list[Run]] = {name: [] for name in contestants}
    for port, _ in contestants.values():
        _once(job, port, {}, on, 1)
    for turn in range(rounds):
        for name in order(list(contestants), turn):
            port, watch = contestants[name]
            runs[name].append(_once(job, port, watch, on, seconds))
    return runs


def _once(job: str, port: int, watch: Watch, on: str, seconds: int) -> Run:
    many = _CONNECTIONS if job == "sink" else _SESSIONS
    command = ["taskset", "--cpu-list", on, sys.executable, "-m", "bench.traffic", job, str(port), str(seconds)]
    before = sum(map(cpu_seconds, watch.values()))
    done = subprocess.run([*command, str(many)], capture_output=True, text=True, timeout=seconds + 30, check=True)
    spent = sum(map(cpu_seconds, watch.values())) - before
    seen = json.loads(done.stdout)
    units = seen["bytes"] / _GIB if job == "sink" else seen["answered"]
    if not units:
        raise RuntimeError(f"nothing came through port {port}: {done.stderr}")
    return Run(units / seen["seconds"], spent / units, int(seen.get("lost", 0)))


def _ratio(runs: dict[str, list[Run]], name: str) -> float:
    """Median over the rounds of CPU for each unit to one site's in the same round."""
    return statistics.median(one.cpu / base.cpu for one, base in zip(runs[name], runs[ONE], strict=True))


def _result(runs: Runs, rounds: int, seconds: int) -> Result:
    units = {"TCP": ("GiB/s", 1e3, "ms/GiB"), "UDP": ("datagrams/s", 1e6, "µs/datagram")}
    rows: list[list[Value]] = []
    for job, contestants in runs.items():
        rate_unit, factor, cpu_unit = units[job]
        for name, each in contestants.items():
            rows.append(
                [
                    f"{job}: {name}",
                    f"{statistics.median(one.rate for one in each):,.3g} {rate_unit}"
                    if job == "TCP"
                    else f"{statistics.median(one.rate for one in each):,.0f} {rate_unit}",
                    f"{factor * statistics.median(one.cpu for one in each):.4g} {cpu_unit}",
                    _ratio(contestants, name),
                    sum(one.lost for one in each),
                ]
            )
    return Result(
        case="stream",
        title=f"Streams: TCP over {_CONNECTIONS} connections, exchanges of 512 bytes in {_SESSIONS} sessions of UDP",
        columns=["job: proxy", "rate", "CPU", "ratio to one site", "lost"],
        rows=rows,
        targets=[Target(f"CPU, two sites to one, {job}", _ratio(runs[job], TWO), 2.0, " ×") for job in runs],
        notes=[
            f"median of {rounds} interleaved rounds of {seconds} s; source and clients are Python and bound the rates "
            "of what is cheaper than they are, so CPU is the number to read",
            "across two sites everything is encrypted between them, and a datagram travels in a stream of HTTP/2",
        ],
        raw={
            job: {name: [[one.rate, one.cpu, one.lost] for one in each] for name, each in contestants.items()}
            for job, contestants in runs.items()
        },
    )
