"""What requests did, as charts: asked of the telemetry API with the rights of whoever looks."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
_BYTES = ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s"))
_REASONS = (
    ("connection", "bad", ("unreachable", "reset")),
    ("timeout", "warn", ("timeout",)),
    ("overload", "third", ("overload",)),
    ("answer 5xx", "second", ("server-error", "injected")),
)
"""Lines of why requests failed: name, tone, classes of failure."""
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

    @property
    def held(self) -> dict[str, str]:
        """The same as two moments, at an address that shows the same to whoever it is passed on to."""
        return self._moved(0.0)

    @property
    def earlier(self) -> dict[str, str]:
        """The time before it, by half of its length."""
        return self._moved(-0.5)

    @property
    def later(self) -> dict[str, str]:
        """The time after it, by half of its length; one that would end after now ends now."""
        return self._moved(0.5)

    @property
    def words(self) -> str:
        """`2026-11-28 10:00:00 to 10:15:00 UTC`."""
        since, until = (datetime.fromtimestamp(each, UTC) for each in self._bounds())
        same_day = since.date() == until.date()
        return f"{since:%Y-%m-%d %H:%M:%S} to " + f"{until:{'%H:%M:%S' if same_day else '%Y-%m-%d %H:%M:%S'}} UTC"

    def _bounds(self) -> tuple[float, float]:
        now = time.time()
        try:
            return parse_moment(self.since, now), parse_moment(self.until, now)
        except WindowInvalid:  # the page says so where the charts would stand
            return now - 900, now

    def _moved(self, lengths: float) -> dict[str, str]:
        since, until = self._bounds()
        length = until - since
        if lengths > 0 and until + lengths * length >= time.time():
            return {"since": f"-{max(1, min(999_999, round(length)))}s", "until": ""}
        return {"since": f"{since + lengths * length:.0f}", "until": f"{until + lengths * length:.0f}"}


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


async def measure(visit: Visit, where: Sequence[str] = (), *, closely: bool = False) -> Traffic:
    """The charts of the requests that meet the conditions, over the window of the page's address.

    `closely`: also throughput, retries and why requests failed.
    """
    window = range_of(visit)
    try:
        answer = await ask(visit, window, (), where)
    except RequestRefused as refused:
        return Traffic(window, problem=refused.message)
    if not answer.groups:
        return Traffic(window, since=answer.since, until=answer.until)
    group = answer.groups[0]
    charts = (*draw(answer, group), *(draw_closely(answer, group) if closely else ()))
    return Traffic(window, charts, group.total, split_of(group.total), answer.since, answer.until)


def _reader(
    answer: SignalsAnswer, group: SeriesAnswer
) -> Callable[[Callable[[PointAnswer], float | None], float | None], list[float | None]]:
    """Reads a value off every step that is told of in full; of steps without requests it is what is given."""
    points = {point.at: point for point in group.points}
    heard = time.time() - _DELAY
    steps = [at for at in range(answer.since, answer.until, answer.step) if at + answer.step <= heard]
    return lambda read, missing: [read(points[at]) if at in points else missing for at in steps]


def draw(answer: SignalsAnswer, group: SeriesAnswer) -> tuple[Chart, ...]:
    """Rate, failures and latency of one group."""
    frame = (answer.since, answer.until, answer.step)
    values = _reader(answer, group)

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


def draw_closely(answer: SignalsAnswer, group: SeriesAnswer) -> tuple[Chart, ...]:
    """Throughput, and retries beside why requests failed: connections that were refused or broke among it."""
    frame = (answer.since, answer.until, answer.step)
    values = _reader(answer, group)
    most = max((max(point.received, point.sent) for point in group.points), default=0.0)
    scale, unit = next(each for each in _BYTES if most >= each[0] or each[0] == 1)
    throughput = [
        Series("out", "accent", values(lambda point: point.sent / scale, 0.0)),
        Series("in", "second", values(lambda point: point.received / scale, 0.0)),
    ]

    def failed(classes: Sequence[str]) -> list[float | None]:
        return values(
            lambda point: sum(point.errors_by_class.get(each, 0) for each in classes) / answer.step,
            0.0,
        )

    reasons = [Series("retries", "accent", values(lambda point: point.retries / answer.step, 0.0))]
    reasons += [
        Series(name, tone, failed(classes))
        for name, tone, classes in _REASONS
        if any(group.total.errors_by_class.get(each) for each in classes)
    ]
    return (plot("Throughput", unit, *frame, throughput), plot("Retries and errors", "/s", *frame, reasons))


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
