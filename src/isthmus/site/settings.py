"""What a site agent is started with. Everything else comes from its objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """Settings of `isthmus site`.

    Attributes:
        state: directory of everything the agent keeps; made accessible to its owner only. Unix sockets lie in it, so
            its absolute path must stay under 80 bytes.
        token: join token, needed at the first start only.
        metrics: address and port of the plain HTTP listener for /healthz and /metrics; None for none. Only loopback
            addresses are accepted.
        concurrency: worker threads of Envoy.
        max_connections: client connections of Envoy in all.
        stop_engines: stop Envoy and GoBGP on SIGTERM too. By default they serve on, so that a restart of the agent
            loses no request; SIGINT always stops them.
    """

    state: Path
    token: str | None = None
    metrics: tuple[str, int] | None = None
    concurrency: int = 1
    max_connections: int = 50_000
    stop_engines: bool = False
