"""The outlines of the world as SVG paths, and where a place is on them (Natural Earth projection).

Source of the outlines: Natural Earth, by the npm package world-atlas (TopoJSON); the projection's polynomial is that of
Tom Patterson and others, "A Polynomial Equation for the Natural Earth Projection" (2011).
"""

import json
import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from isthmus.console.web.asset import asset_body

WIDTH, HEIGHT = 1000.0, 470.0
_SCALE = WIDTH / (2 * 0.8707 * math.pi)
_LIFT = 37.0
"""Pixels by which the map is moved down: the far south holds nobody."""

Point = tuple[float, float]


def project(longitude: float, latitude: float) -> Point:
    """Where a place is on the map, in its pixels. Degrees, east and north positive."""
    x, phi = math.radians(longitude), math.radians(latitude)
    p2 = phi * phi
    p4 = p2 * p2
    across = x * (0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4)))
    up = phi * (1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4)))
    return WIDTH / 2 + _SCALE * across, HEIGHT / 2 + _LIFT - _SCALE * up


@lru_cache(maxsize=1)
def world_path() -> str:
    """Every country's outline, as the `d` of one SVG path. About 60 kB, made once."""
    topology = json.loads(asset_body("vendor/world-atlas/countries-110m.json"))
    arcs = list(_arcs(topology))
    parts = []
    for geometry in topology["objects"]["countries"]["geometries"]:
        if geometry["properties"].get("name") == "Antarctica":
            continue
        for ring in _rings(geometry):
            points = _unwrap(point for index in ring for point in _arc(arcs, index))
            parts.append(_emit_ring(points))
            if any(abs(longitude) > 180.5 for longitude, _ in points):  # on both sides of the 180th meridian
                parts += [_emit_ring((x + turn, y) for x, y in points) for turn in (-360.0, 360.0)]
    return "".join(parts)


def _arcs(topology: Any) -> Iterator[list[Point]]:
    """The arcs in degrees: their points are differences of integers (TopoJSON specification, section 2.1.3)."""
    (scale_x, scale_y), (move_x, move_y) = topology["transform"]["scale"], topology["transform"]["translate"]
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * scale_x + move_x, y * scale_y + move_y))
        yield points


def _arc(arcs: list[list[Point]], index: int) -> Iterable[Point]:
    """An arc, backwards for the one's complement of its index."""
    return arcs[index] if index >= 0 else reversed(arcs[~index])


def _rings(geometry: Any) -> Iterator[list[int]]:
    if geometry["type"] == "Polygon":
        yield from geometry["arcs"]
    elif geometry["type"] == "MultiPolygon":
        for polygon in geometry["arcs"]:
            yield from polygon


def _unwrap(points: Iterable[Point]) -> list[Point]:
    """The points without jumps from one edge of the map to the other; longitudes may then be beyond 180 degrees."""
    found: list[Point] = []
    for longitude, latitude in points:
        while found and longitude - found[-1][0] > 180:
            longitude -= 360
        while found and longitude - found[-1][0] < -180:
            longitude += 360
        found.append((longitude, latitude))
    return found


def _emit_ring(points: Iterable[Point]) -> str:
    """One closed outline, in tenths of a pixel, without points that fall together."""
    text, last = [], None
    for longitude, latitude in points:
        x, y = project(longitude, latitude)
        place = (round(x * 10), round(y * 10))
        if place == last:
            continue
        if last is None:
            text.append(f"M{place[0] / 10:g} {place[1] / 10:g}")
        else:
            text.append(f"l{(place[0] - last[0]) / 10:g} {(place[1] - last[1]) / 10:g}")
        last = place
    return "".join(text) + "z"
