"""ClusterAccess: which sites may call a cluster through the fabric. Made by the console, never by people."""

from typing import ClassVar, Literal

from isthmus.model.object import Name, Object, Spec


class ClusterAccessSpec(Spec):
    """The callers."""

    callers: tuple[Name, ...]


class ClusterAccess(Object):
    """Goes, under the cluster's namespace and name, to the sites that host its endpoints."""

    plural: ClassVar[str] = "clusteraccesses"
    internal: ClassVar[bool] = True

    kind: Literal["ClusterAccess"] = "ClusterAccess"
    spec: ClusterAccessSpec
