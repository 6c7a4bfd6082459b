"""Python's collection of cyclic garbage, held up while a large plan is made."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """No collection meanwhile, nor of what was made meanwhile.

    A first plan makes millions of objects that all stay, and the collector walks all of them again and again as they
    grow in number: a third of the time. What stays from before the end is left out of later collections, too.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
