"""One gobgpd that outlives its supervisor.

It starts without a configuration file: everything goes through its API, which listens on a Unix socket that only its
owner can reach. A state file records the process (pid, start time and boot, which together name it), how it was
started, its port and the password of its neighbours; the next supervisor adopts the same process.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import grpc
import structlog

from isthmus.emit.gobgp.address import LISTEN_ADDRESS
from isthmus.engine.life import process_life

BACKOFF_FIRST, BACKOFF_LAST, STEADY = 0.2, 10.0, 30.0
"""Seconds: first and longest pause before a restart, and the uptime after which the first one counts again."""

MAX_SOCKET_PATH = 107
"""Bytes in the path of a Unix socket."""

_START_TIMEOUT = 20.0
_ATTEMPTS = 3
_MAX_LOG = 10_000_000
_LOG_SECONDS = 60.0

log = structlog.get_logger()


class GobgpError(Exception):
    """gobgpd cannot be started: it is missing, its directory is unusable, or it does not answer."""


@dataclass(frozen=True, slots=True)
class Door:
    """How the ends of tunnels reach a gobgpd on this machine. `password`: of the TCP MD5 signature, empty for none."""

    port: int
    password: str
    host: str = LISTEN_ADDRESS


@dataclass(frozen=True, slots=True)
class _State:
    pid: int
    start: str
    hash: str
    port: int
    password: str
    tuned: bool


Prepare = Callable[[bool], Awaitable[None]]
"""Makes a gobgpd do its work; the argument says whether it was adopted, and so has done it before."""


class GobgpProcess:
    """Keeps one gobgpd running. `identity`: what it was told at its start; another identity replaces the process.

    `on_ready(adopted)` is awaited whenever a gobgpd answers, and must return within seconds; `on_down()` is called
    when it is gone.
    """

    def __init__(self, directory: Path, identity: str, on_ready: Prepare, on_down: Callable[[], None]) -> None:
        self._directory = directory
        self._identity = identity
        self._on_ready = on_ready
        self._on_down = on_down
        self._state: _State | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.restarts = 0

    @property
    def socket(self) -> Path:
        """The Unix socket of the API."""
        return self._directory / "api.sock"

    @property
    def _api_host(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The process, None while there is none."""
        return None if self._state is None else self._state.pid

    @property
    def door(self) -> Door | None:
        """Where it takes BGP sessions, None while there is no process or it is not ready."""
        state = self._state
        return None if state is None or not state.tuned else Door(state.port, state.password)

    async def start(self) -> bool:
        """Adopts the running gobgpd or starts one, makes it ready and keeps it running. Returns whether it was adopted.

        Raises GobgpError when that does not work at all.
        """
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            raise GobgpError(f"{self.socket} is longer than the {MAX_SOCKET_PATH} bytes that a Unix socket can have")
        if shutil.which("gobgpd") is None:
            raise GobgpError("gobgpd is not installed (Debian and Ubuntu: apt-get install gobgpd)")
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        adopted = self._adopt() and await self._is_ready(adopted=True)
        if not adopted:
            for _ in range(_ATTEMPTS):
                await self._launch()
                if await self._is_ready(adopted=False):
                    break
            else:
                raise GobgpError(f"gobgpd does not do as it is told, see {self._directory / 'gobgp.log'}")
        works = (self._supervise(), self._keep_log_small())
        self._tasks = [asyncio.create_task(work, name="gobgp") for work in works]
        return adopted

    async def detach(self) -> None:
        """Stops supervising; gobgpd runs on, to be adopted."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self) -> None:
        """Ends gobgpd. With SIGKILL: then neighbours keep its routes, which is what a planned restart wants as well."""
        await self.detach()
        state, self._state = self._state, None
        if state is not None:
            await self._kill(state.pid, state.start)
        self._on_down()

    def _adopt(self) -> bool:
        state = self._read_state()
        if state is None or process_life(state.pid) != state.start:
            return False
        if not state.tuned or state.hash != self._hash():
            _signal(state.pid, signal.SIGKILL)
            return False
        self._state = state
        log.info("gobgp.adopted", pid=state.pid)
        return True

    async def _launch(self) -> None:
        for pid, start in _users(self._api_host):
            log.warning("gobgp.replaced", pid=pid)
            await self._kill(pid, start)
        self.socket.unlink(missing_ok=True)
        output = self._output
        bound_log(output, _MAX_LOG)
        self._child = self._spawn(output)
        pid = self._child.pid
        password = secrets.token_hex(16) if md5_signatures() else ""
        if not password:
            log.warning(
                "gobgp.unsigned", reason="this kernel has no TCP MD5: other users of the machine can reach gobgpd"
            )
        self._write_state(_State(pid, process_life(pid) or "", self._hash(), _free_port(), password, tuned=False))
        log.info("gobgp.started", pid=pid)
        deadline = time.monotonic() + _START_TIMEOUT
        while not await _answers(self.socket):
            if self._child.poll() is not None or time.monotonic() > deadline:
                self._child.kill()
                self._child.wait()
                self._forget()
                raise GobgpError(f"gobgpd did not start, see {output}")
            await asyncio.sleep(0.02)

    def _spawn(self, output: Path) -> subprocess.Popen[bytes]:
        with output.open("ab") as stream:
            return subprocess.Popen(
                ["gobgpd", "--api-hosts", self._api_host, "--pprof-disable"],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=self._directory,
                start_new_session=True,
                umask=0o077,
            )

    async def _is_ready(self, *, adopted: bool) -> bool:
        """Tells it what to do; one that does not obey is ended."""
        try:
            await self._on_ready(adopted)
        except (grpc.aio.AioRpcError, TimeoutError) as error:
            log.error("gobgp.failed", error=str(error))
            if self._state is not None:
                await self._kill(self._state.pid, self._state.start)
                self._forget()
            return False
        if self._state is not None and not self._state.tuned:
            self._write_state(replace(self._state, tuned=True))
        return True

    @property
    def endpoint(self) -> Door:
        """Port and password of the process that is being made ready."""
        if self._state is None:
            raise GobgpError("there is no gobgpd")
        return Door(self._state.port, self._state.password)

    async def _supervise(self) -> None:
        pause, since = BACKOFF_FIRST, time.monotonic()
        while True:
            if self._state is not None:
                await _exit(self._state.pid, self._state.start)
                status = None if self._child is None else self._child.poll()
                log.error("gobgp.exited", pid=self._state.pid, status=status)
                self._forget()
                self._on_down()
                if time.monotonic() - since > STEADY:
                    pause = BACKOFF_FIRST
            await asyncio.sleep(pause)
            pause, since = min(pause * 2, BACKOFF_LAST), time.monotonic()
            self.restarts += 1
            try:
                await self._launch()
                await self._is_ready(adopted=False)
            except (GobgpError, OSError) as error:
                log.error("gobgp.failed", error=str(error))

    async def _keep_log_small(self) -> None:
        while True:
            await asyncio.sleep(_LOG_SECONDS)
            try:
                await asyncio.to_thread(bound_log, self._output, _MAX_LOG)
            except OSError as error:  # a full disk; the next look tries again
                log.warning("gobgp.log_not_bounded", error=str(error))

    async def _kill(self, pid: int, start: str) -> None:
        if process_life(pid) == start:
            _signal(pid, signal.SIGKILL)
            await _exit(pid, start)
        if self._child is not None and self._child.pid == pid:
            self._child.wait()

    def _forget(self) -> None:
        self._state = None

    def _hash(self) -> str:
        return hashlib.sha256(f"1 {self._identity}".encode()).hexdigest()

    @property
    def _output(self) -> Path:
        return self._directory / "gobgp.log"

    @property
    def _state_path(self) -> Path:
        return self._directory / "process.json"

    def _read_state(self) -> _State | None:
        try:
            return _State(**json.loads(self._state_path.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def _write_state(self, state: _State) -> None:
        self._state = state
        new = self._state_path.with_suffix(".new")
        with open(new, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as stream:
            stream.write(json.dumps(asdict(state)).encode())
        new.replace(self._state_path)


def bound_log(path: Path, limit: int) -> None:
    """Sets the content of a log aside, as the one older file, once it has more bytes than this. Raises OSError.

    By copying: gobgpd cannot be told to open another file. It appends, so that it goes on at the new end; a line that
    it writes between the copy and the cut is lost.
    """
    if path.exists() and path.stat().st_size > limit:
        shutil.copyfile(path, path.with_suffix(".log.1"))
        os.truncate(path, 0)


def md5_signatures() -> bool:
    """Whether this kernel signs TCP segments (RFC 2385), which keeps other local users from posing as a neighbour."""
    with socket.socket() as probe:
        try:
            sign(probe, LISTEN_ADDRESS, "probe")
        except OSError:
            return False
    return True


def sign(connection: socket.socket, host: str, password: str) -> None:
    """Signs the segments of a connection to or from this IPv4 host. Raises OSError when the kernel cannot."""
    tcp_md5sig, key = 14, password.encode()
    address = struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(host))
    connection.setsockopt(socket.IPPROTO_TCP, tcp_md5sig, address + struct.pack("=BBHI80s", 0, 0, len(key), 0, key))


def _users(api_host: str) -> list[tuple[int, str]]:
    """The living gobgpds that serve this API: at most one, unless a state file was lost."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
                if b"--api-hosts" in arguments and os.fsencode(api_host) in arguments:
                    pid = int(entry.name)
                    if (start := process_life(pid)) is not None:
                        found.append((pid, start))
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def _exit(pid: int, start: str) -> None:
    """Returns once that life of the process is over; it need not be a child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(handle, gone.set)
    try:
        if process_life(pid) == start:
            await gone.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def _answers(path: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LISTEN_ADDRESS, 0))
        return int(probe.getsockname()[1])
