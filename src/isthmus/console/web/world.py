"""The map: sites and regions where they are, and their streams. Many sites in one place are one circle with their
number; it leads to a closer view, which has its own address."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import log10, sqrt

from fastapi import APIRouter, Response

from isthmus.console.api.telemetry_answer import SignalAnswer
from isthmus.console.error import RequestRefused
from isthmus.console.web import shape
from isthmus.console.web.chart import significant
from isthmus.console.web.geometry import HEIGHT, WIDTH, project, world_path
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.reach import Reach, reach_of, reach_regions
from isthmus.console.web.state import PlaceState, by_severity, region_states, site_states
from isthmus.console.web.traffic import BAD, WARN, Range, ask
from isthmus.console.web.visit import Reader, Visit
from isthmus.model.key import ObjectKey

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_CELL = 1 / 40
"""Side of a cell, as a part of the view's width: what is in one cell is one circle."""
_FAR = 8
"""How much larger cells are out of sight: there, circles are but ends of lines."""
_MOST_LINKS = 400
_MOST_REGIONS = 20
_FLOW_SINCE = "-5m"
_SEVERITY = ("good", "idle", "warn", "bad")


@dataclass(frozen=True, slots=True)
class View:
    """The part of the map that is looked at: left, top and width in the map's pixels."""

    x: float
    y: float
    width: float

    @property
    def height(self) -> float:
        """Its height."""
        return self.width * HEIGHT / WIDTH

    @property
    def zoom(self) -> float:
        """How much larger things are than on the whole map."""
        return WIDTH / self.width

    def closer(self, x: float, y: float) -> "View":
        """A view around a point, four times as close."""
        width = max(self.width / 4, WIDTH / 4096)
        return View(x - width / 2, y - width * HEIGHT / WIDTH / 2, width)

    @property
    def address(self) -> str:
        """As a parameter of the address."""
        return f"{self.x:.4g},{self.y:.4g},{self.width:.4g}"


WHOLE = View(0, 0, WIDTH)


def parse_view(text: str) -> View:
    """The view of an address; the whole map for anything that is none."""
    try:
        x, y, width = (float(part) for part in text.split(","))
    except ValueError:
        return WHOLE
    if not (0.1 <= width <= WIDTH and -WIDTH <= x <= WIDTH and -HEIGHT <= y <= HEIGHT):
        return WHOLE
    return View(x, y, width)


def fit_view(places: Iterable[PlaceState]) -> View:
    """The closest view that shows every place, with room around them; never closer than a third of the world."""
    locations = (place.record.object.spec.location for place in places)
    points = [project(each.longitude, each.latitude) for each in locations if each is not None]
    if not points:
        return WHOLE
    left, right = min(x for x, _ in points), max(x for x, _ in points)
    top, bottom = min(y for _, y in points), max(y for _, y in points)
    width = max((right - left) * 1.4, (bottom - top) * 1.4 * WIDTH / HEIGHT, WIDTH / 3)
    if width >= WIDTH * 0.8:
        return WHOLE
    height = width * HEIGHT / WIDTH
    x = min(max(0.0, (left + right - width) / 2), WIDTH - width)
    return View(x, min(max(0.0, (top + bottom - height) / 2), HEIGHT - height), width)


@dataclass(slots=True)
class Mark:
    """One circle or square: a place, or the places of one cell."""

    x: float
    y: float
    role: str
    places: list[PlaceState] = field(default_factory=list)

    @property
    def level(self) -> str:
        """The worst of its places."""
        return max((place.level for place in self.places), key=_SEVERITY.index)

    @property
    def label(self) -> str:
        """The name of its only place, or what it holds."""
        if len(self.places) == 1:
            return self.places[0].name
        wrong = sum(place.level in ("bad", "warn") for place in self.places)
        return f"{shape.plural(len(self.places), self.role)}" + (f", {wrong} need attention" if wrong else "")

    @property
    def radius(self) -> float:
        """Of its circle on the whole map, in pixels."""
        return 5.5 if len(self.places) == 1 else min(22.0, 8.0 + 1.6 * sqrt(len(self.places)))


