"""Network: what the interfaces of sites are on, so that policies can say on which of them clients enter."""

from typing import ClassVar, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.object import Object, Spec

BUILT_IN_NETWORKS = ("inside", "outside", "internal")
"""Networks that exist without being declared, each of the type of its name."""


class NetworkSpec(Spec):
    """What the network is for."""

    type: Literal["inside", "outside", "internal"] = Field(
        "inside",
        description="`outside` faces clients in general, `inside` the site's own servers and users; `internal` is for "
        "services of the sites themselves, and the only type that virtual hosts of type SMA are advertised on.",
    )


class Network(Object):
    """A network that several sites may be on, such as a production or an office network."""

    plural: ClassVar[str] = "networks"
    tenant_wide: ClassVar[bool] = True

    kind: Literal["Network"] = "Network"
    spec: NetworkSpec = NetworkSpec()

    @check_whole
    def _not_built_in(self) -> Self:
        if self.metadata.name in BUILT_IN_NETWORKS:
            raise ValueError(f"the network {self.metadata.name} exists in every deployment; use another name")
        return self
