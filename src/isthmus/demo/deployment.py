"""A whole deployment on this machine: a console, regions and sites as processes of their own, joined by tokens.

Used by the demo, the system tests and the benchmarks. Every process keeps its state below one short directory, and
listens on loopback addresses of an `AddressPlan`.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from isthmus.client import Console, ConsoleError, Trust
from isthmus.demo.address import AddressPlan
from isthmus.demo.process import Process, Running, find_processes, sweep

CONSOLE = "console"
_CONSOLE_HOST = 5
"""Last octet of the console's address."""


class DeploymentError(Exception):
    """A process did not start or did not do what it should in time. The text says which, with the end of its log."""


async def wait_until(condition: Callable[[], bool], seconds: float, what: str, pause: float = 0.05) -> None:
    """Poll until the condition holds. Raises DeploymentError, with `what` was waited for, when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise DeploymentError(f"{what}: not within {seconds:.0f} s")
        await asyncio.sleep(pause)


class Deployment:
    """Processes by name: `console`, and one per region, site and application instance."""

    def __init__(self, directory: Path | None = None, plan: AddressPlan | None = None, *, keep: bool = False) -> None:
        """Args:
        directory: where to keep state; a fresh one below the system's temporary directory when None.
        plan: addresses and ports.
        keep: leave the directory when closed.
        """
        self.directory = directory or Path(tempfile.mkdtemp(prefix="isthmus-"))
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.plan = plan or AddressPlan()
        self.keep = keep
        self.processes: dict[str, Process] = {}
        self._commands: dict[str, tuple[str, ...]] = {}
        self._clients: list[Console] = []
        self.url = f"https://{self.plan.host(_CONSOLE_HOST)}:{self.plan.free_port()}"
        (self.directory / "log").mkdir(exist_ok=True)
        self._guard = subprocess.Popen(
            [sys.executable, "-m", "isthmus.demo.guard", str(self.directory), *(["--keep"] if keep else [])],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- processes ------------------------------------------------------------------------------------------------

    def start(self, name: str, command: Sequence[str] | None = None, more: Sequence[str] = ()) -> Process:
        """Start a process, or start one again with the command it had. `more`: options for this time alone."""
        if command is not None:
            self._commands[name] = tuple(command)
        process = Process(name, (*self._commands[name], *more), self.directory / "log" / f"{name}.log", self.directory)
        self.processes[name] = process
        return process

    async def stop(self, name: str, number: signal.Signals = signal.SIGTERM, seconds: float = 20) -> None:
        """Stop a process in order. SIGTERM lets a site's and a region's engines serve on, SIGINT ends them too."""
        await asyncio.to_thread(self.processes[name].stop, number, seconds)

    async def kill(self, name: str) -> None:
        """End a process as a crash does."""
        await asyncio.to_thread(self.processes[name].stop, signal.SIGKILL)

    def state(self, name: str) -> Path:
        """The state directory of a console, region or site."""
        return self.directory / name

    def engine(self, name: str, program: str) -> int | None:
        """The process id of a site's or region's `envoy` or `gobgpd`."""
        return next((found.pid for found in self._plane(name) if found.program == program), None)

    def _plane(self, name: str) -> Iterator[Running]:
        """A site's or region's process and its engines."""
        return (found for found in find_processes(self.directory) if found.names(self.state(name)))

    def kill_engine(self, name: str, program: str) -> int:
        """Kill a site's or region's `envoy` or `gobgpd` as a crash does. Returns the process id that it had."""
        pid = self.engine(name, program)
        if pid is None:
            raise DeploymentError(f"{name} runs no {program}")
        os.kill(pid, signal.SIGKILL)
        return pid

    def freeze(self, name: str) -> list[int]:
        """Stop a site or region dead with its engines, without a word to anybody: as a lost link does."""
        pids = [found.pid for found in self._plane(name)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return pids

    def thaw(self, pids: Sequence[int]) -> None:
        """Let frozen processes go on."""
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue

    async def close(self) -> None:
        """Stop everything, sites first; nothing is left running, adopted engines included."""
        for client in self._clients:
            client.close()
        order = sorted(self.processes, key=lambda name: (name == CONSOLE, name))
        for name in order:
            self.processes[name].send(signal.SIGCONT)
        await asyncio.gather(*(self.stop(name, signal.SIGINT) for name in order if name != CONSOLE))
        if CONSOLE in self.processes:
            await self.stop(CONSOLE, signal.SIGINT)
        await asyncio.to_thread(sweep, self.directory)
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        await asyncio.to_thread(self._guard.wait)

    # --- planes ---------------------------------------------------------------------------------------------------

    @property
    def token_file(self) -> Path:
        """The administrator's token, as the console wrote it."""
        return self.state(CONSOLE) / "admin.token"

    @property
    def ca_file(self) -> Path:
        """The deployment's authority, as the console wrote it."""
        return self.state(CONSOLE) / "ca.pem"

    async def start_console(self, *options: str) -> None:
        """Start the console and wait until its API answers."""
        host = self.plan.host(_CONSOLE_HOST)
        stream = f"{host}:{self.plan.free_port()}"
        listen = self.url.removeprefix("https://")
        self.start(
            CONSOLE,
            [
                *isthmus("console"),
                "--state",
                str(self.state(CONSOLE)),
                "--listen",
                listen,
                "--stream",
                stream,
                *options,
            ],
        )
        await self.wait_for_console()

    async def wait_for_console(self, seconds: float = 60) -> None:
        """Wait until the API answers."""

        def answers() -> bool:
            self._require(CONSOLE)
            try:
                with self.client() as console:
                    console.get("/status")
            except (ConsoleError, OSError):
                return False
            return True

        await self._wait(CONSOLE, answers, seconds, "the console answers")

    def client(self) -> Console:
        """A new client of the console, as administrator."""
        client = Console(self.url, self.token_file.read_text().strip(), Trust(self.ca_file.read_text()))
        self._clients.append(client)
        return client

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API."""

        def request() -> Any:
            with self.client() as console:
                return console.request(method, path, body)

        return await asyncio.to_thread(request)

    async def apply(self, documents: Sequence[Any]) -> dict[str, Any]:
        """Apply documents, as they are."""
        answer: dict[str, Any] = await self.ask("POST", "/apply", {"documents": list(documents), "dryRun": False})
        return answer

    async def sign_in_link(self) -> str:
        """A link that signs one browser in to the console, once, within ten minutes."""
        answer = await self.ask("POST", "/sign-in-codes", {})
        return f"{self.url}/sign-in#{answer['code']}"

    async def join(self, role: str, name: str, *options: str) -> None:
        """Start the process of a Region or Site object for the first time, with a new token."""
        answer = await self.ask("POST", "/tokens", {"role": role, "name": name, "ttlSeconds": 600})
        token_file = self.directory / f"{name}.token"
        token_file.touch(mode=0o600)
        token_file.write_text(answer["token"])
        self.start(
            name,
            [*isthmus(role), "--state", str(self.state(name)), "--token-file", str(token_file), *options],
        )

    def run_application(
        self, instance: str, site: str, address: str, port: int, version: str, failing: int = 0
    ) -> None:
        """Start one instance of the demo's application. `failing`: percentage of its requests that fail."""
        options = {"--listen": f"{address}:{port}", "--site": site, "--instance": instance, "--version": version}
        if failing:
            options["--failing"] = str(failing)
        command = [sys.executable, "-m", "isthmus.demo.application"]
        self.start(instance, [*command, *(part for option in options.items() for part in option)])

    # --- state ----------------------------------------------------------------------------------------------------

    async def status(self) -> Mapping[str, Any]:
        """The console's status of the whole deployment."""
        answer: Mapping[str, Any] = await self.ask("GET", "/status")
        return answer

    async def _wait(self, name: str, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not await asyncio.to_thread(condition):
            self._require(name)
            if time.monotonic() > deadline:
                raise DeploymentError(f"{what}: not within {seconds:.0f} s\n{self.processes[name].tail()}")
            await asyncio.sleep(0.1)

    def _require(self, name: str) -> None:
        if not self.processes[name].running:
            raise DeploymentError(f"{name} has ended:\n{self.processes[name].tail()}")


def isthmus(*arguments: str) -> list[str]:
    """The command line of this release, by the Python that runs this."""
    return [sys.executable, "-m", "isthmus", *arguments]
