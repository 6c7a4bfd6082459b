"""Work that is tried again."""

from __future__ import annotations

from random import Random

from isthmus.backoff import Backoff
from isthmus.site.task import persevere

from .hurry import hurried


async def test_work_that_fails_is_tried_again_after_ever_longer_waits_until_it_succeeds() -> None:
    tries = 0

    async def work() -> None:
        nonlocal tries
        tries += 1
        if tries < 8:
            raise RuntimeError("not yet")

    with hurried() as waited:
        await persevere(work, Backoff(Random(1), first=100.0, most=400.0))
    assert tries == 8
    assert 10 + 20 + 5 * 40 < waited() <= 100 + 200 + 5 * 400
