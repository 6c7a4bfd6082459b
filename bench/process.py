"""Processes under measurement: started on chosen cores, stopped for certain, their CPU time read."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


def program(name: str) -> str:
    """The path of a program, also off an ordinary user's PATH; FileNotFoundError says how to get it."""
    path = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if path is None:
        raise FileNotFoundError(f"{name} is not installed: scripts/setup bench")
    return path


def cores() -> tuple[str, str]:
    """(core of the thing measured, cores of everything else), as taskset writes them.

    The thing measured has a core of its own; the load and the origin share the others.
    """
    available = sorted(os.sched_getaffinity(0))
    if len(available) == 1:
        return str(available[0]), str(available[0])
    return str(available[0]), ",".join(map(str, available[1:]))


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, on: str | None = None, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in the foreground while the context lasts, its output in `log`, on the cores `on`."""
    pinned = ["taskset", "--cpu-list", on, *command] if on else list(command)
    with log.open("ab") as output:
        child = subprocess.Popen(
            pinned, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_listening(port: int, child: subprocess.Popen[bytes], log: Path, host: str = "127.0.0.1") -> None:
    """Wait until a port answers; RuntimeError with the end of the log when the process ended or 20 s went by."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and child.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{child.args!r} does not listen on {host}:{port}:\n{log.read_text()[-2000:]}")


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process, its threads and its descendants, from the kernel's per-process clock (nanoseconds).

    /proc/PID/stat counts the same in ticks of 10 ms; the clock's number is clock_getcpuclockid(3)'s.
    """
    total = 0.0
    for member in family(pid):
        with contextlib.suppress(OSError):
            total += time.clock_gettime((~member << 3) | 2)
    return total


def resident(pid: int) -> int:
    """Resident memory of one process in bytes (0 when it is gone)."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
