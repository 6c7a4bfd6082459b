"""`isthmus alerts …` against a running console."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from typing import Any

from isthmus.protocol import PresenceReport

from .conftest import Running

FRA = "default/site/fra"


async def isthmus(console: Running, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that uses this console."""
    environment = {
        **os.environ,
        "ISTHMUS_URL": f"https://127.0.0.1:{console.console.port}",
        "ISTHMUS_TOKEN_FILE": str(console.state / "admin.token"),
        "ISTHMUS_CA": str(console.state / "ca.pem"),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "isthmus", "alerts", *arguments),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_alerts_are_shown_silenced_and_sent(shop: Running) -> None:
    context = shop.console.context
    assert context.alerting is not None
    for name in (FRA, "default/region/eu", "default/region/us"):
        context.observation.presence("x", PresenceReport(name, True, time.time()))
    await context.alerting.look(time.time() + 100)
    await context.alerting.look(time.time() + 200)
    code, out, _ = await isthmus(shop)
    assert code == 1
    assert "site-offline" in out
    code, out, err = await isthmus(shop, "silence", "create", "site=nyc", "--for", "30m", "--comment", "it moves")
    assert (code, "1 of the alerts that fire now" in err) == (0, True)
    name = out.strip()
    listed, run, wrong = await asyncio.gather(
        isthmus(shop, "silence", "list"),
        isthmus(shop, "dry-run"),
        isthmus(shop, "silence", "create", "colour=red", "--comment", "x"),
    )
    assert (listed[0], name in listed[1]) == (0, True)
    assert re.search(r"in (30|29|28|27) min", listed[1]), listed[1]
    assert (run[0], run[1], "silent: Site nyc" in run[2]) == (0, "", True)
    assert (wrong[0], "is no matcher" in wrong[2]) == (1, True)
    assert (await isthmus(shop, "silence", "expire", name))[0] == 0
    spec: Any = {"webhook": {"url": f"https://localhost:{shop.console.port}/"}}
    metadata = {"name": "hook", "namespace": "default"}
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "AlertReceiver", "metadata": metadata, "spec": spec})
    code, _, err = await isthmus(shop, "test", "hook")
    assert (code, "Not delivered: localhost has only addresses that are not public" in err) == (1, True)
    receivers, deliveries, history = await asyncio.gather(
        isthmus(shop, "receivers"), isthmus(shop, "deliveries"), isthmus(shop, "history", "--rule", "site-offline")
    )
    assert (receivers[0], "default/hook" in receivers[1], "fails" in receivers[1]) == (0, True, True)
    assert (deliveries[0], "[TEST]" in deliveries[1]) == (0, True)
    assert (history[0], "still fires" in history[1], "Site nyc" in history[1]) == (0, True, True)
