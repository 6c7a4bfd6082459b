"""What sites are like over time, as charts: asked of the telemetry API with the rights of whoever looks."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.console.api import gauge as api
from isthmus.console.error import RequestRefused
from isthmus.console.web.chart import Chart, Series, plot
from isthmus.console.web.traffic import range_of
from isthmus.console.web.visit import Visit
from isthmus.telemetry.window import WindowInvalid, parse_moment

_STEP = 60
"""Seconds of a point at least: sites tell everything once a minute."""
_POINTS = 120
_HEARTBEAT = ("process_up", "agent")
"""Told once a minute with everything else: where it is, a gauge that is missing is zero."""


@dataclass(frozen=True, slots=True)
class Trace:
    """A line: a gauge, its label or None for the sum (of seconds: the greatest) over all labels, and how it looks."""

    name: str
    tone: str
    gauge: str
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart of several lines of one unit."""

    title: str
    unit: str
    traces: tuple[Trace, ...]


OF_SITE = (
    Drawing(
        "Open connections", "",
        (Trace("of clients", "accent", "connections_downstream"), Trace("onwards", "second", "connections_upstream")),
    ),
    Drawing(
        "Endpoints", "",
        (Trace("healthy", "accent", "endpoints", "healthy"), Trace("unhealthy", "bad", "endpoints", "unhealthy")),
    ),
    Drawing(
        "Lag", "s",
        (
            Trace("configuration", "accent", "configuration_lag_seconds"),
            Trace("health", "second", "health_lag_seconds"),
        ),
    ),
)  # fmt: skip
"""The charts of a site."""


def of_virtual_host(path: str) -> tuple[Drawing, ...]:
    """The charts of a virtual host."""
    return (Drawing("Open connections of clients", "", (Trace("open", "accent", "connections_downstream", path),)),)


async def draw_gauges(visit: Visit, drawings: Sequence[Drawing], site: str = "") -> tuple[Chart, ...]:
    """The charts that have anything in them, over the window of the page's address; none where nobody answers."""
    window, sites = range_of(visit), [site] if site else []
    names = sorted({trace.gauge for drawing in drawings for trace in drawing.traces})
    try:
        step = _step(window.since, window.until)
        answers = await asyncio.gather(
            *(
                api.gauges(
                    visit.context, visit.caller, name, window.since, window.until, sites,
                    [_HEARTBEAT[1]] if name == _HEARTBEAT[0] else [], step, 1000,
                )
                for name in (_HEARTBEAT[0], *names)
            )
        )  # fmt: skip
    except (RequestRefused, WindowInvalid):
        return ()
    heard = {point.at for series in answers[0].series for point in series.points}
    found = dict(zip(names, answers[1:], strict=True))
    charts = []
    for drawing in drawings:
        traces = [trace for trace in drawing.traces if _series(found[trace.gauge], trace)]
        if traces:
            lines = [_line(found[trace.gauge], trace, heard) for trace in traces]
            frame = found[traces[0].gauge]
            charts.append(plot(drawing.title, drawing.unit, frame.since, frame.until, frame.step, lines))
    return tuple(charts)


def _step(since: str, until: str) -> int:
    now = time.time()
    length = parse_moment(until, now) - parse_moment(since, now)
    return max(_STEP, -(-int(length / _POINTS) // _STEP) * _STEP)


def _series(answer: api.GaugesAnswer, trace: Trace) -> list[api.GaugeSeries]:
    return [each for each in answer.series if trace.label is None or each.label == trace.label]


def _line(answer: api.GaugesAnswer, trace: Trace, heard: set[int]) -> Series:
    values: dict[int, float] = {}
    for series in _series(answer, trace):
        for point in series.points:
            before = values.get(point.at, 0.0)
            greatest = trace.gauge.endswith("_seconds")
            values[point.at] = max(before, point.most) if greatest else before + point.mean
    steps = range(answer.since, answer.until, answer.step)
    return Series(trace.name, trace.tone, [values.get(at, 0.0 if at in heard else None) for at in steps])
