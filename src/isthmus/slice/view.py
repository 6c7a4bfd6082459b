"""Who needs what, asked of the graph as it is now or as it was before the edit under way.

A site needs an object for one of three reasons:
    ingress   a chain AdvertisePolicy <- VirtualHost -> Route -> Cluster -> Endpoint -> Site starts at it
    egress    it runs endpoints: they, their clusters, and who may call those
    own       it is the site itself, its regions, its policies, its registries, receivers and groups
Certificates, secrets and authorities go where what refers to them is enforced: with a virtual host to its ingress
sites, with a cluster or an endpoint to the sites that run it, and not where such a cluster is merely a destination.
Sites with the same policies need the same objects for ingress, so ingress is worked out per set of policies ("class").

A View remembers its answers; it is used for one state of the graph and then thrown away.
"""

from collections.abc import Collection, Iterable, Iterator

from isthmus.model.key import ObjectKey
from isthmus.slice.graph import Graph

_WALK_LIMIT = 256
"""How many objects an upward walk visits before the downward walk from the class is the cheaper one: so that a
question about one site costs the same however many others share an object."""


_AT_EGRESS = frozenset(("Cluster", "Endpoint", "HealthCheck"))
"""Kinds whose certificates and secrets the sites that run the endpoints need, and no others."""


def access_key(cluster: ObjectKey) -> ObjectKey:
    """The key of the ClusterAccess of a cluster."""
    return cluster._replace(kind="ClusterAccess")


