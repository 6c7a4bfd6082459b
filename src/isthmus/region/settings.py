"""What a region is started with. Everything else comes from its objects."""

from dataclasses import dataclass
from pathlib import Path

from isthmus.exporter.setting import OtlpSettings


@dataclass(frozen=True, slots=True)
class RegionSettings:
    """Settings of `isthmus region`.

    Attributes:
        state: directory of everything the region keeps; made accessible to its owner only. A Unix socket lies in it,
            so its absolute path must stay under 80 bytes.
        token: join token, needed at the first start only.
        listen: address and port of the stream for sites; None: those of the Region object.
        bgp_listen: address and port of the BGP tunnel; None: those of the Region object.
        metrics: address and port of the plain HTTP listener for /healthz and /metrics; None for none. Only loopback
            addresses are accepted.
        stop_engines: stop GoBGP on SIGTERM too. By default it runs on, so that a restarted region adopts it with all
            routes; SIGINT always stops it.
        telemetry_buffer: bytes on disk for telemetry that the console has not taken; beyond it the oldest is dropped.
        otlp: where the process's own metrics and log are sent; None for nowhere.
    """

    state: Path
    token: str | None = None
    listen: tuple[str, int] | None = None
    bgp_listen: tuple[str, int] | None = None
    metrics: tuple[str, int] | None = None
    stop_engines: bool = False
    telemetry_buffer: int = 1 << 30
    otlp: OtlpSettings | None = None
