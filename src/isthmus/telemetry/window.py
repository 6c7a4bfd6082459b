"""Time windows of questions, and which roll-up answers them."""

import re
from dataclasses import dataclass

_RELATIVE = re.compile(r"-(\d{1,6})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800)
_POINTS = 120
"""Points of a series that nobody asked a step for, at most."""
MOST_POINTS = 1500
SECONDS_KEPT = 6 * 3600
"""How far back single seconds are looked up; before that, minutes."""


class WindowInvalid(ValueError):
    """A time or step that cannot be read or answered; the message says why."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `since` (inclusive) to `until` (exclusive): seconds since 1970, both multiples of `step` seconds."""

    since: int
    until: int
    step: int
    suffix: str

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.until - self.since


def parse_moment(text: str, now: float) -> float:
    """`-15m` (before now), `now`, or seconds since 1970. Raises WindowInvalid."""
    if text in ("", "now"):
        return now
    match = _RELATIVE.fullmatch(text)
    if match:
        return now - int(match[1]) * _SECONDS[match[2]]
    try:
        moment = float(text)
    except ValueError:
        raise WindowInvalid(f"{text!r} is no time: write -15m, now, or seconds since 1970.") from None
    if not 0 <= moment < 1e11:
        raise WindowInvalid(f"{text!r} is not a time in seconds since 1970.")
    return moment


def plan_window(since: float, until: float, step: int | None, now: float) -> Window:
    """The window to answer, with the roll-up that has what it needs. Raises WindowInvalid."""
    if until <= since:
        raise WindowInvalid("A window begins before it ends.")
    length = until - since
    if step is None:
        step = next((each for each in _STEPS if length / each <= _POINTS), _STEPS[-1])
    if since < now - SECONDS_KEPT:
        step = max(step, 60)
    suffix = "" if step < 60 else "_1m" if step < 3600 else "_1h"
    unit = {"": 1, "_1m": 60, "_1h": 3600}[suffix]
    step = -(-step // unit) * unit
    begin, end = int(since // step) * step, int(-(-until // step)) * step
    if (end - begin) / step > MOST_POINTS:
        raise WindowInvalid(f"At steps of {step} seconds the window has more than {MOST_POINTS} points.")
    return Window(begin, end, step, suffix)
