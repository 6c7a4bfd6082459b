"""Trees as bytes, to keep them: JSON, compressed."""

import json
import zlib
from typing import Any

from isthmus.interface.histogram import Histogram
from isthmus.interface.node import Node
from isthmus.interface.sample import Sample
from isthmus.interface.tree import Tree
from isthmus.interface.usage import Tally, Usage

_FORM = 1
_MOST_BYTES = 256 << 20


class SnapshotInvalid(ValueError):
    """Bytes that are no tree of this release."""


def emit_tree(tree: Tree) -> bytes:
    """The bytes. What follows from the rest is left out."""
    whole = {"form": _FORM, "root": _emit_node(tree.root), "unmatched": tree.unmatched}
    return zlib.compress(json.dumps(whole, separators=(",", ":")).encode(), 6)


def parse_tree(data: bytes) -> Tree:
    """The tree. Raises SnapshotInvalid."""
    try:
        unpacker = zlib.decompressobj()
        plain = unpacker.decompress(data, _MOST_BYTES)
        if not unpacker.eof:
            raise SnapshotInvalid("The snapshot is cut off, or too large.")
        whole = json.loads(plain)
        if whole["form"] != _FORM:
            raise SnapshotInvalid(f"The snapshot is of form {whole['form']}, not {_FORM}.")
        tree = Tree()
        tree.root = _parse_node(whole["root"])
        tree.unmatched = {str(family): float(weight) for family, weight in whole["unmatched"].items()}
    except (zlib.error, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise SnapshotInvalid(f"The snapshot cannot be read: {error}") from error
    tree.nodes = tree.root.size()
    return tree


def _emit_node(node: Node) -> list[Any]:
    return [
        {label: _emit_node(child) for label, child in node.words.items()},
        {label: _emit_node(child) for label, child in node.variables.items()},
        {method: _emit_usage(usage) for method, usage in node.usages.items()},
        node.values.forms,
        node.values.least,
        node.folded,
    ]


def _parse_node(data: list[Any]) -> Node:
    node = Node()
    words, variables, usages, forms, least, folded = data
    node.words = {label: _parse_node(child) for label, child in words.items()}
    node.variables = {label: _parse_node(child) for label, child in variables.items()}
    node.usages = {method: _parse_usage(usage) for method, usage in usages.items()}
    node.values = Sample({int(number): str(form) for number, form in forms.items()}, str(least))
    node.folded = bool(folded)
    return node


def _emit_usage(usage: Usage) -> list[Any]:
    return [
        usage.first,
        usage.last,
        _emit_tally(usage.tally),
        _emit_histogram(usage.received),
        _emit_histogram(usage.sent),
        usage.credentials,
        usage.query,
        {name: _emit_tally(tally) for name, tally in usage.clients.items()},
        {name: _emit_tally(tally) for name, tally in usage.clusters.items()},
    ]


def _parse_usage(data: list[Any]) -> Usage:
    first, last, tally, received, sent, credentials, query, clients, clusters = data
    return Usage(
        float(first),
        float(last),
        _parse_tally(tally),
        _parse_histogram(received),
        _parse_histogram(sent),
        {name: float(weight) for name, weight in credentials.items()},
        {name: float(weight) for name, weight in query.items()},
        {name: _parse_tally(each) for name, each in clients.items()},
        {name: _parse_tally(each) for name, each in clusters.items()},
    )


def _emit_tally(tally: Tally) -> list[Any]:
    return [tally.requests, tally.codes, _emit_histogram(tally.latency)]


def _parse_tally(data: list[Any]) -> Tally:
    tally = Tally()
    requests, codes, latency = data
    tally.requests = float(requests)
    tally.codes = {int(code): float(weight) for code, weight in codes.items()}
    tally.latency = _parse_histogram(latency)
    return tally


def _emit_histogram(histogram: Histogram) -> list[Any]:
    return [histogram.first, [round(cell, 3) if cell % 1 else int(cell) for cell in histogram.cells]]


def _parse_histogram(data: list[Any]) -> Histogram:
    first, cells = data
    return Histogram(int(first), [float(cell) for cell in cells])
