"""Region: a point of presence of the distributed control plane."""

from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.location import Location
from isthmus.model.object import Object, Spec
from isthmus.model.value import Address, Port


class RegionSpec(Spec):
    """How sites reach a region."""

    location: Location | None = Field(
        None, description="Where the region is; sites that name no region take the nearest."
    )
    address: Address = Field(description="IP address that sites and other regions dial.")
    port: Port = Field(7443, description="TCP port of the configuration stream (gRPC over mTLS).")
    bgp_port: Port = Field(7179, description="TCP port of the health routes (BGP over mTLS).")


class Region(Object):
    """Relays configuration to its sites and reflects their health routes."""

    plural: ClassVar[str] = "regions"
    tenant_wide: ClassVar[bool] = True

    kind: Literal["Region"] = "Region"
    spec: RegionSpec
