"""The file of last accepted resources."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.site.resource_file import ResourceFileError, emit_resource_file, parse_resource_file

RESOURCES = st.dictionaries(
    st.text(max_size=8),
    st.dictionaries(st.text(max_size=8), st.binary(max_size=40), min_size=1, max_size=4),
    max_size=4,
)


@given(RESOURCES)
def test_round_trip(resources: dict[str, dict[str, bytes]]) -> None:
    assert parse_resource_file(emit_resource_file(resources)) == resources


@pytest.mark.parametrize("cut", [0, 10, 30, -1])
def test_a_cut_file_is_refused(cut: int) -> None:
    with pytest.raises(ResourceFileError):
        parse_resource_file(emit_resource_file({"t": {"n": b"body"}})[:cut])


def test_a_changed_file_is_refused() -> None:
    data = bytearray(emit_resource_file({"t": {"n": b"body"}}))
    data[30] ^= 1
    with pytest.raises(ResourceFileError):
        parse_resource_file(bytes(data))
