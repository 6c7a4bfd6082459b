"""Requests to learn from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from isthmus.interface.endpoint import Endpoint, list_endpoints
from isthmus.interface.histogram import bucket_of
from isthmus.interface.tree import Tree
from isthmus.interface.usage import Call


def call(path: str, method: str = "GET", code: int = 200, **values: Any) -> Call:
    """A request that took 10 ms."""
    given = {
        "client": "external", "cluster": "shop/web", "credential": "none", "at": 1000.0,
        "latency": bucket_of(10_000), "received": 0, "sent": bucket_of(2_000), **values,
    }  # fmt: skip
    return Call(method, path, code, **given)


def learned(calls: Iterable[Call]) -> Tree:
    """A tree that has seen these."""
    tree = Tree()
    for each in calls:
        tree.learn(each)
    return tree


def shapes(tree: Tree) -> set[str]:
    """Methods and paths with nameless variables."""
    return {f"{each.method} {each.shape}" for each in list_endpoints(tree)}


def only(tree: Tree, path: str) -> Endpoint:
    """The one endpoint with this path."""
    found = [each for each in list_endpoints(tree) if each.path == path]
    assert len(found) == 1, [each.path for each in list_endpoints(tree)]
    return found[0]
