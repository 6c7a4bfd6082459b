"""Run the demo: start, show, stay up until a signal, stop without leaving anything behind."""

import asyncio
import contextlib
import json
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from isthmus import __version__
from isthmus.client import ConsoleError
from isthmus.demo.deployment import Deployment, DeploymentError
from isthmus.demo.report import Step, emit_report
from isthmus.demo.scenario import INTERRUPTS, run_steps
from isthmus.demo.shop import HOST, SEARCH, Shop
from isthmus.demo.traffic import Traffic

Tell = Callable[[str], None]
LOAD = (
    ("ams", "/", 6.0),
    ("ams", SEARCH, 3.0),
    ("ams", "/slow/120", 0.7),
    ("fra", "/", 4.0),
    ("fra", SEARCH, 1.5),
    ("fra", "/status/404", 0.4),
    ("nyc", "/", 5.0),
    ("nyc", SEARCH, 2.0),
    ("nyc", "/index.php", 0.5),
    ("nyc", "/status/503", 0.2),
)
"""While the demo stays up: site, path and requests a second, so that there is something to see."""


def run_demo(*, check: bool, keep: Path | None) -> int:
    """Run it to its end. Returns the exit code: 0 when all was as it should be, 1 when not, 130 when interrupted.

    Args:
        check: run the scenario once, print a JSON report on stdout and end.
        keep: keep the state (logs, databases, keys) in this directory, given as an absolute path.
    """
    return asyncio.run(_run(check, keep))


async def _run(check: bool, keep: Path | None) -> int:
    started = time.monotonic()

    def tell(text: str) -> None:
        print(f"[{time.monotonic() - started:5.1f} s] {text}" if text else "", file=sys.stderr, flush=True)

    task = asyncio.current_task()
    assert task is not None
    for number in INTERRUPTS:
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    steps: list[Step] = []
    error = ""
    deployment = Deployment(keep, keep=keep is not None)
    try:
        async with deployment:
            shop = Shop(deployment)
            await shop.start(tell)
            await run_steps(shop, tell, steps.append)
            if not check:
                await _stay(shop, tell, all(step.passed for step in steps))
            tell("stopping everything")
    except asyncio.CancelledError:
        tell("interrupted; everything is stopped")
        return 130 if check or not steps else 0
    except (DeploymentError, ConsoleError, OSError) as failure:
        error = str(failure)
        tell(f"the demo failed: {error}")
    if check:
        _print(emit_report(steps, time.monotonic() - started, __version__, error))
    return 0 if not error and all(step.passed for step in steps) else 1


async def _stay(shop: Shop, tell: Tell, passed: bool) -> None:
    tell("")
    tell("That was the tour" + ("." if passed else "; not everything was as it should be, see FAIL above."))
    print(_invitation(shop, await shop.deployment.sign_in_link()), flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        async with contextlib.AsyncExitStack() as stack:
            for site, path, rate in LOAD:
                await stack.enter_async_context(Traffic(shop.target(site, path), rate, keep=False))
            await asyncio.Event().wait()
    print(file=sys.stderr)


def _invitation(shop: Shop, link: str) -> str:
    """What to try, made to be pasted."""
    deployment = shop.deployment
    near = Path(sys.executable).parent / "isthmus"
    command = "isthmus" if shutil.which("isthmus") else str(near)
    lines = [
        "",
        "Still up (Ctrl-C stops everything). The console in your browser, by a link that works once:",
        f"  {link}",
        "  (the browser does not know this demo's authority and will warn; see docs/console.md)",
        "",
        "Ask the shop at each site:",
    ]
    for site in shop.sites:
        target = shop.target(site)
        lines.append(f"  curl -s -H 'Host: {HOST}' http://{target.address}:{target.port}/        # {site}")
    target = shop.target("ams", SEARCH)
    lines += [
        f"  curl -s -H 'Host: {HOST}' 'http://{target.address}:{target.port}{target.path}'   # spread by weight",
        "",
        "Look around, in another shell:",
        f"  export ISTHMUS_URL={deployment.url} ISTHMUS_TOKEN_FILE={deployment.token_file} \\",
        f"         ISTHMUS_CA={deployment.ca_file}",
        f"  {command} web                 # another link for the browser",
        f"  {command} status",
        f"  {command} explain http://{HOST}/ --from ams",
        f"  {command} get endpoints -n shop",
        f"  {command} get route pages -n shop -o yaml",
        f"  {command} site drain fra      # and undrain",
        "",
        f"State and logs: {deployment.directory}",
    ]
    return "\n".join(lines)


def _print(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2), flush=True)
