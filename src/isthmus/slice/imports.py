"""Which clusters a site takes health routes of."""

from isthmus.model.cluster import Cluster
from isthmus.model.key import ObjectKey
from isthmus.slice.graph import Graph
from isthmus.slice.view import View


class Imports:
    """Numbers of the clusters whose remote endpoints sites use, for one state of the graph."""

    def __init__(self, graph: Graph, view: View) -> None:
        self._graph = graph
        self._view = view
        self._by_class: dict[frozenset[ObjectKey], dict[ObjectKey, int]] = {}
        self._local: dict[ObjectKey, frozenset[int]] = {}
        self._sorted: dict[frozenset[ObjectKey], tuple[int, ...]] = {}

    def of(self, site: ObjectKey) -> tuple[int, ...]:
        """Numbers of the clusters that a site uses for ingress and that have endpoints elsewhere, ascending.

        A cluster that is LOCAL_ONLY, or whose endpoints are all at this site, needs no route.
        """
        policies = self._view.class_of(site)
        numbers = self._by_class.get(policies)
        if numbers is None:
            numbers = self._by_class[policies] = self._class_numbers(policies)
            self._sorted[policies] = tuple(sorted(numbers.values()))
        local = self._local.get(site)
        if local is None:
            local = self._local[site] = frozenset(
                numbers[cluster]
                for cluster in self._view.hosted(site)
                if cluster in numbers and not self._is_elsewhere(cluster, site)
            )
        everything = self._sorted[policies]
        return tuple(number for number in everything if number not in local) if local else everything

    def _class_numbers(self, policies: frozenset[ObjectKey]) -> dict[ObjectKey, int]:
        found: dict[ObjectKey, int] = {}
        for key in self._view.closure(policies):
            obj = self._graph.objects.get(key)
            if (
                isinstance(obj, Cluster)
                and obj.system.number is not None
                and obj.spec.endpoint_selection != "LOCAL_ONLY"
                and self._is_elsewhere(key, None)
            ):
                found[key] = obj.system.number
        return found

    def _is_elsewhere(self, cluster: ObjectKey, site: ObjectKey | None) -> bool:
        """Whether the cluster has an endpoint at a site that exists, other than `site`."""
        return any(
            other != site and other in self._graph.sites
            for where in self._view.placements(cluster)
            for other in self._view.sites_at(where)
        )