@dataclass(frozen=True, slots=True)
class Drawn:
    """A mark as text of SVG, in the map's pixels: made here, since a template takes longer to round numbers."""

    x: str
    y: str
    size: str
    label_x: str
    label_y: str
    below: str
    font: str
    halo: str
    diamond: str
    target: str


def draw_mark(mark: Mark, view: View) -> Drawn:
    """A mark in a view: things keep their size on the screen, however close it is."""
    zoom = view.zoom
    reach = 1.9 * mark.radius / zoom
    side = f"{reach:.3f}"
    one = len(mark.places) == 1
    target = shape.href(mark.places[0].key) if one else f"/map?view={view.closer(mark.x, mark.y).address}"
    return Drawn(
        x=f"{mark.x:.2f}",
        y=f"{mark.y:.2f}",
        size=f"{mark.radius / zoom:.3f}",
        label_x=f"{mark.x + 9 / zoom:.2f}",
        label_y=f"{mark.y + 4 / zoom:.2f}",
        below=f"{mark.y + 21 / zoom:.2f}",
        font=f"{11 / zoom:.2f}",
        halo=f"{3 / zoom:.2f}",
        diamond=f"M{mark.x:.2f} {mark.y - reach:.3f}l{side} {side}l-{side} {side}l-{side} -{side}z",
        target=target,
    )


@dataclass(frozen=True, slots=True)
class Link:
    """Streams between sites and a region: `path` is the `d` of an SVG path, `text` for who points at it."""

    path: str
    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Flow:
    """Requests from the sites of one mark to those of another."""

    path: str
    level: str
    width: float
    text: str


@router.get("/map")
async def world(visit: Reader) -> Response:
    """The map."""
    sites, regions = site_states(visit.context), region_states(visit.context)
    asked = visit.query("view")
    view = parse_view(asked) if asked else fit_view([*regions, *sites])
    marks = place_marks(sites, "site", view)
    gates = place_marks(regions, "region", view)
    regions_of = visit.context.deployment.index.regions_of
    reaches = reach_regions(regions_of, sites)
    unplaced = [place for place in (*regions, *sites) if place.record.object.spec.location is None]
    return show(
        visit,
        "map.html",
        title="Map",
        path="" if "hx-request" in visit.request.headers else world_path(),  # what moves lies above the land
        view=view,
        whole=WHOLE,
        marks=[(mark, draw_mark(mark, view), describe_sites(mark, regions_of)) for mark in marks],
        gates=[(gate, draw_mark(gate, view), describe_regions(gate, reaches)) for gate in gates],
        links=link_marks(regions_of, marks, gates),
        regions=[(region, reaches.get(region.name, Reach())) for region in by_severity(regions)[:_MOST_REGIONS]],
        more_regions=max(0, len(regions) - _MOST_REGIONS),
        flows=flow_marks(await _between(visit), marks),
        unplaced=unplaced,
        sites=len(sites),
        attention=[place for place in (*regions, *sites) if place.level in ("bad", "warn")][:20],
        now=time.time(),
    )


def describe_sites(mark: Mark, regions_of: Callable[[ObjectKey], Iterable[str]]) -> str:
    """What a mark of sites says to whoever points at it, or cannot see it."""
    if len(mark.places) > 1:
        return mark.label
    site = mark.places[0]
    reach = reach_of(regions_of, site)
    return f"Site {site.name}: {site.word}" + (f"; {reach.words}" if reach.total else "")


def describe_regions(mark: Mark, reaches: Mapping[str, Reach]) -> str:
    """The same of a mark of regions."""
    if len(mark.places) > 1:
        return mark.label
    region = mark.places[0]
    reach = reaches.get(region.name)
    return f"Region {region.name}: {region.word}" + (f"; {reach.words}" if reach else "")


