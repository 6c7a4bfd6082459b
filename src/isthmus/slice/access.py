"""ClusterAccess: derived from who needs a cluster for ingress."""

from isthmus.model.cluster import Cluster
from isthmus.model.cluster_access import ClusterAccess, ClusterAccessSpec
from isthmus.model.envelope import emit_envelope
from isthmus.model.key import ObjectKey
from isthmus.model.object import Metadata
from isthmus.slice.graph import Graph
from isthmus.slice.view import View


class AccessWriter:
    """Writes the ClusterAccess of clusters in one state of the graph; callers in common are worked out once."""

    def __init__(self, graph: Graph, view: View) -> None:
        self._graph = graph
        self._view = view
        self._callers: dict[frozenset[ObjectKey], tuple[str, ...]] = {}

    def body(self, cluster: ObjectKey) -> bytes | None:
        """The envelope of the ClusterAccess; None when the cluster does not exist."""
        obj = self._graph.objects.get(cluster)
        if not isinstance(obj, Cluster):
            return None
        access = ClusterAccess(
            kind="ClusterAccess",
            metadata=Metadata(tenant=cluster.tenant, namespace=cluster.namespace, name=cluster.name),
            # names of sites that exist, checked when they were declared
            spec=ClusterAccessSpec.model_construct(callers=self._callers_of(obj)),
        )
        return emit_envelope(access)

    def _callers_of(self, cluster: Cluster) -> tuple[str, ...]:
        if cluster.spec.endpoint_selection == "LOCAL_ONLY":
            return ()  # no site looks for its endpoints elsewhere
        wheres = self._view.ingress_wheres(cluster.key)
        if wheres not in self._callers:
            sites = {site for where in wheres for site in self._view.sites_at(where)}
            self._callers[wheres] = tuple(sorted(site.name for site in sites if site in self._graph.sites))
        return self._callers[wheres]
