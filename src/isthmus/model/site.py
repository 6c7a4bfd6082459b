"""Site: a place with a data path, where clients enter and applications run."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.key import ObjectKey
from isthmus.model.location import Location
from isthmus.model.network import BUILT_IN_NETWORKS
from isthmus.model.object import Frozen, Name, Object, Spec, Use
from isthmus.model.value import Address, Duration, Port


class SocketAddress(Frozen):
    """An IP address and a TCP port."""

    address: Address
    port: Port = Field(7400, description="TCP port.")


class Fabric(Frozen):
    """How other sites reach this one."""

    addresses: tuple[SocketAddress, ...] = Field(
        (), max_length=8, description="Where this site's Envoy listens for other sites (mTLS)."
    )
    reachability: Literal["direct", "outbound"] = Field(
        "direct",
        description="`outbound`: the site cannot be dialled, so it only takes clients in and hosts no endpoint.",
    )


class Interface(Frozen):
    """One network interface and the addresses that clients use on it."""

    name: str = Field(min_length=1, max_length=15, description="Name of the interface in the system.")
    network: Name = Field(
        "outside",
        description="The Network that it is on. `outside` faces clients in general, `inside` the site's own network, "
        "`internal` is for services of the sites themselves; these three need not be declared.",
    )
    addresses: tuple[Address, ...] = Field(min_length=1, description="IP addresses of the interface.")


class RoundTrip(Frozen):
    """How long a packet takes to another site and back, as it is known."""

    site: Name = Field(description="Name of the other Site; passed over if there is none.")
    time: Duration = Field(description="Round-trip time.")


class SiteSpec(Spec):
    """A site's place, connections and state."""

    location: Location | None = Field(None, description="Where the site is; decides what is near.")
    regions: tuple[Name, ...] = Field(
        (), max_length=2, description="The regions it connects to, best first; the two nearest when empty."
    )
    fabric: Fabric = Field(Fabric(), description="How other sites reach it.")
    interfaces: tuple[Interface, ...] = Field((), description="Where clients reach it.")
    edge: bool = Field(
        False,
        description="The site faces the public internet: policies whose `where` is `public` take clients in here, on "
        "its network `outside`.",
    )
    round_trips: tuple[RoundTrip, ...] = Field(
        (),
        max_length=1000,
        description="Round-trip times to other sites that are not to be measured, for clusters with "
        "`nearness: ROUND_TRIP`.",
    )
    drained: bool = Field(False, description="When true, other sites stop sending requests here; running ones finish.")

    @check_whole
    def _distinct(self) -> Self:
        names = [interface.name for interface in self.interfaces]
        if len(set(names)) != len(names):
            raise ValueError("interfaces have the same name; give each its own")
        if len(set(self.regions)) != len(self.regions):
            raise ValueError("the same region is named twice")
        if len({each.site for each in self.round_trips}) != len(self.round_trips):
            raise ValueError("roundTrips names the same site twice")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The regions, then the networks that are not built in."""
        for index, name in enumerate(self.regions):
            yield Use(f"spec.regions[{index}]", ObjectKey(tenant, "Region", "", name))
        for index, interface in enumerate(self.interfaces):
            if interface.network not in BUILT_IN_NETWORKS:
                key = ObjectKey(tenant, "Network", "", interface.network)
                yield Use(f"spec.interfaces[{index}].network", key)

    def network_addresses(self, network: str) -> tuple[str, ...]:
        """The addresses of all interfaces of a network, in order."""
        return tuple(a for interface in self.interfaces if interface.network == network for a in interface.addresses)


class Site(Object):
    """A cloud network, data centre, point of presence or edge location that runs a site agent and Envoy."""

    plural: ClassVar[str] = "sites"
    tenant_wide: ClassVar[bool] = True

    kind: Literal["Site"] = "Site"
    spec: SiteSpec = SiteSpec()
