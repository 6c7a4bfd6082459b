"""/status, /explain: what regions and sites do with what was declared."""

import json
import time
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic_core import from_json

from isthmus.console.api.answer import (
    ConsoleStatus,
    ErrorAnswer,
    ExplainRequest,
    ObjectSite,
    ObjectStatus,
    ReceiverStatus,
    RegionStatus,
    RejectionAnswer,
    SignalStatus,
    SiteStatus,
    StatusAnswer,
    VersionAnswer,
    answer_diagnostic,
)
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.error import RequestRefused
from isthmus.console.observation import Observed
from isthmus.console.receiver_state import ReceiverState, parse_signals
from isthmus.console.record import StoredObject
from isthmus.model.key import DEFAULT_TENANT, ObjectKey, parse_key
from isthmus.model.site import Site
from isthmus.protocol import QueryFailed, Rejection, Version
from isthmus.slice import region_subject, site_subject

router = APIRouter(tags=["status"])
_QUERY_SECONDS = 5.0
_STATUS_OF = {"not_connected": 503, "timeout": 504}


def _version(version: Version | None) -> VersionAnswer | None:
    return VersionAnswer(epoch=version.epoch, revision=version.revision) if version is not None else None


def _lag(known: Observed, now: float) -> float:
    return round(max(0.0, now - known.behind_since), 3) if known.behind_since is not None else 0.0


def _rejection(rejection: Rejection) -> RejectionAnswer:
    return RejectionAnswer(object=rejection.key, code=rejection.code, field=rejection.field, message=rejection.message)


def report_of(known: Observed) -> Any:
    """What a site or region said; None for what could not be passed on. (The standard library's reader takes texts
    that are no Unicode, and fails in a way of its own on deep ones: one bad report would spoil everybody's answer.)"""
    if known.status is None:
        return None
    try:
        return from_json(known.status, allow_inf_nan=False)
    except ValueError:
        return None


@router.get("/status")
async def status(
    context: Context, caller: Caller, reports: Annotated[bool, Query(description="With the sites' reports.")] = True
) -> StatusAnswer:
    """Console, regions and sites: who is connected, who uses which revision, what was rejected."""
    deployment, now = context.deployment, time.time()
    sites = [
        _site_status(context, record, now, reports=reports) for record in deployment.of_kind("Site", DEFAULT_TENANT)
    ]
    regions = [_region_status(context, record, now, sites) for record in deployment.of_kind("Region", DEFAULT_TENANT)]
    return StatusAnswer(
        epoch=deployment.epoch,
        revision=deployment.revision,
        console=ConsoleStatus(
            release=context.release,
            started=context.started,
            database=context.store.kind,
            objects=len(deployment.records),
            otlp=_signals({"otlp": context.exporter.status()} if context.exporter is not None else {}),
        ),
        regions=regions,
        sites=sites,
        diagnostics=[answer_diagnostic(each) for each in deployment.validation.all()],
    )


def _site_status(context: ApiContext, record: StoredObject, now: float, *, reports: bool) -> SiteStatus:
    site = record.object
    subject = site_subject(site.key)
    known = context.observation.of(subject)
    return SiteStatus(
        name=site.metadata.name,
        regions=list(context.deployment.index.regions_of(site.key)),
        connected=known.connected,
        via=sorted(subject.rpartition("/")[2] for subject in known.via),
        manifest=_version(context.deployment.publication.version(subject)),
        applied=_version(known.applied),
        applied_at=known.applied_at,
        lag_seconds=_lag(known, now),
        rejections=[_rejection(each) for each in known.rejections],
        drained=isinstance(site, Site) and site.spec.drained,
        status=report_of(known) if reports else None,
        status_at=known.status_at,
    )


def _region_status(context: ApiContext, record: StoredObject, now: float, sites: list[SiteStatus]) -> RegionStatus:
    name = record.object.metadata.name
    subject = region_subject(record.object.key)
    known = context.observation.of(subject)
    report = report_of(known)
    release = next((s.release for s in context.hub.streams if s.identity.subject == subject and s.opened), None)
    return RegionStatus(
        name=name,
        connected=known.connected,
        since=min(known.via.values(), default=None),
        release=release,
        manifest=_version(context.deployment.publication.version(subject)),
        applied=_version(known.applied),
        lag_seconds=_lag(known, now),
        sites=sum(name in site.regions for site in sites),
        otlp=_signals(report),
        status=report,
    )


