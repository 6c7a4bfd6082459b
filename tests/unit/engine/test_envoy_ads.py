"""The discovery server's store, without a stream."""

from __future__ import annotations

from pathlib import Path

from isthmus.engine.envoy import CLUSTER, ENDPOINT, AdsServer


async def test_a_set_undoes_an_update_even_if_its_mappings_are_the_same_objects() -> None:
    server = AdsServer(Path("unused"))
    resources = {ENDPOINT: {"a": b"1", "b": b"1"}, CLUSTER: {"a": b"1"}}
    server.set(resources)
    server.update({ENDPOINT: {"a": b"2", "b": None}})
    push = server.set(resources)
    assert push.keys == {(ENDPOINT, "a"), (ENDPOINT, "b")}
    assert server.resources() == resources


async def test_a_set_without_a_type_removes_its_resources() -> None:
    server = AdsServer(Path("unused"))
    server.set({ENDPOINT: {"a": b"1"}, CLUSTER: {"a": b"1"}})
    assert server.set({CLUSTER: {"a": b"1"}}).keys == {(ENDPOINT, "a")}
    assert server.resources() == {ENDPOINT: {}, CLUSTER: {"a": b"1"}}


async def test_a_push_of_nothing_is_done() -> None:
    server = AdsServer(Path("unused"))
    server.set({CLUSTER: {"a": b"1"}})
    push = server.update({CLUSTER: {"a": b"1"}})
    assert push.done
    assert await push.acked() == ()
