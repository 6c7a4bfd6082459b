"""Single requests: found by any field, and one of them at every site that it passed."""

from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from isthmus.console.api import telemetry as api
from isthmus.console.api.telemetry_answer import RecordAnswer, RequestPath
from isthmus.console.error import RequestRefused
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.traffic import range_of
from isthmus.console.web.visit import Reader, Visit
from isthmus.model.key import DEFAULT_TENANT

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PAGE = 50
STATUSES = (
    ("", "Every outcome", ()),
    ("failed", "Failed", ("error!=",)),
    ("2xx", "2xx", ("code>=200", "code<300")),
    ("3xx", "3xx", ("code>=300", "code<400")),
    ("4xx", "4xx", ("code>=400", "code<500")),
    ("5xx", "5xx", ("code>=500",)),
)


@router.get("/requests")
async def requests(visit: Reader) -> Response:
    """Requests that meet the conditions of the address, newest first."""
    window = range_of(visit, "-1h")
    where = conditions(visit)
    items: list[RecordAnswer] = []
    older = problem = ""
    try:
        found = await api.records(
            visit.context, visit.caller, since=window.since, until=window.until, where=where, limit=_PAGE
        )
        items = found.items
        if found.before is not None:
            given = {name: value for name, value in visit.request.query_params.items() if value}
            older = f"/requests?{urlencode({**given, 'until': f'{found.before:.6f}'})}"
    except RequestRefused as refused:
        problem = refused.message
    sites = [record.object.key.name for record in visit.context.deployment.of_kind("Site", DEFAULT_TENANT)]
    hosts = [record.object.key.path for record in visit.context.deployment.of_kind("VirtualHost", DEFAULT_TENANT)]
    return show(
        visit,
        "requests.html",
        title="Requests",
        items=items,
        older=older,
        problem=problem,
        window=window,
        statuses=STATUSES,
        sites=sites,
        hosts=hosts[:500],
        filtered=bool(where[1:]),
    )


def conditions(visit: Visit) -> list[str]:
    """The conditions of the telemetry API that the fields of the form stand for."""
    where = ["log=ingress"]
    where += [f"{name}={visit.query(name)}" for name in ("virtual_host", "site", "method") if visit.query(name)]
    if visit.query("path"):
        where.append(f"path~{visit.query('path')}")
    where += next((list(extra) for value, _, extra in STATUSES if value == visit.query("status")), [])
    if visit.query("slow"):
        where.append(f"total>{visit.query('slow')}")
    where += [line.strip() for line in visit.query("where").splitlines() if line.strip()]
    return where


@router.get("/requests/{request_id}")
async def request(request_id: str, visit: Reader) -> Response:
    """One request, hop by hop, with the time that it spent in each place."""
    path = await api.request_path(visit.context, visit.caller, request_id, since="-7d")
    first = path.hops[0]
    url = f"http://{first.authority}{first.path}"
    explain = f"/explain?{urlencode({'url': url, 'from': first.site, 'method': first.method})}"
    return show(
        visit,
        "request.html",
        title="Request",
        path=path,
        first=first,
        spans=spans(path),
        awaited=awaited_site(path),
        explain=explain,
    )


def awaited_site(path: RequestPath) -> str:
    """The site that a request went out at, while nothing is known from there: each site tells of its own part."""
    first = path.hops[0]
    crossed = first.peer not in ("", first.site)
    return first.peer if crossed and all(hop.log == "ingress" for hop in path.hops) else ""


def spans(path: RequestPath) -> list[dict[str, Any]]:
    """Where the time went, as bars: place, milliseconds, beginning and width in percent of the whole."""
    total = max(path.total, 0.001)
    before = path.ingress / 2
    fabric, egress, application = path.fabric or 0.0, path.egress or 0.0, path.application or 0.0
    parts = [("ingress", path.ingress, 0.0, "in Envoy at the site where it came in")]
    parts.append(("fabric", fabric, before, "between the sites"))
    parts.append(("egress", egress, before + fabric / 2, "in Envoy at the site of the endpoint"))
    parts.append(("application", application, before + fabric / 2 + egress / 2, "in the application"))
    return [
        {
            "name": name,
            "ms": value,
            "begin": round(min(100.0, 100 * begin / total), 2),
            "width": round(max(0.4, min(100.0, 100 * (total if name == "ingress" else total - 2 * begin) / total)), 2)
            if name != "application"
            else round(max(0.4, min(100.0, 100 * value / total)), 2),
            "text": text,
        }
        for name, value, begin, text in parts
        if value or name == "ingress"
    ]
