"""VirtualSite: all sites that a selector matches."""

from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.label import Expression
from isthmus.model.object import Object, Spec


class VirtualSiteSpec(Spec):
    """Which sites belong."""

    selector: tuple[Expression, ...] | None = Field(
        description="Label expressions on sites, one of which must hold. An empty list matches every site, null none."
    )


class VirtualSite(Object):
    """A group of sites, by label: a site joins or leaves when its labels or the selector change."""

    plural: ClassVar[str] = "virtualsites"
    tenant_wide: ClassVar[bool] = True

    kind: Literal["VirtualSite"] = "VirtualSite"
    spec: VirtualSiteSpec
