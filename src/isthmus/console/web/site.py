"""Sites: the list, the page of one, and what can be done with it: enrol, drain, undrain, remove."""

import itertools
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Response

from isthmus.console.api.context import ApiContext
from isthmus.console.api.membership import drain as api_drain
from isthmus.console.api.membership import undrain as api_undrain
from isthmus.console.api.status import report_of
from isthmus.console.error import RequestRefused
from isthmus.console.record import StoredObject
from isthmus.console.web.form import Form
from isthmus.console.web.gauge import draw_site
from isthmus.console.web.listing import matching, page_of
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.state import by_severity, site_state, site_states
from isthmus.console.web.traffic import measure
from isthmus.console.web.visit import Editor, Reader, Visit
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.document import parse_documents
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.slice import site_subject

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_EVENTS = 12
_FRESH = timedelta(minutes=10)
"""For so long a page says that a site has joined."""
JOIN_LIFETIME = timedelta(hours=1)
STATES = ("attention", "healthy", "offline", "degraded", "failing", "lagging", "drained", "not joined")


@router.get("/sites")
async def sites(visit: Reader) -> Response:
    """Every site, a page at a time."""
    everything = site_states(visit.context)
    state, text = visit.query("state"), visit.query("q")
    found = matching(everything, text, lambda site: f"{site.name} {_words(site.record)}")
    if state == "attention":
        found = [site for site in found if site.level in ("bad", "warn")]
    elif state in STATES:
        found = [site for site in found if site.word == state]
    if visit.query("sort") == "state":
        found = by_severity(found)
    counts = Counter(site.word for site in everything)
    return show(
        visit, "sites.html", title="Sites", page=page_of(visit, found), total=len(everything), counts=counts,
        states=STATES, now=time.time(),
    )  # fmt: skip


def _words(record: StoredObject) -> str:
    labels = record.object.metadata.labels
    return " ".join([f"{key}={value}" for key, value in labels.items()] + [record.object.metadata.description])


@router.get("/sites/new")
async def new(visit: Editor) -> Response:
    """The form that declares a site."""
    return _new(visit, visit.form, ())


@router.post("/sites/new")
async def create(visit: Editor) -> Response:
    """Declare the site of the form, and go on to its token."""
    form = visit.form
    parsed = parse_documents([_document(form)])
    if parsed.diagnostics:
        return _new(visit, form, parsed.diagnostics, 422)
    site = parsed.objects[0]

    def check() -> None:
        if site.key in visit.context.deployment.records:
            raise RequestRefused(409, "exists", f"{site.key.title} exists already.")

    try:
        await visit.context.deployment.edit(visit.caller.name, [site], check=check)
    except RequestRefused as refused:
        found = refused.diagnostics or (Diagnostic(refused.code, site.key, "metadata.name", refused.message),)
        return _new(visit, form, found, refused.status)
    return go(f"/sites/{site.key.name}")


def _new(visit: Visit, form: Form, found: tuple[Diagnostic, ...], status: int = 200) -> Response:
    regions = [record.object.metadata.name for record in visit.context.deployment.of_kind("Region", DEFAULT_TENANT)]
    return show(
        visit, "site_new.html", status=status, title="Enrol a site", form=form, diagnostics=found, regions=regions
    )


def _document(form: Form) -> dict[str, Any]:
    """The document that the form stands for. Numbers that are none are passed on as text, to be refused with reason."""
    spec: dict[str, Any] = {}
    latitude, longitude = form.get("latitude").strip(), form.get("longitude").strip()
    if latitude or longitude:
        spec["location"] = {"latitude": _number(latitude), "longitude": _number(longitude)}
    if form.all("region"):
        spec["regions"] = form.all("region")
    if form.get("fabric").strip():
        address, _, port = form.get("fabric").strip().rpartition(":")
        socket = {"address": address.strip("[]"), "port": _number(port)} if address else {"address": port}
        spec["fabric"] = {"addresses": [socket]}
    addresses = form.get("addresses").replace(",", " ").split()
    if addresses:
        name = form.get("interface").strip() or "eth0"
        spec["interfaces"] = [{"name": name, "network": "outside", "addresses": addresses}]
    labels = dict(part.partition("=")[::2] for part in form.get("labels").replace(",", " ").split())
    metadata = {"name": form.get("name").strip(), **({"labels": labels} if labels else {})}
    return {"apiVersion": "isthmus/v1", "kind": "Site", "metadata": metadata, "spec": spec}


def _number(text: str) -> float | int | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


@router.get("/sites/{name}")
async def site(name: str, visit: Reader) -> Response:
    """One site."""
    return await _site(visit, name)


async def _site(visit: Visit, name: str, token: str = "", expires: Any = None) -> Response:
    context = visit.context
    record = _require(context, name)
    key = record.object.key
    subject = site_subject(key)
    known = context.observation.of(subject)
    report = report_of(known) or {}
    joined_at = context.membership.joined_at(record)
    gauges, states = await draw_site(visit, name)
    kinds = Counter(each.kind for each in context.deployment.index.slice_of(subject))
    return show(
        visit,
        "site.html",
        title=name,
        site=site_state(context, record, time.time()),
        spec=record.object.spec,
        metadata=record.object.metadata,
        record=record,
        regions=context.deployment.index.regions_of(key),
        rejections=known.rejections,
        applied_at=known.applied_at,
        status_at=known.status_at,
        clusters=report.get("clusters") or [],
        streams={each.get("region"): each for each in report.get("streams") or []},
        kinds=sorted(kinds.items()),
        receivers=[(each, *each.word(time.time())) for each in context.watch.brief(subject).receivers],
        events=list(itertools.islice(context.watch.events(subject), _EVENTS)),
        joined_at=joined_at,
        fresh=joined_at is not None and datetime.now(UTC) - joined_at < _FRESH,
        subject=subject,
        traffic=await measure(visit, [f"site={name}"], closely=True),
        gauges=gauges,
        states=states,
        token=token,
        expires=expires,
    )


def _require(context: ApiContext, name: str) -> StoredObject:
    key = ObjectKey(DEFAULT_TENANT, "Site", "", name)
    record = context.deployment.records.get(key)
    if record is None:
        raise context.deployment.missing(key)
    return record


@router.post("/sites/{name}/token")
async def token(name: str, visit: Editor) -> Response:
    """A join token, shown this once with the command to paste."""
    made, expires = await visit.context.membership.create_token(visit.caller.name, "site", name, JOIN_LIFETIME)
    return await _site(visit, name, made.encode(), expires)


@router.post("/sites/{name}/drain")
async def drain(name: str, visit: Editor) -> Response:
    """Other sites stop sending requests here."""
    await api_drain(name, visit.context, visit.caller)
    return _done(name, f"{name} is being drained: other sites send no new requests here.")


@router.post("/sites/{name}/undrain")
async def undrain(name: str, visit: Editor) -> Response:
    """Other sites send requests here again."""
    await api_undrain(name, visit.context, visit.caller)
    return _done(name, f"{name} takes requests from other sites again.")


def _done(name: str, text: str) -> Response:
    return go(f"/sites/{quote(name, safe='')}?{urlencode({'done': text})}")


@router.post("/sites/{name}/remove")
async def remove(name: str, visit: Editor) -> Response:
    """Delete the site."""
    key = _require(visit.context, name).object.key
    await visit.context.deployment.edit(visit.caller.name, (), [key])
    return go(f"/sites?{urlencode({'done': f'Site {name} was removed.'})}")
