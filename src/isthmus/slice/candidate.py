"""Which slices, and which objects in them, an edit of links can have changed.

An object joins a slice when the last link of a chain from the site to it appears. Of the links of such a chain that
are new, take the one nearest to the site: its upper end was in the slice already, and its lower end leads to the object
over links that exist now. So the sites of the upper end and the objects below the lower end, both as they are now, hold
every pair that can have appeared. For links that went, the same holds of the state before.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from isthmus.model.key import ObjectKey
from isthmus.slice.graph import Graph
from isthmus.slice.relation import Relation
from isthmus.slice.view import View, access_key

_PAIR_LIMIT = 50_000
"""From this many pairs on, comparing whole slices is cheaper; only the sites are collected then."""


@dataclass(slots=True)
class Candidates:
    """Objects to ask for, by site.

    Attributes:
        pairs: the objects by site; incomplete when there are too many.
        many: whether there are too many, so that the slices of the sites of `pairs` are to be compared whole.
    """

    pairs: defaultdict[ObjectKey, set[ObjectKey]] = field(default_factory=lambda: defaultdict(set))
    many: bool = False
    _count: int = 0

    def add(self, sites: Collection[ObjectKey], keys: Collection[ObjectKey]) -> None:
        """Add every pair of one of the sites and one of the keys."""
        self._count += len(sites) * len(keys)
        self.many = self.many or self._count > _PAIR_LIMIT
        for site in sites:
            known = self.pairs[site]
            if not self.many:
                known.update(keys)


def find_candidates(graph: Graph, before: View, now: View, contents: Iterable[ObjectKey]) -> Candidates:
    """The candidates of an edit.

    Args:
        graph: the links, with the journal of the edit.
        before: the state before the edit.
        now: the state after it.
        contents: the objects whose content changed, that appeared or left.
    """
    found = Candidates()
    for view, gone in ((now, False), (before, True)):
        for key in contents:
            found.add(view.sites_of(key), (key,))
        _Collector(graph, view, gone, found).collect()
    return found


class _Collector:
    """Collects the pairs of the links that appeared, or of those that went."""

    def __init__(self, graph: Graph, view: View, gone: bool, found: Candidates) -> None:
        self._graph = graph
        self._view = view
        self._gone = gone
        self._found = found

    def _links(self, relation: Relation) -> Iterable[tuple[ObjectKey, ObjectKey]]:
        return relation.removed if self._gone else relation.added

    def collect(self) -> None:
        graph, view = self._graph, self._view
        for host, policy in self._links(graph.names):
            self.add(view.sites_of(policy), view.down((host,)))
        for policy, where in self._links(graph.advertises):
            self.add(view.sites_at(where), self._policy(policy, where))
        for user, used in self._links(graph.uses):
            self.add(view.ingress_sites(user), view.down((used,)))
            if used.kind == "Endpoint":
                self.add(view.egress_sites(used), self._hosting((user,)))
            elif used.kind == "HealthCheck":
                self.add(view.egress_sites(user), (used,))
        for endpoint, where in self._links(graph.places):
            self.add(view.ingress_sites(endpoint), view.down((where,)))
            self.add(view.sites_at(where), self._endpoint(endpoint, where))
        for registry, where in self._links(graph.employed):
            self.add(view.sites_at(where), (registry, where))
        for group, site in self._links(graph.member):
            self._membership(group, site)
        for site, region in self._links(graph.connects):
            self._found.add((site,), (region,))
        for owner, target in self._links(graph.secured):
            self._found.add(view.secured_sites(owner), (target,))

    def add(self, sites: Collection[ObjectKey], keys: Collection[ObjectKey]) -> None:
        """Add every pair, with what the keys are secured with."""
        secured = self._graph.secured
        more = {target for key in keys for target in secured.right(key, before=self._gone)}
        self._found.add(sites, more.union(keys) if more else keys)

    def _policy(self, policy: ObjectKey, where: ObjectKey) -> set[ObjectKey]:
        """What a site where a policy advertises needs for it."""
        return {policy, where} | self._view.down(self._view.virtual_hosts_of((policy,)))

    def _endpoint(self, endpoint: ObjectKey, where: ObjectKey) -> set[ObjectKey]:
        """What a site where an endpoint runs needs for it."""
        clusters = self._graph.uses.left(endpoint, before=self._gone)
        return {endpoint, where} | self._hosting(clusters)

    def _hosting(self, clusters: Iterable[ObjectKey]) -> set[ObjectKey]:
        """What a site that runs an endpoint of some clusters needs of them."""
        found: set[ObjectKey] = set()
        for cluster in clusters:
            found.update((cluster, access_key(cluster)))
            found.update(child for child in self._view.children(cluster) if child.kind == "HealthCheck")
        return found

    def _membership(self, group: ObjectKey, site: ObjectKey) -> None:
        graph = self._graph
        keys = {group}
        for policy in graph.advertises.left(group, before=self._gone):
            keys |= self._policy(policy, group)
        for endpoint in graph.places.left(group, before=self._gone):
            keys |= self._endpoint(endpoint, group)
        keys.update(graph.employed.left(group, before=self._gone))
        self.add((site,), keys)
        self.add(self._view.ingress_sites(group), (site,))
