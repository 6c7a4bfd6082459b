"""`where`: one site, or all sites of a virtual site."""

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.key import ObjectKey
from isthmus.model.object import Frozen, Name, Use


class Where(Frozen):
    """Exactly one of a site and a virtual site."""

    alternatives: ClassVar[tuple[str, ...]] = ("site", "virtual_site")

    site: Name | None = Field(None, description="Name of one Site.")
    virtual_site: Name | None = Field(None, description="Name of a VirtualSite: all sites that it selects.")

    @check_whole
    def _one(self) -> Self:
        if (self.site is None) == (self.virtual_site is None):
            raise ValueError("set exactly one of site and virtualSite")
        return self

    def uses(self, tenant: str, field: str) -> Iterator[Use]:
        """The one reference that this makes."""
        if self.site is not None:
            yield Use(f"{field}.site", ObjectKey(tenant, "Site", "", self.site))
        if self.virtual_site is not None:
            yield Use(f"{field}.virtualSite", ObjectKey(tenant, "VirtualSite", "", self.virtual_site))
