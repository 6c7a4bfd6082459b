"""What sites are like over time, as charts: asked of the telemetry API with the rights of whoever looks."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from isthmus.console.api import gauge as api
from isthmus.console.error import RequestRefused
from isthmus.console.web.chart import Chart, Series, plot
from isthmus.console.web.timeline import Timeline, lay_out
from isthmus.console.web.traffic import range_of
from isthmus.console.web.visit import Visit
from isthmus.telemetry.window import WindowInvalid, parse_moment

_STEP = 60
"""Seconds of a point at least: sites tell everything once a minute."""
_POINTS = 120
_HEARTBEAT = ("process_up", "agent")
"""Told once a minute with everything else: where it is, a gauge that is missing is zero."""
_SITES, _LABEL_BYTES = 200, 40_000
"""Of one question: its values stand in a URL of at most 64 KiB, where a site takes 72 bytes at most."""
_MOST_QUESTIONS = 12
_MOST_SERIES = 5000
Answers = Mapping[str, api.GaugesAnswer]
_LANES = (("process_up", "{}"), ("stream_up", "stream to {}"), ("bgp_session_up", "BGP session with {}"))
_PROCESSES = {"envoy": "Envoy", "gobgp": "BGP speaker"}


@dataclass(frozen=True, slots=True)
class Trace:
    """A line: a gauge, of these labels or of all when there are none, and how it looks.

    Several labels are one line: their sum, of seconds the greatest, of events how many there were.
    """

    name: str
    tone: str
    gauge: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart of several lines of one unit. `scale`: how many of what a gauge is in are one of the unit."""

    title: str
    unit: str
    traces: tuple[Trace, ...]
    scale: float = 1.0


OF_SITE = (
    Drawing(
        "Open connections", "",
        (Trace("of clients", "accent", "connections_downstream"), Trace("onwards", "second", "connections_upstream")),
    ),
    Drawing(
        "Endpoints", "",
        (
            Trace("healthy", "accent", "endpoints", ("healthy",)),
            Trace("unhealthy", "bad", "endpoints", ("unhealthy",)),
        ),
    ),
    Drawing("Changes of health", "per step", (Trace("of its endpoints", "accent", "health_transitions"),)),
    Drawing(
        "Endpoints elsewhere", "",
        (
            Trace("fresh", "accent", "remote_endpoints", ("fresh",)),
            Trace("stale", "warn", "remote_endpoints", ("stale",)),
        ),
    ),
    Drawing(
        "Lag", "s",
        (
            Trace("configuration", "accent", "configuration_lag_seconds"),
            Trace("health", "second", "health_lag_seconds"),
        ),
    ),
    Drawing("Certificate ends in", "h", (Trace("left", "accent", "certificate_seconds"),), 3600.0),
)  # fmt: skip
"""The charts of a site."""


def of_virtual_host(path: str, endpoints: Sequence[str]) -> tuple[Drawing, ...]:
    """The charts of a virtual host. `endpoints`: keys of those behind it."""
    clients = Drawing("Open connections", "", (Trace("of clients", "accent", "connections_downstream", (path,)),))
    return (clients, *of_endpoints(endpoints))


def of_cluster(path: str, endpoints: Sequence[str]) -> tuple[Drawing, ...]:
    """The charts of a cluster."""
    opened = Trace("to endpoints and sites", "accent", "connections_upstream", (path,))
    return (Drawing("Open connections", "", (opened,)), *of_endpoints(endpoints))


def of_endpoints(keys: Sequence[str]) -> tuple[Drawing, ...]:
    """The chart of how often the health of some endpoints changed."""
    if not keys:
        return ()
    trace = Trace("of its endpoints" if len(keys) > 1 else "of it", "accent", "health_transitions", tuple(keys))
    return (Drawing("Changes of health", "per step", (trace,)),)


async def draw_gauges(visit: Visit, drawings: Sequence[Drawing], sites: Sequence[str]) -> tuple[Chart, ...]:
    """The charts that have anything in them, over the window of the page's address; none where nobody answers.

    `sites` are those that have something to tell.
    """
    found = await _ask(visit, drawings, sites)
    return _draw(found, drawings, _note(drawings, sites)) if found else ()


async def draw_site(visit: Visit, site: str) -> tuple[tuple[Chart, ...], Timeline | None]:
    """The charts of a site, and when its processes, streams and BGP sessions were up; nothing where nobody answers."""
    found = await _ask(visit, OF_SITE, [site], [name for name, _ in _LANES])
    return (_draw(found, OF_SITE), _lanes(found)) if found else ((), None)


def _draw(found: Answers, drawings: Sequence[Drawing], note: str = "") -> tuple[Chart, ...]:
    beats = [series for series in found[_HEARTBEAT[0]].series if series.label == _HEARTBEAT[1]]
    heard = {point.at for series in beats for point in series.points}
    charts = []
    for drawing in drawings:
        traces = [trace for trace in drawing.traces if _series(found[trace.gauge], trace) or (_events(trace) and heard)]
        if traces:
            lines = [_line(found[trace.gauge], trace, heard, drawing.scale) for trace in traces]
            frame = found[traces[0].gauge]
            unit = f"in {_length(frame.step)}" if drawing.unit == "per step" else drawing.unit
            charts.append(plot(drawing.title + note, unit, frame.since, frame.until, frame.step, lines))
    return tuple(charts)


