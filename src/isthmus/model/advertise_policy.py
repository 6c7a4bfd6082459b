"""AdvertisePolicy: where clients reach a virtual host."""

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from isthmus.model.object import Object, Spec, Use
from isthmus.model.site import Network
from isthmus.model.tls import DownstreamTls
from isthmus.model.value import Address, Port
from isthmus.model.where import Where


class AdvertiseWhere(Where):
    """The sites, and which of their networks."""

    network: Network = Field("outside", description="The network whose interface addresses are used.")


class AdvertisePolicySpec(Spec):
    """Sites, address and port."""

    where: AdvertiseWhere = Field(description="The ingress sites.")
    port: Port = Field(80, description="TCP port.")
    address: Address | None = Field(None, description="Explicit address; the site's interface addresses when left out.")

    tls: DownstreamTls | None = Field(
        None,
        description="How TLS is terminated here, in place of what HTTPS virtual hosts say: all of it, not field by "
        "field. For example another certificate in one region.",
    )

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The site or virtual site, then what TLS needs."""
        yield from self.where.uses(tenant, "spec.where")
        if self.tls is not None:
            yield from self.tls.uses(tenant, namespace, "spec.tls")


class AdvertisePolicy(Object):
    """Makes virtual hosts reachable at ingress sites."""

    plural: ClassVar[str] = "advertisepolicies"

    kind: Literal["AdvertisePolicy"] = "AdvertisePolicy"
    spec: AdvertisePolicySpec