class View:
    """One state of a graph. `before` chooses the state before the edit under way."""

    def __init__(self, graph: Graph, *, before: bool = False) -> None:
        self._graph = graph
        self._before = before
        self._classes: dict[frozenset[ObjectKey], frozenset[ObjectKey]] = {}
        self._class_of: dict[ObjectKey, frozenset[ObjectKey]] = {}
        self._closures: dict[frozenset[ObjectKey], frozenset[ObjectKey]] = {}
        self._ingress: dict[tuple[frozenset[ObjectKey], ObjectKey], bool] = {}
        self._hosted: dict[ObjectKey, frozenset[ObjectKey]] = {}

    # Sites

    def sites_at(self, where: ObjectKey) -> Collection[ObjectKey]:
        """The sites that a Site or VirtualSite means."""
        return (where,) if where.kind == "Site" else self._graph.member.right(where, before=self._before)

    def wheres_of(self, site: ObjectKey) -> Iterator[ObjectKey]:
        """The site itself and every VirtualSite that it belongs to."""
        yield site
        yield from self._graph.member.left(site, before=self._before)

    def class_of(self, site: ObjectKey) -> frozenset[ObjectKey]:
        """The policies that advertise at a site. Equal classes are one object."""
        found = self._class_of.get(site)
        if found is None:
            policies = frozenset(
                policy
                for where in self.wheres_of(site)
                for policy in self._graph.advertises.left(where, before=self._before)
            )
            found = self._class_of[site] = self._classes.setdefault(policies, policies)
        return found

    # Ingress

    def children(self, key: ObjectKey) -> Collection[ObjectKey]:
        """What an object brings along for ingress."""
        graph, before = self._graph, self._before
        match key.kind:
            case "VirtualHost" | "Route" | "Cluster":
                return graph.uses.right(key, before=before)
            case "Endpoint":
                return graph.places.right(key, before=before)
            case "VirtualSite":
                return graph.member.right(key, before=before)
        return ()

    def _parents(self, key: ObjectKey) -> Iterable[ObjectKey]:
        graph, before = self._graph, self._before
        match key.kind:
            case "Route" | "Cluster" | "Endpoint" | "HealthCheck":
                return graph.uses.left(key, before=before)
            case "VirtualSite":
                return graph.places.left(key, before=before)
            case "Site":
                return (e for where in self.wheres_of(key) for e in graph.places.left(where, before=before))
        return ()

    def down(self, keys: Iterable[ObjectKey]) -> set[ObjectKey]:
        """The objects, and all that they bring along for ingress."""
        found = set(keys)
        stack = list(found)
        while stack:
            fresh = [child for child in self.children(stack.pop()) if child not in found]
            found.update(fresh)
            stack.extend(fresh)
        return found

    def _virtual_hosts(self, key: ObjectKey) -> Iterator[ObjectKey | None]:
        """The virtual hosts that bring an object along; None for every other object on the way."""
        seen = {key}
        stack = [key]
        while stack:
            node = stack.pop()
            yield node if node.kind == "VirtualHost" else None
            fresh = [parent for parent in self._parents(node) if parent not in seen]
            seen.update(fresh)
            stack.extend(fresh)

    def closure(self, policies: frozenset[ObjectKey]) -> frozenset[ObjectKey]:
        """All that sites of a class need for ingress."""
        found = self._closures.get(policies)
        if found is None:
            found = self._closures[policies] = frozenset(self.down(self.virtual_hosts_of(policies)))
        return found

    def virtual_hosts_of(self, policies: Iterable[ObjectKey]) -> set[ObjectKey]:
        """The virtual hosts that some of the policies advertise."""
        return {host for policy in policies for host in self._graph.names.left(policy, before=self._before)}

    def ingress(self, policies: frozenset[ObjectKey], key: ObjectKey) -> bool:
        """Whether sites of a class need an object for ingress."""
        if not policies:
            return False
        closure = self._closures.get(policies)
        if closure is not None:
            return key in closure
        known = self._ingress.get((policies, key))
        if known is None:
            known = self._ingress[policies, key] = self._walk_up(policies, key)
        return known

    def _walk_up(self, policies: frozenset[ObjectKey], key: ObjectKey) -> bool:
        names, before = self._graph.names, self._before
        for steps, host in enumerate(self._virtual_hosts(key)):
            if host is not None and any(policy in policies for policy in names.right(host, before=before)):
                return True
            if steps > _WALK_LIMIT:
                return key in self.closure(policies)
        return False

    def ingress_sites(self, key: ObjectKey) -> set[ObjectKey]:
        """The sites that need an object for ingress."""
        return {site for where in self.ingress_wheres(key) for site in self.sites_at(where)}

    def ingress_wheres(self, key: ObjectKey) -> frozenset[ObjectKey]:
        """Where the virtual hosts that bring an object along are advertised: Sites and VirtualSites."""
        graph, before = self._graph, self._before
        hosts = (host for host in self._virtual_hosts(key) if host is not None)
        policies = {policy for host in hosts for policy in graph.names.right(host, before=before)}
        return frozenset(where for policy in policies for where in graph.advertises.right(policy, before=before))

    # Egress

    def endpoints_at(self, site: ObjectKey) -> Iterator[ObjectKey]:
        """The endpoints at a site; one may come twice."""
        for where in self.wheres_of(site):
            yield from self._graph.places.left(where, before=self._before)

    def hosted(self, site: ObjectKey) -> frozenset[ObjectKey]:
        """The clusters that have an endpoint at a site."""
        found = self._hosted.get(site)
        if found is None:
            found = self._hosted[site] = frozenset(
                cluster
                for endpoint in self.endpoints_at(site)
                for cluster in self._graph.uses.left(endpoint, before=self._before)
            )
        return found

    def placements(self, cluster: ObjectKey) -> set[ObjectKey]:
        """Where the endpoints of a cluster are: Sites and VirtualSites."""
        return {w for child in self.children(cluster) if child.kind == "Endpoint" for w in self.children(child)}

    def egress_sites(self, key: ObjectKey) -> set[ObjectKey]:
        """The sites that need a Cluster, ClusterAccess, Endpoint or HealthCheck since they run endpoints."""
        match key.kind:
            case "Cluster":
                wheres = self.placements(key)
            case "ClusterAccess":
                wheres = self.placements(key._replace(kind="Cluster"))
            case "Endpoint":
                wheres = set(self.children(key))
            case "HealthCheck":
                wheres = {where for cluster in self._parents(key) for where in self.placements(cluster)}
            case _:
                return set()
        return {site for where in wheres for site in self.sites_at(where)}

    # What secures

    def secured_sites(self, owner: ObjectKey) -> set[ObjectKey]:
        """The sites that need the certificates, secrets and authorities to which an object refers."""
        if owner.kind in _AT_EGRESS:
            return self.egress_sites(owner)
        return self.sites_of(owner)

    def is_secured(self, site: ObjectKey, owner: ObjectKey) -> bool:
        """Whether a site is one of `secured_sites`."""
        match owner.kind:
            case "Cluster":
                return owner in self.hosted(site)
            case "Endpoint" | "HealthCheck":
                return site in self.egress_sites(owner)
        return self.holds(site, owner)

    def _securing(self, site: ObjectKey, own: set[ObjectKey]) -> set[ObjectKey]:
        """The certificates, secrets and authorities of a site with these other own objects."""
        secured, before = self._graph.secured, self._before
        owners = self.virtual_hosts_of(self.class_of(site)) | own
        return {target for owner in owners for target in secured.right(owner, before=before)}

    # Slices

    def _is_used(self, group: ObjectKey) -> bool:
        graph, before = self._graph, self._before
        return any(r.left(group, before=before) for r in (graph.advertises, graph.places, graph.employed))

    def holds(self, site: ObjectKey, key: ObjectKey) -> bool:
        """Whether an object, if it exists, is in the slice of a site that exists."""
        graph, before = self._graph, self._before
        match key.kind:
            case "Site":
                directly = key == site
            case "Region":
                return graph.connects.holds(site, key, before=before)
            case "AdvertisePolicy":
                return key in self.class_of(site)
            case "ServiceDiscovery" | "TelemetryReceiver":
                wheres = graph.employed.right(key, before=before)
                return any(where == site or graph.member.holds(where, site, before=before) for where in wheres)
            case "VirtualSite":
                directly = graph.member.holds(key, site, before=before) and self._is_used(key)
            case "Cluster":
                directly = key in self.hosted(site)
            case "ClusterAccess":
                return key._replace(kind="Cluster") in self.hosted(site)
            case "HealthCheck":
                directly = not self.hosted(site).isdisjoint(graph.uses.left(key, before=before))
            case "Endpoint":
                directly = any(
                    where == site or graph.member.holds(where, site, before=before) for where in self.children(key)
                )
            case "Certificate" | "Secret" | "TrustedAuthority":
                owners = graph.secured.left(key, before=before)
                return any(self.is_secured(site, owner) for owner in owners)
            case _:
                directly = False
        return directly or self.ingress(self.class_of(site), key)

    def own(self, site: ObjectKey) -> set[ObjectKey]:
        """The objects of a site's slice for other reasons than ingress."""
        graph, before = self._graph, self._before
        hosted = self.hosted(site)
        found = {site, *graph.connects.right(site, before=before), *self.class_of(site), *self.endpoints_at(site)}
        groups = (group for group in graph.member.left(site, before=before) if group.kind == "VirtualSite")
        found.update(group for group in groups if self._is_used(group))
        for where in self.wheres_of(site):
            found.update(graph.employed.left(where, before=before))
        found.update(hosted)
        for cluster in hosted:
            found.add(access_key(cluster))
            found.update(child for child in self.children(cluster) if child.kind == "HealthCheck")
        found.update(self._securing(site, found))
        return found

    def members(self, site: ObjectKey) -> set[ObjectKey]:
        """Every key that `holds` is true of, the whole slice of a site that exists."""
        return self.own(site).union(self.closure(self.class_of(site)))

    def sites_of(self, key: ObjectKey) -> set[ObjectKey]:
        """Every site for which `holds` is true of an object."""
        graph, before = self._graph, self._before
        match key.kind:
            case "Region":
                return set(graph.connects.left(key, before=before))
            case "AdvertisePolicy":
                wheres = graph.advertises.right(key, before=before)
                return {site for where in wheres for site in self.sites_at(where)}
            case "ServiceDiscovery" | "TelemetryReceiver":
                wheres = graph.employed.right(key, before=before)
                return {site for where in wheres for site in self.sites_at(where)}
            case "Site":
                return self.ingress_sites(key) | {key}
            case "VirtualSite":
                own = self.sites_at(key) if self._is_used(key) else ()
                return self.ingress_sites(key).union(own)
            case "VirtualHost" | "Route":
                return self.ingress_sites(key)
            case "Cluster" | "HealthCheck" | "Endpoint":
                return self.ingress_sites(key) | self.egress_sites(key)
            case "ClusterAccess":
                return self.egress_sites(key)
            case "Certificate" | "Secret" | "TrustedAuthority":
                owners = graph.secured.left(key, before=before)
                return {site for owner in owners for site in self.secured_sites(owner)}
        return set()