def _lanes(found: Answers) -> Timeline | None:
    frame = found[_HEARTBEAT[0]]
    steps = range(frame.since, frame.until, frame.step)
    lanes = []
    for name, pattern in _LANES:
        for series in found[name].series:
            if (name, series.label) == _HEARTBEAT:
                continue  # an agent that is away tells nothing: its lane has gaps where all others have
            points = {point.at: point.mean for point in series.points}
            title = pattern.format(_PROCESSES.get(series.label, series.label))
            lanes.append((title[:1].upper() + title[1:], [points.get(at) for at in steps]))
    return lay_out(frame.since, frame.until, frame.step, lanes) if lanes else None


async def _ask(
    visit: Visit, drawings: Sequence[Drawing], sites: Sequence[str], others: Sequence[str] = ()
) -> Answers | None:
    """The gauges of some drawings and others, and the heartbeat; None where nobody answers."""
    traces = [trace for drawing in drawings for trace in drawing.traces]
    if not traces or not sites:
        return None
    window = range_of(visit)
    counts = Counter(trace.gauge for trace in traces)
    sums = [name for name, count in counts.items() if count == 1 and name not in others]
    names = sorted({_HEARTBEAT[0], *others, *counts})
    found: dict[str, api.GaugesAnswer] = {}
    labels = _labels(drawings) if not others else []
    try:
        step = _step(window.since, window.until)
        asked = _sites_asked(drawings, sites)
        for start in range(0, len(asked), _SITES):
            for part in _parts(labels):
                where = {"site": list(asked[start : start + _SITES])}
                if part:
                    where["label"] = [_HEARTBEAT[1], *part]
                span = (window.since, window.until, step)
                answers = await api.read_gauges(visit.context, names, where, *span, _MOST_SERIES, sums)
                for name, answer in answers.items():
                    if name not in found:
                        found[name] = answer
                    else:  # of other sites or labels: what is drawn is the sum
                        found[name].series.extend(answer.series)
    except (RequestRefused, WindowInvalid):
        return None
    return found


def _labels(drawings: Sequence[Drawing]) -> list[str]:
    """Those that are drawn; none when a line is of all that there are."""
    traces = [trace for drawing in drawings for trace in drawing.traces]
    if not all(each.labels for each in traces):
        return []
    return list(dict.fromkeys(label for trace in traces for label in trace.labels))


def _note(drawings: Sequence[Drawing], sites: Sequence[str]) -> str:
    """What a sum is not of, for there would be too many questions."""
    labels = _labels(drawings)
    counts = {
        "sites": (len(_sites_asked(drawings, sites)), len(sites)),
        "endpoints": (sum(map(len, _parts(labels))), len(labels)),
    }
    parts = [f"{asked:,} of {total:,} {what}" for what, (asked, total) in counts.items() if asked < total]
    return f" (of {', '.join(parts)})" if parts else ""


def _sites_asked(drawings: Sequence[Drawing], sites: Sequence[str]) -> Sequence[str]:
    """The sites that there are questions enough for."""
    return sites[: max(1, _MOST_QUESTIONS // len(_parts(_labels(drawings)))) * _SITES]


def _parts(labels: Sequence[str]) -> list[list[str]]:
    """As many of them as fit a question, and so on while there are questions; one of none where there are none."""
    found: list[list[str]] = [[]]
    size = 0
    for label in labels:
        size += len(quote(f"'{label}',", safe=""))
        if size > _LABEL_BYTES:
            found.append([])
            size = len(quote(f"'{label}',", safe=""))
        found[-1].append(label)
    return found[:_MOST_QUESTIONS]


def _step(since: str, until: str) -> int:
    now = time.time()
    length = parse_moment(until, now) - parse_moment(since, now)
    return max(_STEP, -(-int(length / _POINTS) // _STEP) * _STEP)


def _length(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _events(trace: Trace) -> bool:
    """Whether it counts what happened: where a site was heard, nothing told means that nothing happened."""
    return trace.gauge == "health_transitions"


def _series(answer: api.GaugesAnswer, trace: Trace) -> list[api.GaugeSeries]:
    return [each for each in answer.series if not trace.labels or each.label in ("", *trace.labels)]


def _line(answer: api.GaugesAnswer, trace: Trace, heard: set[int], scale: float) -> Series:
    values: dict[int, float] = {}
    greatest = trace.gauge.endswith("_seconds")
    for series in _series(answer, trace):
        for point in series.points:
            before = values.get(point.at, 0.0)
            value = (point.total if _events(trace) else point.most if greatest else point.mean) / scale
            values[point.at] = max(before, value) if greatest else before + value
    steps = range(answer.since, answer.until, answer.step)
    return Series(trace.name, trace.tone, [values.get(at, 0.0 if at in heard else None) for at in steps])
