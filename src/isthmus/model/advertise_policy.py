"""AdvertisePolicy: where clients reach a virtual host."""

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.key import ObjectKey
from isthmus.model.network import BUILT_IN_NETWORKS
from isthmus.model.object import Frozen, Name, Object, Spec, Use
from isthmus.model.tls import DownstreamTls
from isthmus.model.value import Address, Port

_DEFAULT_NETWORK = "outside"


class AdvertiseWhere(Frozen):
    """The ingress sites, and which of their networks."""

    site: Name | None = Field(None, description="Name of one Site.")
    virtual_site: Name | None = Field(None, description="Name of a VirtualSite: all sites that it selects.")
    network: Name | None = Field(
        None,
        description="Name of the Network whose interface addresses are used. With a site or virtual site `outside` "
        "when left out; alone it means every site with an interface on it.",
    )
    public: Literal[True] | None = Field(
        None, description="true: the network `outside` of all sites with `spec.edge`, which face the public internet."
    )

    @check_whole
    def _one(self) -> Self:
        sites = [name for name in (self.site, self.virtual_site) if name is not None]
        if len(sites) > 1:
            raise ValueError("set at most one of site and virtualSite")
        if self.public and (sites or self.network is not None):
            raise ValueError("public stands alone: it means the network outside of all edge sites")
        if not sites and self.network is None and not self.public:
            raise ValueError("set site, virtualSite, network or public")
        return self

    @property
    def interfaces(self) -> str:
        """Name of the network whose interfaces are used."""
        return self.network or _DEFAULT_NETWORK

    def uses(self, tenant: str, field: str) -> Iterator[Use]:
        """The site or virtual site, and the network if it is not built in."""
        if self.site is not None:
            yield Use(f"{field}.site", ObjectKey(tenant, "Site", "", self.site))
        if self.virtual_site is not None:
            yield Use(f"{field}.virtualSite", ObjectKey(tenant, "VirtualSite", "", self.virtual_site))
        if self.network is not None and self.network not in BUILT_IN_NETWORKS:
            yield Use(f"{field}.network", ObjectKey(tenant, "Network", "", self.network))


class AdvertisePolicySpec(Spec):
    """Sites, address and port."""

    where: AdvertiseWhere = Field(description="The ingress sites.")
    port: Port = Field(80, description="Port, of UDP for virtual hosts of type UDP and of TCP for all others.")
    address: Address | None = Field(
        None,
        description="Explicit address; the site's interface addresses when left out. A site that does not have it yet "
        "adds it to the interface of the network, and removes it when no policy needs it any more.",
    )

    tls: DownstreamTls | None = Field(
        None,
        description="How TLS is terminated here, in place of what HTTPS virtual hosts say: all of it, not field by "
        "field. For example another certificate in one region.",
    )

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """What `where` names, then what TLS needs."""
        yield from self.where.uses(tenant, "spec.where")
        if self.tls is not None:
            yield from self.tls.uses(tenant, namespace, "spec.tls")


class AdvertisePolicy(Object):
    """Makes virtual hosts reachable at ingress sites."""

    plural: ClassVar[str] = "advertisepolicies"

    kind: Literal["AdvertisePolicy"] = "AdvertisePolicy"
    spec: AdvertisePolicySpec
