"""Figures in reports of sites, which a site may write as it likes."""

from typing import Any

_MOST = 1e15
"""Beyond every moment, size and count; larger integers need not fit a float."""


def read_figure(value: Any) -> float | None:
    """The number; None when it is none that a report could mean."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
        return float(value)
    return None


def read_count(value: Any) -> int:
    """The number of some things; 0 when it is none."""
    return max(0, int(read_figure(value) or 0))
