"""What happened lately, and the state of each site in brief: read off what regions and sites report, as it arrives.

Kept in memory; `event_log.py` keeps the events on disk, and every state is heard anew. Reports are taken apart once
when they arrive, so that a page over thousands of sites parses none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from isthmus.console.figure import read_count, read_figure
from isthmus.console.observation import Observation
from isthmus.console.receiver_state import ReceiverState, parse_receivers
from isthmus.console.recent import RecentEvents
from isthmus.console.record import Event, Level
from isthmus.protocol import AppliedReport, PresenceReport, StatusReport

_LONGEST_TEXT, _LONGEST_KEY = 1000, 260


@dataclass(frozen=True, slots=True)
class EndpointState:
    """One endpoint as its site sees it. `healthy` is None until the first probe; `since` is seconds since 1970."""

    site: str
    cluster: str
    endpoint: str
    address: str
    healthy: bool | None
    reason: str
    since: float | None
    announced: bool


@dataclass(frozen=True, slots=True)
class SiteBrief:
    """The state of a site in brief. Times are seconds since 1970."""

    release: str = ""
    started: float | None = None
    envoy: str = ""
    envoy_error: str = ""
    bgp: str = ""
    sessions: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[EndpointState, ...] = ()
    remote: int = 0
    stale: int = 0
    certificate_until: float | None = None
    receivers: tuple[ReceiverState, ...] = ()

    @property
    def unhealthy(self) -> tuple[EndpointState, ...]:
        """The endpoints that are not in use because a probe failed."""
        return tuple(each for each in self.endpoints if each.healthy is False)


class Watch:
    """Events and briefs. `feed` methods are called with every report, before the observation takes it in."""

    def __init__(self) -> None:
        self._events = RecentEvents()
        self._briefs: dict[str, SiteBrief] = {}
        self._endpoints: dict[str, dict[str, EndpointState]] = {}
        self._number = 0
        self._saved = 0
        self.lost: Counter[str] = Counter()
        """Events that made room for others before they were on disk, by subject."""

    # Keeping

    def load(self, events: Iterable[Event]) -> None:
        """Go on after events of before, given newest first."""
        for each in sorted(events, key=lambda event: event.number):
            self._events.add(each)
            self._number = self._saved = each.number

    def unsaved(self) -> list[Event]:
        """The events that are not on disk yet, oldest first."""
        return self._events.after(self._saved)

    def saved(self, number: int) -> None:
        """The events up to this number are on disk."""
        self._saved = number

    # Reading

    @property
    def number(self) -> int:
        """The number of the newest event."""
        return self._number

    def brief(self, subject: str) -> SiteBrief:
        """The state of a site; an empty one before its first report."""
        return self._briefs.get(subject) or SiteBrief()

    def endpoint(self, key: str) -> tuple[EndpointState, ...]:
        """An endpoint as each of its sites sees it, by site and cluster."""
        return tuple(self._endpoints.get(key, {}).values())

    def events(self, subject: str = "", level: str = "", text: str = "") -> Iterator[Event]:
        """What happened, newest first: of one subject or all, of one level or all, with a text in it."""
        wanted = text.lower()
        for event in self._events.newest_first():
            if subject and event.subject != subject:
                continue
            if level and event.level != level:
                continue
            if wanted and wanted not in f"{event.subject} {event.text} {event.key}".lower():
                continue
            yield event

    # Feeding

    def feed_presence(self, observation: Observation, via: str, report: PresenceReport) -> None:
        """A subject was connected to the peer `via`, or disconnected."""
        known = observation.of(report.subject)
        peer = via.rpartition("/")[2]
        if report.connected == (via in known.via):
            return
        if report.connected:
            text = f"connected through {peer}" if via != report.subject else "connected"
            self._add(report.at, "good", report.subject, text)
        else:
            others = [name for name in known.via if name != via]
            if others:
                self._add(report.at, "warn", report.subject, f"lost its stream to {peer}; another one holds")
            else:
                self._add(report.at, "bad", report.subject, "disconnected")

    def feed_applied(self, observation: Observation, report: AppliedReport, now: float) -> None:
        """A subject uses a version."""
        known = observation.of(report.subject)
        if known.applied is not None and report.version < known.applied:
            return
        before = {(each.key, each.code, each.message) for each in known.rejections}
        for each in report.rejections:
            if (each.key, each.code, each.message) not in before:
                self._add(now, "bad", report.subject, f"rejected: {each.message}", each.key)
        gone = {key for key, _, _ in before} - {each.key for each in report.rejections}
        for key in sorted(gone):
            self._add(now, "good", report.subject, "is not rejected any more", key)

    def feed_status(self, report: StatusReport) -> None:
        """A site's or region's report."""
        try:
            document = from_json(report.body, allow_inf_nan=False)
        except ValueError:
            return
        if not isinstance(document, dict) or "/site/" not in report.subject:
            return
        known = self._briefs.get(report.subject)
        brief = parse_brief(report.subject.rpartition("/")[2], document)
        self._briefs[report.subject] = brief
        self._index(known, brief)
        if known is not None:
            self._compare(report.subject, report.at, known, brief)

    def forget(self, subject: str) -> None:
        """A subject was deleted."""
        known = self._briefs.pop(subject, None)
        if known is not None:
            self._index(known, SiteBrief())

    def _index(self, old: SiteBrief | None, new: SiteBrief) -> None:
        for each in old.endpoints if old is not None else ():
            states = self._endpoints.get(each.endpoint, {})
            states.pop(f"{each.site} {each.cluster}", None)
            if not states:
                self._endpoints.pop(each.endpoint, None)
        for each in new.endpoints:
            self._endpoints.setdefault(each.endpoint, {})[f"{each.site} {each.cluster}"] = each

    def _compare(self, subject: str, at: float, old: SiteBrief, new: SiteBrief) -> None:
        if new.started != old.started:
            self._add(at, "info", subject, "its agent started")
        for what, before, after in (("Envoy", old.envoy, new.envoy), ("BGP speaker", old.bgp, new.bgp)):
            if before != after and after:
                level: Level = "good" if after == "running" else "warn" if after == "starting" else "bad"
                self._add(at, level, subject, f"its {what} is {after}")
        for region, state in new.sessions.items():
            if old.sessions.get(region, state) != state:
                good = state == "live"
                self._add(at, "good" if good else "warn", subject, f"its BGP session to {region} is {state}")
        health = {(each.endpoint, each.cluster): each.healthy for each in old.endpoints}
        for each in new.endpoints:
            before_health = health.get((each.endpoint, each.cluster))
            if each.healthy is before_health or (before_health is None and each.healthy is not False):
                continue
            if each.healthy is False:
                text = f"is unhealthy in {_path(each.cluster)}: {each.reason or 'its probes fail'}"
                self._add(at, "bad", subject, text, each.endpoint)
            elif each.healthy:
                self._add(at, "good", subject, f"is healthy again in {_path(each.cluster)}", each.endpoint)

    def _add(self, at: float, level: Level, subject: str, text: str, key: str = "") -> None:
        self._number += 1
        gone = self._events.add(
            Event(self._number, at, level, subject, _line(text)[:_LONGEST_TEXT], _line(key)[:_LONGEST_KEY])
        )
        if gone is not None and gone.number > self._saved:
            self.lost[gone.subject] += 1


def _path(key: str) -> str:
    """`shop/web` of a key that a site told of."""
    return "/".join(key.split("/")[2:]) or key


def _line(text: str) -> str:
    """What a site said, as one line that every database keeps."""
    return "".join(char if char.isprintable() else " " for char in text)


def parse_brief(site: str, document: Mapping[str, Any]) -> SiteBrief:
    """The brief of a report. What is missing or of another form counts as unknown: sites may be of another release."""
    envoy, bgp = _mapping(document.get("envoy")), _mapping(document.get("bgp"))
    remote, certificate = _mapping(document.get("remote")), _mapping(document.get("certificate"))
    sessions = [_mapping(each) for each in _list(bgp.get("sessions"))]
    return SiteBrief(
        release=str(document.get("release") or ""),
        started=read_figure(document.get("started")),
        envoy=str(envoy.get("state") or ""),
        envoy_error=str(envoy.get("error") or ""),
        bgp=str(bgp.get("state") or ""),
        sessions={str(each.get("region")): str(each.get("state")) for each in sessions},
        endpoints=tuple(_endpoint(site, _mapping(each)) for each in _list(document.get("endpoints"))),
        remote=read_count(remote.get("total")),
        stale=read_count(remote.get("stale")),
        certificate_until=read_figure(certificate.get("validUntil")),
        receivers=tuple(parse_receivers(site, document)),
    )


def _endpoint(site: str, document: Mapping[str, Any]) -> EndpointState:
    healthy, since = document.get("healthy"), read_figure(document.get("since"))
    if healthy is False and since is None:  # no probe has ended yet
        healthy = None
    address = str(document.get("address") or "")
    return EndpointState(
        site=site,
        cluster=str(document.get("cluster")),
        endpoint=str(document.get("endpoint")),
        address=f"[{address}]:{document.get('port')}" if ":" in address else f"{address}:{document.get('port')}",
        healthy=healthy if isinstance(healthy, bool) else None,
        reason=str(document.get("reason") or ""),
        since=since,
        announced=document.get("announced") is True,
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
