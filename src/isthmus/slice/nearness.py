"""Which regions are near a site."""

import math
from collections.abc import Iterable

from isthmus.model.location import Location
from isthmus.model.region import Region
from isthmus.model.site import Site

_EARTH_RADIUS_KM = 6371.0
_REGIONS_PER_SITE = 2


def distance_km(one: Location | None, other: Location | None) -> float:
    """Great-circle distance (haversine); infinite when a place is not known."""
    if one is None or other is None:
        return math.inf
    lat1, lat2 = math.radians(one.latitude), math.radians(other.latitude)
    half_lat = (lat2 - lat1) / 2
    half_lon = math.radians(other.longitude - one.longitude) / 2
    a = math.sin(half_lat) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(half_lon) ** 2
    return 2 * _EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(a)))


def nearest_regions(site: Site, regions: Iterable[Region]) -> tuple[str, ...]:
    """The names of the regions that a site connects to, best first.

    1. Those that the site names, in its order, as far as they exist.
    2. When it names none, the two nearest; a region without location comes last; the name breaks ties.
    """
    known = {region.metadata.name: region for region in regions if region.metadata.tenant == site.metadata.tenant}
    if site.spec.regions:
        return tuple(name for name in site.spec.regions if name in known)
    ranked = sorted(known, key=lambda name: (distance_km(site.spec.location, known[name].spec.location), name))
    return tuple(ranked[:_REGIONS_PER_SITE])
