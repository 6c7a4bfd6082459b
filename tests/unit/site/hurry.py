"""Waits that are over at once: the event loop's clock goes on by what it would have slept."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def hurried() -> Iterator[Callable[[], float]]:
    """Gives the seconds of waits that were left out so far. They have passed on the loop's clock, `loop.time`, beside
    those that passed by themselves.

    Only for what waits for nothing but time: a socket that somebody else is to write to would never be waited for.
    """
    loop: Any = asyncio.get_running_loop()
    clock, select, passed = loop.time, loop._selector.select, 0.0

    def hurry(timeout: float | None) -> Any:
        nonlocal passed
        if timeout:
            passed += timeout
        return select(0 if timeout else timeout)

    loop.time, loop._selector.select = lambda: clock() + passed, hurry
    try:
        yield lambda: passed
    finally:
        loop.time, loop._selector.select = clock, select