def place_marks(places: Iterable[PlaceState], role: str, view: View) -> list[Mark]:
    """The marks of the places that are in a view or near it; those beyond its edge stand for many places each."""
    cells: dict[tuple[int, int, int], Mark] = {}
    near = view.width * _CELL
    for place in places:
        location = place.record.object.spec.location
        if location is None:
            continue
        x, y = project(location.longitude, location.latitude)
        if not (view.x - view.width <= x <= view.x + 2 * view.width):
            continue
        seen = view.x - near <= x <= view.x + view.width + near and view.y - near <= y <= view.y + view.height + near
        scale = 1 if seen else _FAR
        cell = (scale, int(x // (near * scale)), int(y // (near * scale)))
        mark = cells.get(cell)
        if mark is None:
            mark = cells[cell] = Mark(x, y, role)
        mark.places.append(place)
    return list(cells.values())


def link_marks(regions_of: Callable[[ObjectKey], Iterable[str]], marks: list[Mark], gates: list[Mark]) -> list[Link]:
    """One line for the streams from each mark to each mark of regions, and for the BGP sessions inside them."""
    gate_of = {place.name: gate for gate in gates for place in gate.places}
    tallies: dict[tuple[int, int], _Tally] = {}
    for mark in marks:
        for place in mark.places:
            if place.level == "idle":
                continue
            via, sessions = place.via, place.brief.sessions
            for region in regions_of(place.key):
                gate = gate_of.get(region)
                if gate is None:
                    continue
                tally = tallies.get((id(mark), id(gate)))
                if tally is None:
                    tally = tallies[id(mark), id(gate)] = _Tally(mark, gate)
                tally.reach.add(region in via, sessions.get(region))
    links = [tally.link() for tally in tallies.values()]
    return sorted(links, key=lambda link: _SEVERITY.index(link.level))[-_MOST_LINKS:]


@dataclass(slots=True)
class _Tally:
    """What there is between two marks."""

    mark: Mark
    gate: Mark
    reach: Reach = field(default_factory=Reach)

    def link(self) -> Link:
        text = f"{self.mark.label} – {self.gate.label}: {self.reach.words}"
        return Link(_curve(self.mark, self.gate), self.reach.level, text)


async def _between(visit: Visit) -> dict[tuple[str, str], SignalAnswer]:
    """What went from site to site over the last minutes; empty when telemetry does not answer."""
    try:
        answer = await ask(visit, Range(_FLOW_SINCE, "now"), ("site", "peer"), series=False, limit=1000)
    except RequestRefused:
        return {}
    pairs = {(group.labels["site"], group.labels["peer"]): group.total for group in answer.groups}
    return {pair: signal for pair, signal in pairs.items() if pair[0] != pair[1] and all(pair)}


def flow_marks(between: Mapping[tuple[str, str], SignalAnswer], marks: list[Mark]) -> list[Flow]:
    """One line for what goes from the sites of one mark to those of another, as wide as the logarithm of its rate."""
    mark_of = {place.name: mark for mark in marks for place in mark.places}
    rates: dict[tuple[int, int], list[float]] = {}
    ends: dict[tuple[int, int], tuple[Mark, Mark]] = {}
    for (source, target), signal in between.items():
        start, end = mark_of.get(source), mark_of.get(target)
        if start is None or end is None or start is end:
            continue
        ends[id(start), id(end)] = (start, end)
        total = rates.setdefault((id(start), id(end)), [0.0, 0.0])
        total[0] += signal.rate
        total[1] += signal.rate * signal.error_rate
    flows = []
    for pair, (rate, failed) in rates.items():
        start, end = ends[pair]
        share = failed / rate if rate else 0.0
        level = "bad" if share >= BAD else "warn" if share >= WARN else "good"
        text = f"{start.label} → {end.label}: {significant(rate)} requests/s, {significant(100 * share)} % failed"
        flows.append(Flow(_curve(start, end), level, round(1.5 + 1.5 * log10(1 + rate), 2), text))
    return sorted(flows, key=lambda flow: flow.width)[-_MOST_LINKS:]


def _curve(start: Mark, end: Mark) -> str:
    """A line that bows a little, so that lines between the same places do not hide each other."""
    dx, dy = end.x - start.x, end.y - start.y
    bend_x, bend_y = (start.x + end.x) / 2 + dy * 0.12, (start.y + end.y) / 2 - abs(dx) * 0.12
    return f"M{start.x:.1f} {start.y:.1f}Q{bend_x:.1f} {bend_y:.1f} {end.x:.1f} {end.y:.1f}"
