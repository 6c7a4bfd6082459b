"""The demo itself, twice at once: no fixed port, no fixed directory, nothing left behind."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from isthmus.demo.process import find_processes

from .conftest import Measure


async def check(directory: Path) -> tuple[int, dict[str, Any], str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "isthmus", "demo", "--check", "--keep", str(directory),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, json.loads(out or b"{}"), err.decode()


@pytest.mark.timeout(420)
async def test_two_demos_at_once(tmp_path_factory: pytest.TempPathFactory, measured: Measure) -> None:
    base = tmp_path_factory.mktemp("d")
    results = await asyncio.gather(*(check(base / name) for name in ("a", "b")))
    for name, (code, report, narration) in zip("ab", results, strict=True):
        wrong = [part for step in report["steps"] for part in step["checks"] if not part["passed"]]
        assert (code, wrong, report.get("error")) == (0, [], None), narration
        assert [step["name"] for step in report["steps"]] == [
            "nearest", "weighted", "endpoint-killed", "site-cut", "planes-stopped", "canary",
        ]  # fmt: skip
        assert report["requests"] > 5000
        assert set(report["sites"]) == {"fra", "nyc"}
        assert set(report["versions"]) == {"v1", "v2"}
        assert list(find_processes(base / name)) == []
        faults = {
            step["name"]: f"{step['millisecondsFromFaultToLastFailure']:.0f} ms"
            for step in report["steps"]
            if step["millisecondsFromFaultToLastFailure"] is not None
        }
        measured(f"{report['requests']} requests, {report['failed']} failed, last failure after the fault: {faults}")
