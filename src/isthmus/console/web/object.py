"""Objects of every kind: the kinds, the list of one, the page of one object, and the search over all."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from isthmus.console.api.context import ApiContext
from isthmus.console.api.status import object_status, receiver_states, report_of
from isthmus.console.difference import document_of, emit_yaml
from isthmus.console.error import RequestRefused
from isthmus.console.record import StoredObject
from isthmus.console.watch import EndpointState
from isthmus.console.web.chart import Chart
from isthmus.console.web.gauge import draw_gauges, of_cluster, of_endpoints
from isthmus.console.web.listing import matching, page_of
from isthmus.console.web.overview import count_kinds
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.shape import href
from isthmus.console.web.shape import path as path_of
from isthmus.console.web.signal import read_signals
from isthmus.console.web.site import JOIN_LIFETIME
from isthmus.console.web.state import region_state
from isthmus.console.web.traffic import Traffic, measure
from isthmus.console.web.visit import Editor, Reader, Visit
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import Object

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def kind_of(plural: str) -> type[Object]:
    """The kind whose pages are under this name.

    Raises:
        RequestRefused: 404 when there is none.
    """
    found = next((cls for cls in PUBLIC_KINDS.values() if cls.plural == plural), None)
    if found is None:
        raise RequestRefused(404, "not-found", f"There is no kind of object called {plural}.")
    return found


def record_of(context: ApiContext, plural: str, namespace: str, name: str) -> StoredObject:
    """The object at a path; `-` stands for no namespace.

    Raises:
        RequestRefused: 404 when there is none.
    """
    key = ObjectKey(DEFAULT_TENANT, kind_of(plural).__name__, "" if namespace == "-" else namespace, name)
    record = context.deployment.records.get(key)
    if record is None:
        raise context.deployment.missing(key)
    return record


@router.get("/objects")
async def kinds(visit: Reader) -> Response:
    """Every kind with the number of its objects."""
    return show(
        visit, "kinds.html", title="All objects", kinds=PUBLIC_KINDS.values(), counts=count_kinds(visit.context)
    )


@router.get("/objects/{plural}")
async def objects(plural: str, visit: Reader) -> Response:
    """The objects of a kind, a page at a time."""
    cls = kind_of(plural)
    records = list(visit.context.deployment.of_kind(cls.__name__, DEFAULT_TENANT))
    namespaces = sorted({record.object.key.namespace for record in records} - {""})
    namespace = visit.query("namespace")
    found = [each for each in records if not namespace or each.object.key.namespace == namespace]
    found = matching(found, visit.query("q"), words_of)
    page = page_of(visit, found)
    lines = [
        (each, summary_of(each.object), visit.context.deployment.validation.of(each.object.key)) for each in page.items
    ]
    return show(
        visit, "objects.html", title=f"{cls.__name__} objects", cls=cls, page=page, lines=lines,
        namespaces=namespaces, total=len(records),
    )  # fmt: skip


def words_of(record: StoredObject) -> str:
    """What a search looks at."""
    obj = record.object
    meta = obj.metadata
    words = f"{obj.kind} {meta.namespace}/{meta.name} {meta.description}"
    if meta.labels:
        words += " " + " ".join(f"{key}={value}" for key, value in meta.labels.items())
    return f"{words} {' '.join(obj.spec.domains)}" if obj.kind == "VirtualHost" else words


def summary_of(obj: Object) -> str:
    """What an object says, in a line: the start of its spec."""
    text = ", ".join(_flat(document_of(obj)["spec"]))
    return text if len(text) <= 140 else f"{text[:139]}…"


def _flat(spec: Any, prefix: str = "") -> Iterator[str]:
    if not isinstance(spec, dict):
        yield f"{prefix} {_short(spec)}".strip()
        return
    for name, value in spec.items():
        if isinstance(value, dict):
            yield from _flat(value, name)
        else:
            yield f"{name} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_short(each) for each in value[:4]) + (" …" if len(value) > 4 else "")
    if isinstance(value, dict):
        if set(value) <= {"name", "namespace"}:
            return "/".join(str(value[part]) for part in ("namespace", "name") if part in value)
        return json.dumps(value, ensure_ascii=False)
    return str(value)


@router.get("/objects/{plural}/{namespace}/{name}")
async def one(plural: str, namespace: str, name: str, visit: Reader) -> Response:
    """One object: as it is declared, where it is in use, and what it hangs together with."""
    context = visit.context
    record = record_of(context, plural, namespace, name)
    obj = record.object
    known = context.deployment.records
    place = region_state(context, record, time.time()) if obj.kind == "Region" else None
    states = context.watch.endpoint(str(obj.key)) if obj.kind == "Endpoint" else ()
    traffic, gauges = await _measure(visit, obj, states)
    return show(
        visit,
        "object.html",
        title=obj.key.path,
        cls=type(obj),
        key=obj.key,
        record=record,
        yaml=emit_yaml(document_of(obj)),
        places=object_status(context, record),
        diagnostics=context.deployment.validation.of(obj.key),
        uses=[(use.field, use.target, use.target in known) for use in obj.uses()],
        users=sorted(context.deployment.validation.users(obj.key)),
        place=place,
        signals=read_signals(report_of(place.known)) if place is not None else [],
        receivers=[(each, *each.word(time.time())) for each in receiver_states(context, obj.key)],
        states=states,
        traffic=traffic,
        gauges=gauges,
    )


async def _measure(
    visit: Visit, obj: Object, states: Sequence[EndpointState]
) -> tuple[Traffic | None, tuple[Chart, ...]]:
    """What requests did that an object had to do with, of kinds that have to do with requests."""
    if obj.kind == "Route":
        return await measure(visit, [f"route={obj.key.path}"], closely=True), ()
    if obj.kind == "Cluster":
        endpoints = [str(use.target) for use in obj.uses() if use.target.kind == "Endpoint"]
        sites = sorted(site.name for site in visit.context.deployment.index.sites_of(obj.key))
        gauges = await draw_gauges(visit, of_cluster(obj.key.path, endpoints), sites)
        return await measure(visit, [f"cluster={obj.key.path}"], closely=True), gauges
    if states:
        sites = sorted({each.site for each in states})
        where = [f"site={site}" for site in sites] + [f"endpoint={each}" for each in {each.address for each in states}]
        where += [f"cluster={path_of(each)}" for each in {each.cluster for each in states}]
        gauges = await draw_gauges(visit, of_endpoints([str(obj.key)]), sites)
        return await measure(visit, where, closely=True), gauges
    return None, ()


@router.post("/objects/{plural}/{namespace}/{name}/delete")
async def delete(plural: str, namespace: str, name: str, visit: Editor) -> Response:
    """Delete an object, unless others need it."""
    key = record_of(visit.context, plural, namespace, name).object.key
    result = await visit.context.deployment.edit(visit.caller.name, (), [key])
    text = f"{key.title} was deleted in revision {result.revision}; its history can bring it back."
    target = "/virtualhosts" if key.kind == "VirtualHost" else f"/objects/{plural}"
    return go(f"{target}?{urlencode({'done': text})}")


@router.post("/objects/{plural}/{namespace}/{name}/token")
async def token(plural: str, namespace: str, name: str, visit: Editor) -> Response:
    """A join token for a region, shown this once."""
    record = record_of(visit.context, plural, namespace, name)
    if record.object.kind != "Region":
        raise RequestRefused(404, "not-found", "Only sites and regions join.")
    made, expires = await visit.context.membership.create_token(visit.caller.name, "region", name, JOIN_LIFETIME)
    return show(visit, "join.html", title=name, key=record.object.key, token=made.encode(), expires=expires)


@router.get("/search")
async def search(visit: Reader) -> Response:
    """Objects of every kind by name, label, domain or description."""
    text = visit.query("q").strip()
    records = visit.context.deployment.records.values() if text else ()
    found = [each for each in matching(records, text, words_of) if each.object.kind in PUBLIC_KINDS]
    found.sort(key=lambda record: (record.object.key.name != text, record.object.kind, record.object.key))
    if len(found) == 1 and "hx-request" not in visit.request.headers:
        return go(href(found[0].object.key))
    page = page_of(visit, found)
    lines = [(each, summary_of(each.object)) for each in page.items]
    return show(visit, "search.html", title="Search", page=page, lines=lines, text=text)
