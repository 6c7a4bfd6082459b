"""Finds the objects whose new versions make Envoy refuse, with few trials."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

Accepts = Callable[[frozenset[T]], Awaitable[bool]]
"""Whether everything is accepted when the given ones are reverted to their last good versions."""


async def isolate(suspects: Sequence[T], accepts: Accepts[T]) -> frozenset[T]:
    """Return a minimal set of suspects whose reversion makes everything acceptable.

    QuickXplain (Junker 2004): k culprits among n suspects take about 2k·log2(n/k) + 2k trials. Every trial reverts only
    what may be at fault, so what runs meanwhile is as close to the wanted state as is known to be safe. Assumes that
    reverting all suspects is acceptable, since that was in use before; where it is not (another program took a port),
    the answer is all suspects, and the caller finds out with its last trial.
    """
    return await _minimal(list(suspects), frozenset(), accepts, known=False)


async def _minimal(suspects: list[T], base: frozenset[T], accepts: Accepts[T], *, known: bool) -> frozenset[T]:
    """`known`: reverting `base` alone was just found, or is known, not to be enough."""
    if not suspects:
        return frozenset()
    if not known and base and await accepts(base):
        return frozenset()
    if len(suspects) == 1:
        return frozenset(suspects)
    middle = len(suspects) // 2
    first, second = suspects[:middle], suspects[middle:]
    from_first = await _minimal(first, base | frozenset(second), accepts, known=False)
    from_second = await _minimal(second, base | from_first, accepts, known=not from_first)
    return from_first | from_second
