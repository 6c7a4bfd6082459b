"""The service graph: who talks to whom. Nodes and edges from signals, grouped if asked for.

    client -> virtual host -> cluster -> site, and site -> site for what crosses the fabric

A client's node is `client:` and its certificate's URI, `cluster:NAMESPACE/NAME` for an application that is a client
itself, or `client:external`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from isthmus.telemetry.signal import Counts, Group

LAYERS: Mapping[str, tuple[str, str]] = {
    "request": ("client", "virtual_host"),
    "route": ("virtual_host", "cluster"),
    "endpoint": ("cluster", "peer"),
    "fabric": ("site", "peer"),
}
"""Kinds of edges, and the dimensions of their ends."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Node:
    """`kind`: client, virtual-host, cluster, site, or group. `group` is what it was asked to be grouped by."""

    id: str
    kind: str
    name: str
    group: str = ""


@dataclass(slots=True)
class Edge:
    """What went from one node to another. `quantiles` are milliseconds; empty where nodes were grouped."""

    source: str
    target: str
    kind: str
    counts: Counts
    latency: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by id, edges by source, target and kind."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


def node_of(dimension: str, value: str) -> Node:
    """The node of a dimension's value."""
    if dimension == "client":
        if value.startswith("cluster:"):
            return Node(value, "cluster", value.removeprefix("cluster:"))
        return Node(f"client:{value}", "client", value)
    kind = {"virtual_host": "virtual-host", "cluster": "cluster"}.get(dimension, "site")
    name = value or UNKNOWN
    return Node(f"{kind}:{name}", kind, name)


def build_graph(
    layers: Mapping[str, Mapping[Group, tuple[Counts, Mapping[str, float]]]],
    group_of: Callable[[Node], str] | None = None,
    *,
    collapse: bool = False,
) -> Graph:
    """The graph of each layer's groups (pairs of values). `group_of` names the group of a node, empty for none; with
    `collapse` the nodes of a group become one, and edges inside it disappear."""
    nodes: dict[str, Node] = {}
    edges: dict[tuple[str, str, str], Edge] = {}
    for kind, groups in layers.items():
        ends = LAYERS[kind]
        for values, (counts, latency) in groups.items():
            if kind != "request" and not values[1]:  # it was answered on the spot
                continue
            if kind == "fabric" and values[0] == values[1]:  # it stayed
                continue
            pair = [_placed(node_of(end, value), group_of, collapse) for end, value in zip(ends, values, strict=True)]
            if pair[0].id == pair[1].id:
                continue
            for node in pair:
                nodes.setdefault(node.id, node)
            key = (pair[0].id, pair[1].id, kind)
            edge = edges.get(key)
            if edge is None:
                edges[key] = Edge(*key, _copy(counts), dict(latency))
            else:
                _add(edge.counts, counts)
                edge.latency = {}  # quantiles of parts do not add up
    return Graph(tuple(nodes[each] for each in sorted(nodes)), tuple(edges[each] for each in sorted(edges)))


def _placed(node: Node, group_of: Callable[[Node], str] | None, collapse: bool) -> Node:
    group = group_of(node) if group_of is not None else ""
    if group and collapse:
        return Node(f"group:{group}", "group", group, group)
    return Node(node.id, node.kind, node.name, group)


def _copy(counts: Counts) -> Counts:
    copy = Counts()
    _add(copy, counts)
    return copy


def _add(target: Counts, other: Counts) -> None:
    for name in ("requests", "retries", "received", "sent", "total_sum"):
        setattr(target, name, getattr(target, name) + getattr(other, name))
    for mine, theirs in ((target.errors, other.errors), (target.codes, other.codes)):
        for key, number in theirs.items():
            mine[key] = mine.get(key, 0) + number
