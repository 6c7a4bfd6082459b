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
        access_log: have Envoy write each request to `access.log` in the state directory too, as a line of JSON. The
            file is kept small. Telemetry does not need it.
        telemetry: tell the console what requests did.
        telemetry_buffer: bytes on disk for what no region takes; beyond it the oldest is dropped.
        receiver_buffer: bytes on disk for what all TelemetryReceivers together have not taken; beyond it the namespace
            that has most of it loses its oldest.
        record_share: of the requests that did not fail, how many are kept as whole records, 0 to 1.
        records_per_second: at most about so many of these; above it the share becomes smaller.
        certificates: the one folder that files of certificates may lie in, after symbolic links; None for any. Files
            in the state directory are never read.
        log_files: bytes of all files of TelemetryReceivers together; beyond it the namespace that has most of it loses
            its oldest file.
        log_directory: where files of TelemetryReceivers lie, in a folder per namespace; None for one in `state`, which
            only the agent's user can read.
    """

    state: Path
    token: str | None = None
    metrics: tuple[str, int] | None = None
    concurrency: int = 1
    max_connections: int = 50_000
    stop_engines: bool = False
    access_log: bool = False
    telemetry: bool = True
    telemetry_buffer: int = 256 << 20
    receiver_buffer: int = 1 << 30
    record_share: float = 1.0
    records_per_second: int = 1000
    certificates: Path | None = None
    log_directory: Path | None = None
    log_files: int = 10 << 30
