"""API endpoints: which virtual hosts have APIs, their endpoints, and one endpoint with its distributions."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query, Response

from isthmus.console.api import interface as api
from isthmus.console.api.interface_answer import BinAnswer, InterfaceEndpoint, InterfaceSummary
from isthmus.console.error import RequestRefused
from isthmus.console.web.chart import significant
from isthmus.console.web.listing import PAGE_SIZE, Page, page_of
from isthmus.console.web.page import HEADERS, PageRoute, show
from isthmus.console.web.traffic import BAD, WARN
from isthmus.console.web.visit import Reader

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")
_ORDERS = {
    "path": ("By path", lambda each: (each.path, each.method)),
    "busy": ("Busiest first", lambda each: -each.requests),
    "slow": ("Slowest first", lambda each: -(each.latency.p99 if each.latency else 0.0)),
    "failed": ("Most errors first", lambda each: (-each.errors, -each.requests)),
    "new": ("Newest first", lambda each: -each.first_seen),
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a distribution, in a box of 100 by 100."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """How something is distributed, as bars over a logarithmic axis from `least` to `most`."""

    title: str
    unit: str
    bars: tuple[Bar, ...]
    least: str
    most: str
    summary: str


@router.get("/apis")
async def interfaces(visit: Reader) -> Response:
    """Virtual hosts of which an API is known."""
    items: list[InterfaceSummary] = []
    problem, total, number = "", 0, 1
    try:
        names = await api.host_names(visit.context, visit.query("q"))
        page: Page[str] = page_of(visit, names)
        total, number = len(names), page.number
        answer = await api.interfaces(
            visit.context, visit.caller, search=visit.query("q"), offset=(number - 1) * PAGE_SIZE, limit=PAGE_SIZE
        )
        items = answer.items
    except RequestRefused as refused:
        problem, page = refused.message, page_of(visit, [])
    return show(visit, "interfaces.html", title="API endpoints", items=items, page=page, total=total, problem=problem)


@router.get("/apis/{namespace}/{name}")
async def interface(namespace: str, name: str, visit: Reader) -> Response:
    """The endpoints of one virtual host, or of one edge of the service graph."""
    client, cluster = visit.query("client"), visit.query("cluster")
    answer = await api.interface(
        visit.context,
        visit.caller,
        namespace,
        name,
        client=client,
        cluster=cluster,
        method=visit.query("method"),
        search=visit.query("q"),
        limit=5000,
    )
    order = visit.query("sort") if visit.query("sort") in _ORDERS else "path"
    return show(
        visit,
        "interface.html",
        title=f"API of {namespace}/{name}",
        host=f"{namespace}/{name}",
        target=_target(namespace, name),
        page=page_of(visit, sorted(answer.endpoints, key=_ORDERS[order][1])),
        unmatched=sum(answer.unmatched.values()),
        methods=_METHODS,
        orders=[(value, title) for value, (title, _) in _ORDERS.items()],
        edge=(f"from {client}" if client else "") + (f" to {cluster}" if cluster else ""),
        filtered=bool(client or cluster or visit.query("method") or visit.query("q")),
        level=level_of,
        detail=lambda each: (
            f"{_target(namespace, name)}/endpoint?{urlencode({'method': each.method, 'path': each.path})}"
        ),
    )


@router.get("/apis/{namespace}/{name}/endpoint")
async def endpoint(namespace: str, name: str, visit: Reader, method: Annotated[str, Query()] = "") -> Response:
    """One endpoint: its distributions, who asks for it, and which clusters answer."""
    found = await api.endpoint(visit.context, visit.caller, namespace, name, method, visit.query("path"))
    host = f"{namespace}/{name}"
    requests = urlencode(
        {"virtual_host": host, "method": found.method, "path": longest_part(found.path), "since": "-1d"}
    )
    return show(
        visit,
        "endpoint.html",
        title=f"{found.method} {found.path}",
        host=host,
        target=_target(namespace, name),
        found=found,
        level=level_of(found),
        requests=f"/requests?{requests}",
        distributions=[
            draw("Latency", "ms", found.latency_bins),
            draw("Response bodies", "bytes", found.sent_bins),
            draw("Request bodies", "bytes", found.received_bins),
        ],
    )


@router.get("/apis/{namespace}/{name}/openapi.json")
async def openapi(namespace: str, name: str, visit: Reader) -> Response:
    """The OpenAPI document, to be saved."""
    document = await api.openapi(visit.context, visit.caller, namespace, name)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{namespace}-{name}.openapi.json"'}
    return Response(json.dumps(document, indent=2), media_type="application/json", headers=headers)


def level_of(endpoint: InterfaceEndpoint) -> str:
    """By its share of errors."""
    share = endpoint.errors / max(1, endpoint.requests)
    return "bad" if share >= BAD else "warn" if share >= WARN else "good"


def longest_part(path: str) -> str:
    """The longest part of a path without a variable: what requests to it have in common."""
    parts, rest = [], path
    while "{" in rest:
        before, _, rest = rest.partition("{")
        parts.append(before)
        rest = rest.partition("}")[2]
    return max([*parts, rest], key=len)


def draw(title: str, unit: str, bins: Sequence[BinAnswer]) -> Distribution:
    """Bars side by side, one for each bucket between the least and the greatest."""
    known = [each for each in bins if each.middle > 0]
    if not known:
        return Distribution(title, unit, (), "0", "0", "")
    least, most = known[0].middle, known[-1].middle
    step = math.log(1.1)
    width = 100 / (round(math.log(most / least) / step) + 1)
    top = max(each.requests for each in known)
    bars = []
    for each in known:
        height = max(2.0, 100 * each.requests / top)
        left = width * round(math.log(each.middle / least) / step)
        bars.append(Bar(round(left, 2), round(100 - height, 2), round(width * 0.9, 2), round(height, 2)))
    low, high = significant(least), significant(most)
    return Distribution(title, unit, tuple(bars), low, high, f"{title} from {low} to {high} {unit}")


def _target(namespace: str, name: str) -> str:
    return f"/apis/{quote(namespace, safe='')}/{quote(name, safe='')}"
