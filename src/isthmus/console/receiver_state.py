"""Receivers of telemetry as sites report them. A site may say anything: what is of another form counts as unknown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.console.figure import read_count, read_figure

LOSS_SHOWN = 600.0
"""Seconds for which a loss is a concern."""
_MOST = 1000
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """One receiver at one site. Times are seconds since 1970.

    Attributes:
        receiver: `NAMESPACE/NAME`.
        target: where it sends; empty for one that is no more, of which only losses are told.
        lost: items that it will never get, by reason.
    """

    site: str
    receiver: str
    target: str = ""
    since: float | None = None
    delivered: int = 0
    waiting: int = 0
    waiting_bytes: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    lost_at: float | None = None
    error: str = ""
    error_since: float | None = None
    delivered_at: float | None = None

    @property
    def signal(self) -> str:
        """Of what a process sends of itself: which of its signals it is."""
        return self.receiver

    @property
    def key(self) -> str:
        """Of the object, as text."""
        return f"default/TelemetryReceiver/{self.receiver}"

    @property
    def losses(self) -> int:
        """Items lost, in all."""
        return sum(self.lost.values())

    def loses(self, now: float) -> bool:
        """Whether it has lost something lately."""
        return self.lost_at is not None and now - self.lost_at < LOSS_SHOWN

    def word(self, now: float) -> tuple[str, str]:
        """Level and word for a page."""
        if self.error:
            return "bad", "fails"
        if self.loses(now):
            return "warn", "loses"
        return ("good", "works") if self.target else ("idle", "removed")


def parse_receivers(site: str, report: Mapping[str, Any]) -> Iterator[ReceiverState]:
    """Those of a site's report."""
    telemetry = report.get("telemetry")
    found = telemetry.get("receivers") if isinstance(telemetry, dict) else None
    for each in found[:_MOST] if isinstance(found, list) else ():
        if isinstance(each, dict):
            yield _state(site, each)


def parse_signals(report: Any) -> Iterator[ReceiverState]:
    """What a console or region sends of itself to a collector."""
    found = report.get("otlp") if isinstance(report, dict) else None
    for each in found[:_MOST] if isinstance(found, list) else ():
        if isinstance(each, dict):
            yield _state("", {**each, "receiver": each.get("signal")})


def _state(site: str, each: Mapping[str, Any]) -> ReceiverState:
    waiting, lost = each.get("waiting"), each.get("lost")
    waiting = waiting if isinstance(waiting, dict) else {}
    return ReceiverState(
        site=site,
        receiver=_line(each.get("receiver")),
        target=_line(each.get("target")),
        since=read_figure(each.get("since")),
        delivered=read_count(each.get("delivered")),
        waiting=read_count(waiting.get("items")),
        waiting_bytes=read_count(waiting.get("bytes")),
        lost={_line(name): read_count(items) for name, items in lost.items()} if isinstance(lost, dict) else {},
        lost_at=read_figure(each.get("lostAt")),
        error=_line(each.get("error")),
        error_since=read_figure(each.get("errorSince")),
        delivered_at=read_figure(each.get("deliveredAt")),
    )


def _line(value: Any) -> str:
    return "".join(char if char.isprintable() else " " for char in str(value or "")[:_LONGEST])
