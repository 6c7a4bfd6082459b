"""/telemetry: what requests did. Golden signals, requests by any field, the service graph."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query

from isthmus.console.api.answer import ErrorAnswer
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.api.telemetry_answer import (
    EdgeAnswer,
    GraphAnswer,
    LatencyAnswer,
    LossAnswer,
    NodeAnswer,
    PointAnswer,
    RecordAnswer,
    RecordList,
    RequestPath,
    RolloutAnswer,
    SeriesAnswer,
    SignalAnswer,
    SignalsAnswer,
    SplitAnswer,
    TelemetryStatus,
)
from isthmus.console.error import RequestRefused
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.telemetry.graph import LAYERS, Graph, Node, build_graph
from isthmus.telemetry.question import (
    DIMENSIONS,
    Question,
    QuestionInvalid,
    Selection,
    ask_egress,
    ask_latencies,
    ask_losses,
    ask_records,
    ask_remote,
    ask_signals,
)
from isthmus.telemetry.signal import Counts, Group, Latencies, add_counts, split_latencies
from isthmus.telemetry.store import QueryRefused, StoreUnavailable
from isthmus.telemetry.window import Window, WindowInvalid, parse_moment, plan_window

router = APIRouter(prefix="/telemetry", tags=["telemetry"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (422, 503)}

Since = Annotated[str, Query(description="`-15m` (s, m, h, d before now), or seconds since 1970.")]
Until = Annotated[str, Query(description="As `since`; `now`.")]
By = Annotated[list[str], Query(description=f"Tell apart by: {', '.join(DIMENSIONS)}. May be repeated.")]
Where = Annotated[
    list[str], Query(description="`virtual_host=shop/site`; the same name twice: any of them. May be repeated.")
]
_LABELLED = {"virtual-host": "VirtualHost", "cluster": "Cluster"}


@router.get("/signals", responses=_ERRORS)
async def signals(
    context: Context,
    caller: Caller,
    since: Since = "-15m",
    until: Until = "now",
    by: By = [],  # noqa: B006 - FastAPI copies it
    where: Where = [],  # noqa: B006
    step: Annotated[int | None, Query(ge=1, le=604_800, description="Seconds of a point.")] = None,
    series: Annotated[bool, Query(description="With points, not only totals.")] = True,
    split: Annotated[bool, Query(description="With the points' latencies in all places, not only in total.")] = False,
    limit: Annotated[int, Query(ge=1, le=1000, description="Groups at most.")] = 20,
) -> SignalsAnswer:
    """Rate, errors by class, latency p50, p90 and p99 with its parts, throughput and retries, as time series."""
    window = plan_range(since, until, step)
    selection = _select(window, by, where)
    totals = await _measure(context, selection)
    groups = sorted(totals, key=lambda key: (-totals[key][0].requests, key))
    chosen = groups[:limit]
    points: dict[Group, list[PointAnswer]] = {}
    if series and chosen:
        for (at, group), (counts, places) in (await _measure_series(context, selection, split=split)).items():
            answer = _signal(counts, places, window.step)
            points.setdefault(group, []).append(PointAnswer(at=at, **dict(answer)))
    return SignalsAnswer(
        since=window.since,
        until=window.until,
        step=window.step,
        more=len(groups) - len(chosen),
        groups=[
            SeriesAnswer(
                labels=dict(zip(selection.by, group, strict=True)),
                total=_signal(*totals[group], window.seconds),
                points=sorted(points.get(group, []), key=lambda point: point.at),
            )
            for group in chosen
        ],
    )


@router.get("/records", responses=_ERRORS)
async def records(
    context: Context,
    caller: Caller,
    since: Since = "-1h",
    until: Until = "now",
    where: Annotated[
        list[str],
        Query(description="`path~/cart`, `code>=500`, `total>250` (milliseconds), `route=shop/home`. May be repeated."),
    ] = [],  # noqa: B006
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> RecordList:
    """Single requests that meet every condition, newest first. Which are kept whole, each site's sampling says;
    failures always are."""
    now = time.time()
    begin, end = _moment(since, now), _moment(until, now)
    found = [_record(row) for row in await ask_store(context, _checked(ask_records, begin, end, where, limit))]
    return RecordList(items=found, before=found[-1].at if len(found) == limit else None)


@router.get("/records/{request_id}", responses={**_ERRORS, 404: {"model": ErrorAnswer}})
async def request_path(context: Context, caller: Caller, request_id: str, since: Since = "-1d") -> RequestPath:
    """One request at every site that it passed, with the time that it spent in each place."""
    now = time.time()
    question = ask_records(
        DEFAULT_TENANT, _moment(since, now), now + 60, [f"request_id={request_id}"], 10, oldest_first=True
    )
    hops = [_record(row) for row in await ask_store(context, question)]
    hops.sort(key=lambda hop: (hop.log != "ingress", hop.at))
    first = next((hop for hop in hops if hop.log == "ingress"), None)
    if first is None:
        raise RequestRefused(404, "not-found", f"There is no request {request_id} in the records.")
    last = next((hop for hop in reversed(hops) if hop.log == "egress"), None)
    path = RequestPath(request_id=request_id, hops=hops, total=first.total, ingress=first.own)
    if last is not None and last.site != first.site:
        path.fabric = round(max(0.0, first.upstream - last.total), 3)
        path.egress, path.application = last.own, last.upstream
    elif first.peer == first.site:
        path.application = first.upstream
    return path


@router.get("/graph", responses=_ERRORS)
async def graph(
    context: Context,
    caller: Caller,
    since: Since = "-15m",
    until: Until = "now",
    where: Where = [],  # noqa: B006
    group: Annotated[str, Query(description="Groups: `namespace`, `site` or a label such as `app_type`.")] = "",
    collapse: Annotated[bool, Query(description="One node for each group.")] = False,
    compare: Annotated[str, Query(description="Beginning of a window as long, to compare with; as `since`.")] = "",
) -> GraphAnswer:
    """Who talks to whom: clients, virtual hosts, clusters and sites, with rate, errors and latency of each edge."""
    window = plan_range(since, until, None)
    found = await _graph(context, window, where, group, collapse)
    before: Graph | None = None
    if compare:
        moment = _moment(compare, time.time())
        before = await _graph(context, _plan(moment, moment + window.seconds, None), where, group, collapse)
    earlier = {(e.source, e.target, e.kind): e for e in before.edges} if before is not None else {}
    now_there = {(edge.source, edge.target, edge.kind) for edge in found.edges}
    edges = []
    for edge in found.edges:
        old = earlier.get((edge.source, edge.target, edge.kind))
        answer = EdgeAnswer(
            source=edge.source,
            target=edge.target,
            kind=edge.kind,
            signal=_signal(edge.counts, {"total": edge.latency}, window.seconds),
        )
        if before is not None:
            counts, latency = (old.counts, old.latency) if old is not None else (Counts(), {})
            answer.before = _signal(counts, {"total": latency}, window.seconds)
        edges.append(answer)
    nodes = {node.id: node for node in found.nodes}
    for key, edge in earlier.items():
        if key not in now_there and before is not None:
            nodes.update((node.id, node) for node in before.nodes if node.id in key and node.id not in nodes)
            edges.append(
                EdgeAnswer(
                    source=edge.source,
                    target=edge.target,
                    kind=edge.kind,
                    signal=_signal(Counts(), {}, window.seconds),
                    before=_signal(edge.counts, {"total": edge.latency}, window.seconds),
                )
            )
    return GraphAnswer(
        since=window.since,
        until=window.until,
        nodes=[NodeAnswer(id=n.id, kind=n.kind, name=n.name, group=n.group) for n in nodes.values()],
        edges=edges,
    )


@router.get("/rollout", responses=_ERRORS)
async def rollout(
    context: Context,
    caller: Caller,
    route: str,
    cluster: str,
    subset: str = "",
    seconds: Annotated[int, Query(ge=5, le=86_400)] = 60,
) -> RolloutAnswer:
    """Requests, error rate and latency of one cluster or subset behind one route over the last seconds."""
    now = time.time()
    where = {"route": [route], "cluster": [cluster], **({"subset": [subset]} if subset else {})}
    window = _plan(now - seconds, now, None)
    measured = await _measure(context, Selection(DEFAULT_TENANT, window, (), where))
    counts, places = measured.get((), (Counts(), {}))
    total = places.get("total")
    return RolloutAnswer(
        requests=counts.requests,
        errors=counts.failed,
        error_rate=counts.failed / counts.requests if counts.requests else 0.0,
        latency=LatencyAnswer(**total) if total else None,
    )


@router.get("/status")
async def telemetry_status(context: Context, caller: Caller) -> TelemetryStatus:
    """Whether telemetry works, and what was lost on its way."""
    telemetry = context.telemetry
    if telemetry is None:
        return TelemetryStatus(
            ready=False, error="This console takes no telemetry.", store="none", batches=0, requests=0, lost=[]
        )
    lost, now = [], time.time()
    if telemetry.ready:
        lost = await ask_store(context, ask_losses(DEFAULT_TENANT, now - 86_400, now + 60))
    return TelemetryStatus(
        ready=telemetry.ready,
        error=telemetry.error,
        store=telemetry.kind,
        batches=telemetry.batches,
        requests=telemetry.requests,
        lost=[
            LossAnswer(role=row["role"], name=row["site"], reason=row["reason"], requests=row["requests"])
            for row in lost
        ],
    )


async def _graph(context: ApiContext, window: Window, where: Sequence[str], group: str, collapse: bool) -> Graph:
    layers: dict[str, dict[Group, tuple[Counts, Latencies]]] = {}
    selections = {kind: _select(window, ends, where) for kind, ends in LAYERS.items()}
    answers = await asyncio.gather(*(_measure(context, each, split=False) for each in selections.values()))
    for kind, measured in zip(selections, answers, strict=True):
        layers[kind] = {values: (counts, places.get("total", {})) for values, (counts, places) in measured.items()}
    return build_graph(layers, (lambda node: _group_of(context, node, group)) if group else None, collapse=collapse)


def _group_of(context: ApiContext, node: Node, group: str) -> str:
    """The group that a node belongs to, empty for none."""
    if group == "namespace":
        return node.name.partition("/")[0] if node.kind in _LABELLED and "/" in node.name else ""
    if group == "site":
        return node.name if node.kind == "site" else ""
    kind = _LABELLED.get(node.kind)
    if kind is None and node.kind != "site":
        return ""
    namespace, _, name = node.name.rpartition("/")
    record = context.deployment.records.get(ObjectKey(DEFAULT_TENANT, kind or "Site", namespace, name))
    return record.object.metadata.labels.get(group, "") if record is not None else ""


async def _measure(
    context: ApiContext, selection: Selection, *, split: bool = True
) -> dict[Group, tuple[Counts, dict[str, Latencies]]]:
    """Counts and latencies of each group over the whole window."""
    found = await _measured(context, selection, split=split)
    return {group: value for (_, group), value in found.items()}


async def _measure_series(
    context: ApiContext, selection: Selection, *, split: bool
) -> dict[tuple[int, Group], tuple[Counts, dict[str, Latencies]]]:
    series = Selection(selection.tenant, selection.window, selection.by, selection.where, series=True)
    return await _measured(context, series, split=split)


async def _measured(
    context: ApiContext, selection: Selection, *, split: bool
) -> dict[tuple[int, Group], tuple[Counts, dict[str, Latencies]]]:
    questions = [ask_signals(selection), ask_latencies(selection)]
    if split:
        questions += [ask_remote(selection), ask_egress(selection)]
    rows = await asyncio.gather(*(ask_store(context, question) for question in questions))
    remote, egress = (rows[2], rows[3]) if split else ([], [])
    counts = add_counts(rows[0], selection.by)
    measured = [name for name in selection.by if name not in ("code", "error")]
    places = split_latencies(rows[1], remote, egress, measured)
    keep = [index for index, name in enumerate(selection.by) if name in measured]
    return {
        (at, group): (each, places.get((at, tuple(group[index] for index in keep)), {}))
        for (at, group), each in counts.items()
    }


async def ask_store(context: ApiContext, question: Question) -> list[dict[str, Any]]:
    telemetry = context.telemetry
    if telemetry is None:
        raise RequestRefused(503, "no-telemetry", "This console takes no telemetry.")
    if not telemetry.ready:
        raise RequestRefused(503, "telemetry-not-ready", telemetry.error)
    try:
        return await telemetry.store.query(question.sql, question.parameters)
    except StoreUnavailable as error:
        raise RequestRefused(503, "telemetry-unavailable", str(error)) from error
    except QueryRefused as error:
        raise RequestRefused(422, "query-refused", f"The telemetry store does not answer this: {error}") from error


def _checked(ask: Any, since: float, until: float, where: Sequence[str], limit: int) -> Question:
    try:
        question: Question = ask(DEFAULT_TENANT, since, until, where, limit)
    except QuestionInvalid as error:
        raise RequestRefused(422, "invalid", str(error)) from None
    return question


def _select(window: Window, by: Sequence[str], where: Sequence[str]) -> Selection:
    wanted: dict[str, list[str]] = {}
    for text in where:
        name, separator, value = text.partition("=")
        if not separator:
            raise RequestRefused(422, "invalid", f"{text!r} is no condition: write NAME=VALUE.")
        wanted.setdefault(name, []).append(value)
    try:
        selection = Selection(DEFAULT_TENANT, window, tuple(dict.fromkeys(by)), wanted)
        ask_signals(selection)
    except QuestionInvalid as error:
        raise RequestRefused(422, "invalid", str(error)) from None
    return selection


def plan_range(since: str, until: str, step: int | None) -> Window:
    now = time.time()
    return _plan(_moment(since, now), _moment(until, now), step)


def _plan(since: float, until: float, step: int | None) -> Window:
    try:
        return plan_window(since, until, step, time.time())
    except WindowInvalid as error:
        raise RequestRefused(422, "invalid", str(error)) from None


def _moment(text: str, now: float) -> float:
    try:
        return parse_moment(text, now)
    except WindowInvalid as error:
        raise RequestRefused(422, "invalid", str(error)) from None


def _record(row: dict[str, Any]) -> RecordAnswer:
    times = {name: row[name] / 1000 for name in ("total", "own", "upstream")}
    return RecordAnswer(**{**row, **times, "at": int(row["at"]) / 1e6})


def _signal(counts: Counts, places: dict[str, Latencies], seconds: float) -> SignalAnswer:
    requests = counts.requests
    return SignalAnswer(
        requests=requests,
        rate=round(requests / seconds, 4),
        errors=counts.failed,
        error_rate=counts.failed / requests if requests else 0.0,
        client_errors=counts.refused,
        errors_by_class=dict(sorted(counts.errors.items())),
        codes=dict(sorted(counts.codes.items())),
        retries=counts.retries,
        received=round(counts.received / seconds, 2),
        sent=round(counts.sent / seconds, 2),
        latency=SplitAnswer(**{place: LatencyAnswer(**values) for place, values in places.items() if values}),
    )
