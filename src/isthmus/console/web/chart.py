"""Charts of time series, as SVG made on the server. Pure: values in, paths out.

A chart's box is 600 by 100 and is stretched to its place; words and numbers stand beside it as text, so that they have
the size of all other text. What a pointer or the arrow keys read off is in `data`.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

WIDTH, HEIGHT = 600.0, 100.0
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One line: `values` has one entry per step, None where nothing was measured. `tone` names its colour."""

    name: str
    tone: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Line:
    """A series as it is drawn."""

    name: str
    tone: str
    path: str
    area: str
    last: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What a template draws.

    Attributes:
        ticks: labels of the vertical axis, top first.
        times: labels of the horizontal axis, left first.
        data: JSON of all values, for whoever points at it.
        empty: nothing was measured.
    """

    title: str
    unit: str
    lines: tuple[Line, ...]
    ticks: tuple[str, ...]
    times: tuple[str, ...]
    data: str
    empty: bool
    summary: str


def plot(
    title: str, unit: str, since: int, until: int, step: int, series: Sequence[Series], *, fill: bool = False
) -> Chart:
    """The chart of some series over the steps from `since` to `until` (seconds since 1970)."""
    count = max(1, (until - since) // step)
    known = [value for each in series for value in each.values if value is not None]
    top = ceiling(max(known, default=0.0))
    lines = tuple(
        Line(
            each.name,
            each.tone,
            _path(each.values, count, top),
            _area(each.values, count, top) if fill and not index else "",
            _last(each, unit),
        )
        for index, each in enumerate(series)
    )
    moments = [since + index * step for index in range(count)]
    data = {
        "unit": unit,
        "times": [clock(moment, until - since) for moment in moments],
        "series": [[None if value is None else significant(value) for value in each.values] for each in series],
    }
    marks = [since + (until - since) * part / 4 for part in range(5)]
    return Chart(
        title=title,
        unit=unit,
        lines=lines,
        ticks=tuple(significant(top * part / 4) for part in (4, 3, 2, 1, 0)),
        times=tuple(clock(mark, until - since) for mark in marks),
        data=json.dumps(data, separators=(",", ":")),
        empty=not any(known),
        summary="; ".join(f"{line.name} {line.last}" for line in lines),
    )


def ceiling(value: float) -> float:
    """The round number at or above a value at which an axis ends."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(size * nice for nice in _NICE if size * nice >= value * 0.999)


def significant(value: float) -> str:
    """Three significant digits, without needless zeros: `0.25`, `12.5`, `1 250`."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.1e}"


def _path(values: Sequence[float | None], count: int, top: float) -> str:
    parts: list[str] = []
    pen_down = False
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        x, y = WIDTH * (index + 0.5) / count, HEIGHT - HEIGHT * value / top
        lonely = not pen_down and (index + 1 >= len(values) or values[index + 1] is None)
        parts.append(f"{'L' if pen_down else 'M'}{x:.1f} {y:.1f}" + ("h.1" if lonely else ""))
        pen_down = True
    return "".join(parts)


def _area(values: Sequence[float | None], count: int, top: float) -> str:
    points = [
        (WIDTH * (index + 0.5) / count, HEIGHT - HEIGHT * (value or 0.0) / top) for index, value in enumerate(values)
    ]
    if not points:
        return ""
    line = "".join(f"L{x:.1f} {y:.1f}" for x, y in points)
    return f"M{points[0][0]:.1f} {HEIGHT:g}{line}L{points[-1][0]:.1f} {HEIGHT:g}z"


def _last(series: Series, unit: str) -> str:
    value = next((each for each in reversed(series.values) if each is not None), None)
    return "–" if value is None else f"{significant(value)} {unit}".strip()


def clock(moment: float, length: float) -> str:
    """A moment of an axis (seconds since 1970) that is so many seconds long, UTC."""
    pattern = "%H:%M:%S" if length <= 1800 else "%H:%M" if length <= 86_400 else "%m-%d %H:%M"
    return datetime.fromtimestamp(moment, UTC).strftime(pattern)
