"""The overview: what needs attention first, then how everything is, then what changed lately."""

import itertools
import time
from dataclasses import dataclass

from fastapi import APIRouter, Response

from isthmus.console.api import alert as api_alert
from isthmus.console.api.context import ApiContext
from isthmus.console.web import shape
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.state import PlaceState, by_severity, region_states, site_states
from isthmus.console.web.traffic import measure
from isthmus.console.web.visit import Reader, Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_FEW = 12
"""Things that need attention which are shown at once."""
_CHANGES, _EVENTS = 8, 10


@dataclass(frozen=True, slots=True)
class Concern:
    """Something that needs attention, and where to look."""

    level: str
    title: str
    text: str
    mend: str
    href: str


@router.get("/")
async def overview(visit: Reader) -> Response:
    """The first page."""
    context = visit.context
    sites, regions = site_states(context), region_states(context)
    concerns = find_concerns(context, [*regions, *sites])
    revisions = await context.deployment.call(context.store.revision_lines, None, _CHANGES, None)
    endpoints = [each for site in sites for each in site.brief.endpoints]
    return show(
        visit,
        "overview.html",
        title="Overview",
        concerns=concerns[:_FEW],
        more_concerns=max(0, len(concerns) - _FEW),
        worst=concerns[0].level if concerns else "good",
        sites=by_severity(sites),
        regions=regions,
        connected=sum(site.connected for site in sites),
        endpoints=len(endpoints),
        healthy=sum(each.healthy is not False for each in endpoints),
        kinds=count_kinds(context),
        **await count_alerts(visit),
        revision=context.deployment.revision,
        behind=sum(site.lag > 0 and site.connected for site in sites),
        slowest=max((site.lag for site in sites if site.connected), default=0.0),
        revisions=revisions,
        traffic=await measure(visit),
        events=list(itertools.islice(context.watch.events(), _EVENTS)),
        started=context.started,
        now=time.time(),
    )


def find_concerns(context: ApiContext, places: list[PlaceState]) -> list[Concern]:
    """What needs attention, worst first."""
    found = [
        Concern(problem.level, f"{place.key.title}", problem.text, problem.mend, shape.href(place.key))
        for place in places
        for problem in place.problems
    ]
    for each in context.deployment.validation.all():
        key = each.object
        name = key.title if key is not None else "An object"
        place = f"{each.field}: " if each.field else ""
        found.append(Concern("bad", name, f"{place}{each.message}", each.mend, shape.href(key) if key else ""))
    order = {"bad": 0, "warn": 1, "idle": 2}
    return sorted(found, key=lambda concern: order[concern.level])


async def count_alerts(visit: Visit) -> dict[str, int]:
    """How many alerts fire, and of how many of these nobody is told."""
    firing = [each for each in (await api_alert.alerts(visit.context, visit.caller)).items if each.state == "firing"]
    return {"alerts": len(firing), "silent": sum(bool(each.silence) for each in firing)}


def count_kinds(context: ApiContext) -> dict[str, int]:
    """Objects by kind."""
    counts: dict[str, int] = {}
    for key in context.deployment.records:
        counts[key.kind] = counts.get(key.kind, 0) + 1
    return counts
