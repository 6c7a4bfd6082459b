"""A place on Earth."""

from pydantic import Field

from isthmus.model.object import Frozen


class Location(Frozen):
    """Where a site or region is; decides what is near (great-circle distance)."""

    latitude: float = Field(ge=-90, le=90, description="Degrees, north positive.")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east positive.")
