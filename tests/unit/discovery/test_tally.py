"""Servers put together from parts that change."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.discovery.found import Found
from isthmus.discovery.tally import Tally

servers = st.builds(
    Found,
    address=st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
    port=st.sampled_from([80, 81]),
    labels=st.sampled_from([(), (("version", "1"),)]),
    healthy=st.booleans(),
)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.frozensets(servers, max_size=4))))
def test_it_equals_the_union_of_its_parts(changes: list[tuple[str, frozenset[Found]]]) -> None:
    tally, parts = Tally(), {}
    for part, found in changes:
        tally.set(part, found)
        parts[part] = found
    wanted: dict[tuple[str, int], Found] = {}
    for each in sorted((each for found in parts.values() for each in found), key=lambda each: (not each.healthy, each)):
        wanted.setdefault((each.address, each.port), each)
    assert tally.found() == tuple(sorted(wanted.values()))
    assert set(tally.parts()) == {part for part, found in parts.items() if found}
