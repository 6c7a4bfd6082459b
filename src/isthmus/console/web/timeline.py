"""What was up and what was down over time: one lane for each process, session or stream. Pure: values in, boxes out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isthmus.console.web.chart import WIDTH, clock

_WORDS = {"good": "up", "warn": "up for a part of the time", "bad": "down"}


@dataclass(frozen=True, slots=True)
class Piece:
    """A time in which nothing changed: its place in a lane that is `chart.WIDTH` wide, and words for it."""

    x: float
    width: float
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    """Attributes:
    name: what was up or down.
    pieces: in order; nothing stands where nothing was told.
    share: percent of the time of which something was told that it was up; None for a lane with nothing in it.
    """

    name: str
    pieces: tuple[Piece, ...]
    share: float | None

    @property
    def words(self) -> str:
        """`100 %`, or a dash where nothing was told."""
        return "–" if self.share is None else f"{percent(self.share)} %"

    @property
    def summary(self) -> str:
        """All of it in words: `100 % up`, `80 % up; 10:02:00 to 10:04:00 down`."""
        if self.share is None:
            return "nothing was told"
        wrong = [piece.text for piece in self.pieces if piece.level != "good"]
        return "; ".join([f"{percent(self.share)} % up", *wrong])


@dataclass(frozen=True, slots=True)
class Timeline:
    """Lanes over one time. `times`: labels of the axis, left first."""

    lanes: tuple[Lane, ...]
    times: tuple[str, ...]


def lay_out(since: int, until: int, step: int, lanes: Sequence[tuple[str, Sequence[float | None]]]) -> Timeline:
    """The timeline of some lanes.

    Args:
        since, until: seconds since 1970.
        step: seconds of each value.
        lanes: names, and for each step the share of it (0 to 1) in which that was up, None where nothing was told.
    """
    marks = [since + (until - since) * part / 4 for part in range(5)]
    return Timeline(
        tuple(_lane(name, since, until, step, values) for name, values in lanes),
        tuple(clock(mark, until - since) for mark in marks),
    )


def percent(share: float) -> str:
    """Three digits, and never `100` for less than all: `99.98`."""
    return "100" if share >= 100 else "0" if share <= 0 else f"{min(share, 99.99):.4g}"


def _lane(name: str, since: int, until: int, step: int, values: Sequence[float | None]) -> Lane:
    known = [value for value in values if value is not None]
    share = 100 * sum(known) / len(known) if known else None
    return Lane(name, tuple(_pieces(since, until, step, values)), share)


def _pieces(since: int, until: int, step: int, values: Sequence[float | None]) -> Iterator[Piece]:
    count, length = max(1, (until - since) // step), until - since
    begun = 0
    for index in range(1, len(values) + 1):
        level = _level(values[begun])
        if index < len(values) and _level(values[index]) == level:
            continue
        if level:
            left, right = (clock(since + at * step, length) for at in (begun, index))
            x, width = WIDTH * begun / count, WIDTH * (index - begun) / count
            yield Piece(x, width, level, f"{left} to {right} {_WORDS[level]}")
        begun = index


def _level(value: float | None) -> str:
    return "" if value is None else "good" if value >= 1 else "bad" if value <= 0 else "warn"
