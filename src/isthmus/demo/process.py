"""Processes of a deployment, and those that they in turn started."""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "ISTHMUS_DEPLOYMENT"
"""Environment variable that marks every process of a deployment with its directory."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Running:
    """A process found in /proc: its id, the name of its program, its command line."""

    pid: int
    program: str
    command: tuple[str, ...]

    def names(self, directory: Path) -> bool:
        """Whether the command line names a directory or something in it."""
        inside = f"{directory}/"
        return any(part == str(directory) or inside in part for part in self.command)


class Process:
    """One started process. Start it from the main thread: it is told when that thread ends."""

    def __init__(self, name: str, command: Sequence[str], log: Path, directory: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, VARIABLE: str(directory)},
                start_new_session=True,  # Ctrl-C reaches the demo alone, which stops the rest in order
                preexec_fn=_follow(os.getpid()),
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.running:
            self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15) -> None:
        """Send a signal and wait for the end; kill it after that many seconds."""
        self.send(signal.SIGCONT)
        self.send(number)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def tail(self, lines: int = 15) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _follow(parent: int) -> Callable[[], None]:
    """Let the child get SIGINT, which ends it with its engines, when the parent dies, however it dies."""

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)

    return prepare


def find_processes(directory: Path) -> Iterator[Running]:
    """Every process of a deployment, adopted ones included: each inherits the mark in its environment.

    The command line alone would not do: whoever reads a log of the deployment names its directory, too.
    """
    mark = f"{VARIABLE}={directory}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if mark not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            command = tuple((entry / "cmdline").read_text(errors="replace").split("\0")[:-1])
        except OSError:  # ended meanwhile, or of another user
            continue
        if command:
            yield Running(int(entry.name), Path(command[0]).name, command)


def sweep(directory: Path, seconds: float = 10) -> list[Running]:
    """End every process of a deployment that still runs, first kindly. Returns what was found."""
    found = list(find_processes(directory))
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for running in find_processes(directory):
            for each in (signal.SIGCONT, number):
                try:
                    os.kill(running.pid, each)
                except ProcessLookupError:
                    break
        deadline = time.monotonic() + patience
        while any(True for _ in find_processes(directory)):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        else:
            break
    return found
