"""Isolation finds exactly what is at fault."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.site.isolation import isolate


@given(
    count=st.integers(1, 60),
    data=st.data(),
)
@settings(max_examples=200)
def test_the_culprits_are_found(count: int, data: st.DataObject) -> None:
    culprits = data.draw(st.frozensets(st.integers(0, count - 1), min_size=1, max_size=4))
    trials = []

    async def accepts(reverted: frozenset[int]) -> bool:
        trials.append(reverted)
        return culprits <= reverted

    coroutine = isolate(range(count), accepts)
    with pytest.raises(StopIteration) as result:  # nothing in it waits
        coroutine.send(None)
    assert result.value.value == culprits
    size = len(culprits)
    assert len(trials) <= 2 * size * math.ceil(math.log2(max(2, count / size))) + 2 * size + 2


async def test_one_suspect_needs_no_trial() -> None:
    async def accepts(reverted: frozenset[str]) -> bool:
        raise AssertionError("no trial is needed")

    assert await isolate(["only"], accepts) == {"only"}
