"""Laws of learning: order and division do not matter, to keep it loses nothing, and memory has a bound."""

import json
import zlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.interface.endpoint import list_endpoints
from isthmus.interface.snapshot import SnapshotInvalid, emit_tree, parse_tree
from isthmus.interface.tree import Tree
from isthmus.interface.usage import Call

_SEGMENTS = st.sampled_from(["users", "me", "search", "7", "8", "ann", "bob", "x-1", "", "2026-01-02", "a.json", "%20"])
_CALLS = st.lists(
    st.builds(
        Call,
        method=st.sampled_from(["GET", "POST", "OPTIONS", ""]),
        path=st.lists(_SEGMENTS, max_size=5).map(lambda parts: "/" + "/".join(parts)) | st.text(max_size=20),
        code=st.sampled_from([0, 200, 201, 301, 404, 500]),
        client=st.sampled_from(["", "external", "cluster:a/b"]),
        cluster=st.sampled_from(["", "shop/web"]),
        credential=st.sampled_from(["header", "none"]),
        at=st.integers(0, 1000).map(float),
        latency=st.integers(0, 300),
        received=st.integers(0, 300),
        sent=st.integers(0, 300),
        weight=st.integers(1, 4).map(float),
    ),
    max_size=60,
)


def learned(calls: Sequence[Call]) -> Tree:
    tree = Tree()
    for call in calls:
        tree.learn(call)
    return tree


def whole(tree: Tree) -> Any:
    """All that a tree knows, in one order."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ordered(value[key]) for key in sorted(value)}
        return [ordered(each) for each in value] if isinstance(value, list) else value

    return ordered(json.loads(zlib.decompress(emit_tree(tree))))


def merged(*trees: Tree) -> Tree:
    found = Tree()
    for tree in trees:
        found.merge(tree)
    return found


@given(_CALLS, _CALLS, _CALLS)
def test_to_merge_is_to_add_up(one: list[Call], two: list[Call], three: list[Call]) -> None:
    a, b, c = learned(one), learned(two), learned(three)
    before = whole(a)
    assert whole(merged(a, b, c)) == whole(merged(c, a, b)) == whole(merged(merged(a, b), c))
    assert whole(a) == before


@given(_CALLS, _CALLS)
def test_parts_that_learned_apart_know_what_one_would(one: list[Call], two: list[Call]) -> None:
    good = [call._replace(code=200) for call in (*one, *two)]  # what fails counts only where success was seen before
    apart = merged(learned(good[: len(one)]), learned(good[len(one) :]))
    assert whole(apart) == whole(learned(good))
    shown = [(each.method, each.path, each.usage.tally.requests) for each in list_endpoints(apart)]
    assert shown == [(e.method, e.path, e.usage.tally.requests) for e in list_endpoints(learned(good))]


@given(_CALLS)
def test_nothing_is_lost(calls: list[Call]) -> None:
    tree = learned(calls)
    counted = sum(each.usage.tally.requests for each in list_endpoints(tree)) + sum(tree.unmatched.values())
    assert counted == sum(call.weight for call in calls)


@given(_CALLS)
def test_what_is_kept_comes_back(calls: list[Call]) -> None:
    tree = learned(calls)
    again = parse_tree(emit_tree(tree))
    assert whole(again) == whole(tree)
    assert again.nodes == tree.nodes


@given(st.binary(max_size=60) | st.binary(max_size=60).map(zlib.compress))
def test_damaged_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(SnapshotInvalid):
        parse_tree(data)
