"""A deployment leaves no process behind, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from isthmus.demo.deployment import Deployment
from isthmus.demo.process import find_processes
from isthmus.demo.traffic import Target, ask_many

SCRIPT = """
import asyncio, sys
from isthmus.demo.deployment import Deployment

async def run():
    deployment = Deployment()
    deployment.run_application("a", "fra", deployment.plan.host(1), deployment.plan.free_port(), "v1")
    # A process that outlives its parent, as an engine outlives its agent.
    deployment.start("b", ["setsid", "--fork", "sleep", "600"])
    print(deployment.directory, flush=True)
    await asyncio.sleep(600)

asyncio.run(run())
"""


def wait(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def running(directory: Path) -> list[str]:
    return sorted(found.program for found in find_processes(directory))


async def test_close_ends_everything() -> None:
    async with Deployment() as deployment:
        host, port = deployment.plan.host(1), deployment.plan.free_port()
        deployment.run_application("a", "fra", host, port, "v1")
        deployment.start("b", ["setsid", "--fork", "sleep", "600"])
        target = Target(host, port, "shop.example")
        deadline = time.monotonic() + 60
        while (await ask_many(target, 1))[0].failed or "sleep" not in running(deployment.directory):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        directory = deployment.directory
    assert running(directory) == []
    assert not directory.exists()


async def test_directory_is_kept_when_asked_for(tmp_path: Path) -> None:
    async with Deployment(tmp_path / "kept", keep=True) as deployment:
        deployment.run_application("a", "fra", deployment.plan.host(1), deployment.plan.free_port(), "v1")
    assert (tmp_path / "kept" / "log" / "a.log").exists()
    assert running(tmp_path / "kept") == []


def test_killed_parent_leaves_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        directory = Path(parent.stdout.readline().strip())
        assert wait(lambda: "sleep" in running(directory))
        parent.kill()
    assert wait(lambda: not running(directory) and not directory.exists())


async def test_freeze_and_thaw(tmp_path: Path) -> None:
    async with Deployment(tmp_path / "d") as deployment:
        state = deployment.state("fra")
        state.mkdir()
        deployment.start("fra", [sys.executable, "-c", "import time; time.sleep(600)", f"{state}/x"])
        (pid,) = deployment.freeze("fra")
        assert wait(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")
        deployment.thaw([pid])
        assert wait(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] in "SR")
        os.kill(pid, signal.SIGKILL)