def _signals(report: Any) -> list[SignalStatus]:
    return [SignalStatus.model_validate(each, from_attributes=True) for each in parse_signals(report)]


def object_status(context: ApiContext, record: StoredObject) -> ObjectStatus:
    """Where an object is in use."""
    key, now = record.object.key, time.time()
    deployment = context.deployment
    sites = []
    for site in sorted(deployment.index.sites_of(key)):
        subject = site_subject(site)
        known = context.observation.of(subject)
        newest = deployment.publication.version(subject)
        rejected = next((each for each in known.rejections if each.key == str(key)), None)
        current = known.applied is not None and newest is not None and known.applied >= newest
        sites.append(
            ObjectSite(
                site=site.name,
                revision=known.applied.revision if known.applied is not None else None,
                applied=current and rejected is None,
                lag_seconds=_lag(known, now),
                rejected=_rejection(rejected) if rejected is not None else None,
            )
        )
    standing = deployment.validation.of(key)
    told = receiver_states(context, key)
    return ObjectStatus(
        key=str(key),
        revision=record.revision,
        sites=sites,
        diagnostics=[answer_diagnostic(each) for each in standing],
        receivers=[ReceiverStatus.model_validate(each, from_attributes=True) for each in told],
    )


def receiver_states(context: ApiContext, key: ObjectKey) -> list[ReceiverState]:
    """A TelemetryReceiver as its sites told last, by site; empty for any other object."""
    if key.kind != "TelemetryReceiver":
        return []
    sites = sorted(context.deployment.index.sites_of(key))
    briefs = (context.watch.brief(site_subject(site)) for site in sites)
    return [each for brief in briefs for each in brief.receivers if each.receiver == key.path]


@router.get("/status/objects", responses={404: {"model": ErrorAnswer}})
async def status_of_object(
    context: Context, caller: Caller, key: Annotated[str, Query(description="default/Cluster/shop/web")]
) -> ObjectStatus:
    """Which sites an object concerns, which revision each uses, how far behind, and rejections."""
    return object_status(context, _find(context, key))


@router.get("/status/objects/{key:path}", responses={404: {"model": ErrorAnswer}})
async def status_of_object_by_path(
    context: Context, caller: Caller, key: Annotated[str, Path(description="default/Cluster/shop/web")]
) -> ObjectStatus:
    """As with the parameter `key`; an empty namespace may be written as `-`."""
    return object_status(context, _find(context, key.replace("/-/", "//")))


def _find(context: ApiContext, text: str) -> StoredObject:
    try:
        key = parse_key(text)
    except ValueError as error:
        raise RequestRefused(422, "invalid", f"{error}.") from None
    record = context.deployment.records.get(key)
    if record is None:
        raise context.deployment.missing(key)
    return record


@router.get("/status/sites/{name}", responses={503: {"model": ErrorAnswer}, 504: {"model": ErrorAnswer}})
async def status_of_site(context: Context, caller: Caller, name: str) -> dict[str, Any]:
    """What a site says of itself now, asked through a region."""
    return await _ask(context, name, "status", {})


@router.post("/explain", responses={503: {"model": ErrorAnswer}, 504: {"model": ErrorAnswer}})
async def explain(body: ExplainRequest, context: Context, caller: Caller) -> dict[str, Any]:
    """Which virtual host, route, cluster, site and endpoint a request would take, as its ingress site sees it now."""
    return await _ask(context, body.site, "explain", body.model_dump(by_alias=True))


async def _ask(context: ApiContext, name: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    key = ObjectKey(DEFAULT_TENANT, "Site", "", name)
    if key not in context.deployment.records:
        raise context.deployment.missing(key)
    try:
        answer = await context.hub.query(site_subject(key), kind, json.dumps(body).encode(), _QUERY_SECONDS)
        parsed = from_json(answer, allow_inf_nan=False)
    except QueryFailed as error:
        raise RequestRefused(_STATUS_OF.get(error.code, 422), error.code.replace("_", "-"), str(error)) from error
    except ValueError as error:
        raise RequestRefused(502, "bad-answer", f"{key.title} answered with something that is not JSON.") from error
    if not isinstance(parsed, dict):
        raise RequestRefused(502, "bad-answer", f"{key.title} answered with something that is not a JSON object.")
    return parsed
