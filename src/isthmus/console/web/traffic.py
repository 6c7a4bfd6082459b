"""What requests did, as charts: asked of the telemetry API with the rights of whoever looks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.console.api import telemetry as api
from isthmus.console.api.telemetry_answer import PointAnswer, SeriesAnswer, SignalAnswer, SignalsAnswer
from isthmus.console.error import RequestRefused
from isthmus.console.web.chart import Chart, Series, plot
from isthmus.console.web.visit import Visit
from isthmus.telemetry.window import WindowInvalid, parse_moment

_USUAL = "-15m"
BAD, WARN = 0.05, 0.01
"""Shares of failures from which a line is red, and amber."""
_SHORTEST_STEP = 5
_DELAY = 8.0
"""Seconds after which every site has told of its requests: steps that end later would look low, and are not drawn."""
_PLACES = ("ingress", "fabric", "egress", "application")


@dataclass(frozen=True, slots=True)
class Range:
    """The window that the address asks for: `-15m` until `now`, or two moments in seconds since 1970."""

    since: str
    until: str

    @property
    def live(self) -> bool:
        """Whether it ends now, so that the page is renewed."""
        return self.until == "now"


def range_of(visit: Visit, usual: str = _USUAL) -> Range:
    """The window of the page's address."""
    return Range(visit.query("since") or usual, visit.query("until") or "now")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Charts and totals of some requests; `problem` says why there are none."""

    window: Range
    charts: tuple[Chart, ...] = ()
    total: SignalAnswer | None = None
    split: tuple[tuple[str, float, float], ...] = ()
    since: int = 0
    until: int = 0
    problem: str = ""


async def ask(
    visit: Visit,
    window: Range,
    by: Sequence[str] = (),
    where: Sequence[str] = (),
    *,
    series: bool = True,
    limit: int = 100,
) -> SignalsAnswer:
    """Golden signals. Raises RequestRefused."""
    return await api.signals(
        visit.context,
        visit.caller,
        since=window.since,
        until=window.until,
        by=list(by),
        where=list(where),
        step=_step(window),
        series=series,
        split=False,
        limit=limit,
    )


def _step(window: Range) -> int | None:
    """Seconds of a point: of short windows not single seconds, in which a few requests more or less look like much."""
    now = time.time()
    try:
        length = parse_moment(window.until, now) - parse_moment(window.since, now)
    except WindowInvalid:
        return None  # refused with the reason when it is asked
    return _SHORTEST_STEP if 0 < length <= 120 * _SHORTEST_STEP else None


async def measure(visit: Visit, where: Sequence[str] = ()) -> Traffic:
    """The charts of the requests that meet the conditions, over the window of the page's address."""
    window = range_of(visit)
    try:
        answer = await ask(visit, window, (), where)
    except RequestRefused as refused:
        return Traffic(window, problem=refused.message)
    if not answer.groups:
        return Traffic(window, since=answer.since, until=answer.until)
    group = answer.groups[0]
    charts = draw(answer, group)
    return Traffic(window, charts, group.total, split_of(group.total), answer.since, answer.until)


def draw(answer: SignalsAnswer, group: SeriesAnswer) -> tuple[Chart, ...]:
    """Rate, failures and latency of one group."""
    frame = (answer.since, answer.until, answer.step)
    points = {point.at: point for point in group.points}
    heard = time.time() - _DELAY
    steps = [at for at in range(answer.since, answer.until, answer.step) if at + answer.step <= heard]

    def values(read: Callable[[PointAnswer], float | None], missing: float | None) -> list[float | None]:
        return [read(points[at]) if at in points else missing for at in steps]

    def quantile(name: str) -> list[float | None]:
        return values(lambda point: getattr(point.latency.total, name) if point.latency.total else None, None)

    rate = [Series("requests", "accent", values(lambda point: point.rate, 0.0))]
    share = [
        Series("failed", "bad", values(lambda point: 100 * point.error_rate, None)),
        Series("refused", "warn", values(lambda point: 100 * point.client_errors / max(1, point.requests), None)),
    ]
    latency = [
        Series("p99", "third", quantile("p99")),
        Series("p90", "second", quantile("p90")),
        Series("p50", "accent", quantile("p50")),
    ]
    return (
        plot("Requests", "/s", *frame, rate, fill=True),
        plot("Failures", "%", *frame, share),
        plot("Latency", "ms", *frame, latency),
    )


def split_of(signal: SignalAnswer) -> tuple[tuple[str, float, float], ...]:
    """Where requests spent their time on average: place, milliseconds, percent of the whole."""
    found = [(place, getattr(signal.latency, place)) for place in _PLACES]
    means = [(place, max(0.0, latency.mean)) for place, latency in found if latency is not None]
    whole = sum(mean for _, mean in means)
    return tuple((place, mean, 100 * mean / whole) for place, mean in means) if whole else ()


async def hits(visit: Visit, by: str, where: Sequence[str]) -> Mapping[str, SignalAnswer]:
    """Totals over the window, by one dimension; empty when telemetry does not answer."""
    try:
        answer = await ask(visit, range_of(visit), (by,), where, series=False, limit=1000)
    except RequestRefused:
        return {}
    return {group.labels[by]: group.total for group in answer.groups}
