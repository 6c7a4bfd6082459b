"""The service graph: clients, virtual hosts, clusters and sites in columns, and what goes between them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import APIRouter, Response

from isthmus.console.api import telemetry as api
from isthmus.console.api.telemetry_answer import EdgeAnswer, GraphAnswer, NodeAnswer
from isthmus.console.error import RequestRefused
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.shape import href
from isthmus.console.web.traffic import BAD, WARN, range_of
from isthmus.console.web.visit import Reader
from isthmus.model.key import DEFAULT_TENANT, ObjectKey

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_COLUMNS = ("client", "virtual-host", "cluster", "site")
_TITLES = ("Clients", "Virtual hosts", "Clusters", "Sites")
_ROW, _LEFT, _GAP, _BOX = 44.0, 8.0, 250.0, 150.0
_MOST_ROWS = 40


@dataclass(frozen=True, slots=True)
class Box:
    """A node where it is drawn."""

    id: str
    name: str
    kind: str
    x: float
    y: float
    level: str
    rate: float
    href: str


@dataclass(frozen=True, slots=True)
class Arc:
    """An edge where it is drawn."""

    path: str
    width: float
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """The graph in its pixels. `left_out` nodes have the least traffic of their column."""

    boxes: tuple[Box, ...]
    arcs: tuple[Arc, ...]
    titles: tuple[tuple[float, str], ...]
    width: float
    height: float
    left_out: int


@router.get("/graph")
async def graph(visit: Reader) -> Response:
    """The service graph of a window, compared with an earlier one if that is asked for."""
    window = range_of(visit)
    answer: GraphAnswer | None = None
    problem = ""
    where = [f"namespace={visit.query('namespace')}"] if visit.query("namespace") else []
    try:
        answer = await api.graph(
            visit.context,
            visit.caller,
            since=window.since,
            until=window.until,
            where=where,
            group=visit.query("group"),
            collapse=False,
            compare=visit.query("compare"),
        )
    except RequestRefused as refused:
        problem = refused.message
    namespaces = sorted({key.namespace for key in visit.context.deployment.records if key.kind == "VirtualHost"})
    return show(
        visit,
        "graph.html",
        title="Service graph",
        window=window,
        answer=answer,
        drawing=draw(answer.nodes, answer.edges) if answer else None,
        edges=sorted(answer.edges, key=lambda edge: -edge.signal.requests)[:200] if answer else (),
        names={node.id: node.name for node in answer.nodes} if answer else {},
        problem=problem,
        namespaces=namespaces,
    )


def draw(nodes: Sequence[NodeAnswer], edges: Sequence[EdgeAnswer]) -> Drawing:
    """Lay the nodes out in columns.

    1. Each column keeps its busiest nodes. 2. A node stands as high as the mean of what leads to it, so that few edges
    cross. 3. Edges are as wide as the logarithm of their rate.
    """
    rates: dict[str, float] = {}
    failed: dict[str, float] = {}
    for edge in edges:
        if edge.kind == "fabric":
            continue
        for end in {edge.source, edge.target}:
            rates[end] = max(rates.get(end, 0.0), 0.0) + edge.signal.rate
            failed[end] = failed.get(end, 0.0) + edge.signal.rate * edge.signal.error_rate
    drawn = [edge for edge in edges if edge.kind != "fabric" and edge.source in rates and edge.target in rates]
    column_of = {node.id: _COLUMNS.index(node.kind) for node in nodes if node.kind in _COLUMNS}
    columns: list[list[NodeAnswer]] = [[] for _ in _COLUMNS]
    left_out = 0
    for index, column in enumerate(columns):
        members = [node for node in nodes if column_of.get(node.id) == index and node.id in rates]
        members.sort(key=lambda node: (-rates[node.id], node.id))
        left_out += max(0, len(members) - _MOST_ROWS)
        column += members[:_MOST_ROWS]
    tallest = max((len(column) for column in columns), default=0)
    place: dict[str, tuple[float, float]] = {}
    for index, column in enumerate(columns):
        order = {node.id: _height(node.id, drawn, place) for node in column}
        column.sort(key=lambda node: (order[node.id], -rates[node.id], node.id))
        top = 40 + (tallest - len(column)) * _ROW / 2
        for row, node in enumerate(column):
            place[node.id] = (_LEFT + index * _GAP, top + row * _ROW)
    boxes = [
        Box(
            node.id,
            node.name,
            node.kind,
            *place[node.id],
            _level(failed[node.id] / max(rates[node.id], 1e-9)),
            rates[node.id] / _sides(node.kind),
            _href(node),
        )
        for column in columns
        for node in column
    ]
    arcs = [_arc(edge, place) for edge in drawn if edge.source in place and edge.target in place]
    titles = tuple((_LEFT + index * _GAP, title) for index, title in enumerate(_TITLES) if columns[index])
    return Drawing(tuple(boxes), tuple(arcs), titles, 2 * _LEFT + 3 * _GAP + _BOX, 56 + tallest * _ROW, left_out)


def _sides(kind: str) -> int:
    """A node in the middle has its requests on both sides."""
    return 2 if kind in ("virtual-host", "cluster") else 1


def _height(node: str, edges: Sequence[EdgeAnswer], place: dict[str, tuple[float, float]]) -> float:
    sources = [place[edge.source][1] for edge in edges if edge.target == node and edge.source in place]
    return sum(sources) / len(sources) if sources else 0.0


def _level(share: float) -> str:
    return "bad" if share >= BAD else "warn" if share >= WARN else "good"


def _arc(edge: EdgeAnswer, place: dict[str, tuple[float, float]]) -> Arc:
    (x1, y1), (x2, y2) = place[edge.source], place[edge.target]
    x1, y1, y2 = x1 + _BOX, y1 + 15, y2 + 15
    bend = (x2 - x1) / 2
    signal = edge.signal
    latency = f", p99 {signal.latency.total.p99:.3g} ms" if signal.latency.total else ""
    text = f"{signal.rate:.3g} requests/s, {100 * signal.error_rate:.3g} % failed{latency}"
    path = f"M{x1:.1f} {y1:.1f}C{x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return Arc(path, round(1.2 + 1.6 * math.log10(1 + signal.rate), 2), _level(signal.error_rate), text)


def _href(node: NodeAnswer) -> str:
    namespace, _, name = node.name.rpartition("/")
    kind = {"virtual-host": "VirtualHost", "cluster": "Cluster", "site": "Site"}.get(node.kind)
    if kind is None or node.name == "unknown":
        return ""
    return href(ObjectKey(DEFAULT_TENANT, kind, namespace, name))
