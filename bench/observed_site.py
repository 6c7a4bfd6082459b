"""A real site agent that also writes down when health was seen and when Envoy acknowledged endpoints.

    python -m bench.observed_site STATE TOKEN_FILE OUTPUT

`OUTPUT` gets one JSON document per line, times in Unix seconds:
    {"event": time of Envoy's health event, "heard": when the agent had it, "healthy": ...}
    {"acked": when Envoy had accepted endpoint assignments, "hosts": {cluster: [host name of each endpoint]}}
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from isthmus.engine.envoy import ENDPOINT, AdsServer, HealthEvent, Push
from isthmus.site.agent import SiteAgent
from isthmus.site.process import run
from isthmus.site.settings import SiteSettings

_update = AdsServer.update
_on_health = SiteAgent._on_health
_waiting: set[asyncio.Task[None]] = set()


def observe(output: IO[str]) -> None:
    """Write down what passes; the agent itself does what it always does."""

    def write(**fields: Any) -> None:
        output.write(json.dumps(fields) + "\n")

    async def wait(push: Push, assignments: Mapping[str, bytes | None]) -> None:
        if not await push.acked():
            acked = time.time()
            write(acked=acked, hosts={name: hosts(body) for name, body in assignments.items() if body is not None})

    def update(self: AdsServer, changes: Mapping[str, Mapping[str, bytes | None]]) -> Push:
        push = _update(self, changes)
        if set(changes) == {ENDPOINT}:
            task = asyncio.get_running_loop().create_task(wait(push, changes[ENDPOINT]))
            _waiting.add(task)
            task.add_done_callback(_waiting.discard)
        return push

    def on_health(self: SiteAgent, event: HealthEvent) -> None:
        write(event=event.at, heard=time.time(), healthy=event.healthy)
        _on_health(self, event)

    setattr(AdsServer, "update", update)  # noqa: B010 - both are methods, which mypy lets nobody assign
    setattr(SiteAgent, "_on_health", on_health)  # noqa: B010


def hosts(assignment: bytes) -> list[str]:
    """The host names of an assignment's endpoints: which sites it sends requests to."""
    parsed = ClusterLoadAssignment.FromString(assignment)
    return [each.endpoint.hostname for locality in parsed.endpoints for each in locality.lb_endpoints]


if __name__ == "__main__":
    state, token_file, path = map(Path, sys.argv[1:])
    with path.open("a", buffering=1) as lines:
        observe(lines)
        asyncio.run(run(SiteSettings(state=state, token=token_file.read_text().strip())))
