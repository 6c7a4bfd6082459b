"""Checks across objects: what one document alone cannot show.

`validate` looks at a whole set of objects, as it would be after an apply, and returns every error in it.
"""

from collections.abc import Iterable, Iterator, Mapping

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.alert_policy import AlertPolicy
from isthmus.model.cluster import HASHING, Cluster
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.endpoint import Endpoint
from isthmus.model.forward import Forward, Mirror, WeightedCluster
from isthmus.model.health_check import HealthCheck
from isthmus.model.key import BUILT_IN_NAMESPACES, SHARED_NAMESPACE, ObjectKey
from isthmus.model.object import Object
from isthmus.model.overlap import check_overlaps
from isthmus.model.reference import resolve
from isthmus.model.route import Route
from isthmus.model.selection import SiteSelection
from isthmus.model.service_discovery import ServiceDiscovery
from isthmus.model.stream import check_host_names, check_protocols, check_proxy
from isthmus.model.termination import check_tls
from isthmus.model.virtual_host import VirtualHost

Objects = Mapping[ObjectKey, Object]
MAX_CLUSTER_SITES = 1000
"""Sites that one cluster's endpoints may be at: every ingress site holds one entry for each."""


def validate(objects: Objects) -> list[Diagnostic]:
    """Every error between objects, ordered by object, field and code."""
    selection = SiteSelection(objects)
    found = [each for obj in objects.values() for each in check_object(obj, objects, selection)]
    found.extend(check_overlaps(objects, selection))
    return sort_diagnostics(found)


def sort_diagnostics(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """By object, field, code and message."""
    return sorted(diagnostics, key=lambda d: (str(d.object), d.field, d.code, d.message))


def check_object(obj: Object, objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """The errors of one object that depend on what it refers to, directly or through endpoints and groups.

    Of one that is stored and refused by this release, why it is: what else it says is known in part."""
    if obj.refused is not None:
        yield from obj.refused.diagnostics
        return
    yield from _namespace(obj, objects)
    yield from _references(obj, objects)
    if isinstance(obj, Endpoint):
        yield from _outbound(obj, selection)
        yield from _registry(obj, objects, selection)
    elif isinstance(obj, AdvertisePolicy):
        yield from _address(obj, selection)
    elif isinstance(obj, Cluster):
        yield from _breadth(obj, objects, selection)
        yield from check_protocols(obj, objects)
        yield from check_host_names(obj, objects)
        yield from _grpc(obj, objects)
    elif isinstance(obj, VirtualHost):
        yield from check_proxy(obj, objects)
        yield from check_tls(obj, objects)
    elif isinstance(obj, Route):
        yield from _targets(obj, objects)
    elif isinstance(obj, AlertPolicy):
        yield from _unseen(obj)


def referrers(objects: Objects, key: ObjectKey) -> list[ObjectKey]:
    """The objects that refer to `key`, sorted. A namespace is referred to by what it holds."""
    if key.kind == "Namespace":
        return sorted(other for other in objects if other.namespace == key.name and other.tenant == key.tenant)
    return sorted(other for other, obj in objects.items() if any(use.target == key for use in obj.uses()))


def _namespace(obj: Object, objects: Objects) -> Iterator[Diagnostic]:
    name = obj.metadata.namespace
    key = ObjectKey(obj.metadata.tenant, "Namespace", "", name)
    if name and name not in BUILT_IN_NAMESPACES and key not in objects:
        yield Diagnostic(
            "unknown-namespace",
            obj.key,
            "metadata.namespace",
            f"the namespace {name} does not exist",
            f"add a Namespace {name}",
            missing=key,
        )


def _references(obj: Object, objects: Objects) -> Iterator[Diagnostic]:
    own = obj.metadata.namespace
    for field, target in obj.uses():
        if target.namespace not in (own, "", SHARED_NAMESPACE):
            yield Diagnostic(
                "foreign-namespace",
                obj.key,
                f"{field}.namespace",
                f"refers to the namespace {target.namespace}",
                f"refer to the own namespace {own} or to {SHARED_NAMESPACE}",
            )
        elif target not in objects:
            yield Diagnostic(
                "dangling-reference",
                obj.key,
                field,
                f"{target.title} does not exist",
                "create it, or correct the name",
                missing=target,
            )


def _outbound(endpoint: Endpoint, selection: SiteSelection) -> Iterator[Diagnostic]:
    for site in selection.sites(endpoint.spec.where, endpoint.metadata.tenant):
        if site.spec.fabric.reachability == "outbound":
            field = "spec.where.site" if endpoint.spec.where.site else "spec.where.virtualSite"
            yield Diagnostic(
                "outbound-site-hosts-endpoint",
                endpoint.key,
                field,
                f"Site {site.metadata.name} is reachable only outbound and can take clients in but not host endpoints",
                "use a site with spec.fabric.reachability direct",
            )


def _registry(endpoint: Endpoint, objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    """What is wrong with the ServiceDiscovery that an endpoint names."""
    lookup, key = endpoint.spec.discovery, endpoint.key
    if lookup is None or lookup.service_discovery is None:
        return
    target = resolve(lookup.service_discovery, "ServiceDiscovery", key.tenant, key.namespace)
    registry = objects.get(target)
    if not isinstance(registry, ServiceDiscovery):
        return
    field = "spec.discovery.serviceDiscovery"
    if registry.spec.method != lookup.method:
        message = f"{target.title} is of the method {registry.spec.method}, not {lookup.method}"
        yield Diagnostic("wrong-method", key, field, message, "name another, or use its method")
    where = endpoint.spec.where
    if where.site is None:
        return  # a virtual site may gain and lose sites later: the sites without the registry say so in their status
    known = {site.key for site in selection.sites(registry.spec.where, key.tenant)}
    for site in selection.sites(where, key.tenant):
        if site.key not in known:
            message = f"{target.title} is not used by Site {site.metadata.name}, where the endpoint is"
            yield Diagnostic("registry-elsewhere", key, field, message, "extend its spec.where to that site")


def _address(policy: AdvertisePolicy, selection: SiteSelection) -> Iterator[Diagnostic]:
    where = policy.spec.where
    if policy.spec.address is not None or where.site is None:
        return  # a virtual site may gain sites later: the sites without an address say so in their status
    for site in selection.advertised(where, policy.metadata.tenant):
        if not site.spec.network_addresses(where.interfaces):
            yield Diagnostic(
                "no-address",
                policy.key,
                "spec.where.network",
                f"Site {site.metadata.name} has no address on its {where.interfaces} network",
                "add an interface to the site, or set spec.address",
            )


def _breadth(cluster: Cluster, objects: Objects, selection: SiteSelection) -> Iterator[Diagnostic]:
    sites: set[ObjectKey] = set()
    for _, target in cluster.uses():
        endpoint = objects.get(target)
        if isinstance(endpoint, Endpoint):
            sites.update(site.key for site in selection.sites(endpoint.spec.where, endpoint.metadata.tenant))
    if len(sites) > MAX_CLUSTER_SITES:
        yield Diagnostic(
            "too-many-sites",
            cluster.key,
            "spec.endpoints",
            f"the endpoints are at {len(sites)} sites, more than {MAX_CLUSTER_SITES}",
            "split the cluster, or narrow the virtual sites of its endpoints",
        )


def _grpc(cluster: Cluster, objects: Objects) -> Iterator[Diagnostic]:
    for field, target in cluster.uses():
        check = objects.get(target)
        if isinstance(check, HealthCheck) and check.spec.grpc is not None and cluster.spec.protocol == "HTTP1":
            yield Diagnostic(
                "grpc-needs-http2",
                cluster.key,
                field,
                f"{check.key.title} probes by gRPC, and the cluster speaks HTTP/1",
                "set spec.protocol HTTP2, or use another health check",
            )


def _unseen(policy: AlertPolicy) -> Iterator[Diagnostic]:
    """What a policy asks for and never sees."""
    if policy.spec.match.namespaces and policy.metadata.namespace != SHARED_NAMESPACE:
        yield Diagnostic(
            "unseen-namespace",
            policy.key,
            "spec.match.namespaces",
            f"a policy sees the alerts of its own namespace {policy.metadata.namespace} alone",
            f"leave it out, or move the policy to the namespace {SHARED_NAMESPACE}",
        )


def _targets(route: Route, objects: Objects) -> Iterator[Diagnostic]:
    own, forward = route.metadata, route.spec.forward
    if forward is None:
        return
    yield from _subsets(route, forward, objects)
    yield from _hashed(route, forward, objects)
    for entry in forward.clusters:
        cluster = objects.get(resolve(entry.cluster, "Cluster", own.tenant, own.namespace))
        if not isinstance(cluster, Cluster):
            continue
        spec = cluster.spec
        first_here = spec.endpoint_selection == "LOCAL_PREFERRED" and spec.load_balancing not in HASHING
        if forward.priority == "HIGH" and first_here and entry.subset is None:
            yield Diagnostic(
                "priority-stays-here",
                route.key,
                "spec.forward.priority",
                f"{cluster.key.title} is LOCAL_PREFERRED: a request that spills to another site would lose its "
                "priority, for only then is it known that it leaves",
                "name a subset, make the cluster DISTRIBUTED or LOCAL_ONLY, or use the priority DEFAULT",
            )


def _subsets(route: Route, forward: Forward, objects: Objects) -> Iterator[Diagnostic]:
    own = route.metadata
    parts: dict[str, tuple[WeightedCluster | Mirror, ...]]
    parts = {"clusters": forward.clusters, "mirrors": forward.mirrors}
    for part, entries in parts.items():
        for index, entry in enumerate(entries):
            cluster = objects.get(resolve(entry.cluster, "Cluster", own.tenant, own.namespace))
            if not isinstance(cluster, Cluster) or entry.subset is None:
                continue
            names = [subset.name for subset in cluster.spec.subsets]
            if entry.subset not in names:
                yield Diagnostic(
                    "unknown-subset",
                    route.key,
                    f"spec.forward.{part}[{index}].subset",
                    f"{cluster.key.title} has no subset {entry.subset}",
                    f"name one of {', '.join(names)}" if names else "add the subset to the cluster",
                )


def _hashed(route: Route, forward: Forward, objects: Objects) -> Iterator[Diagnostic]:
    """A hash policy that no cluster looks at: who writes one expects clients to stay where they are."""
    own = route.metadata
    keys = [resolve(entry.cluster, "Cluster", own.tenant, own.namespace) for entry in forward.clusters]
    clusters = [cluster for cluster in map(objects.get, keys) if isinstance(cluster, Cluster)]
    if not forward.hash_policy or len(clusters) < len(keys):
        return
    if not any(cluster.spec.load_balancing in HASHING for cluster in clusters):
        one = clusters[0]
        yield Diagnostic(
            "hash-unused",
            route.key,
            "spec.forward.hashPolicy",
            f"no cluster of the route hashes: {one.key.title} is {one.spec.load_balancing}",
            "set spec.loadBalancing of the cluster to MAGLEV or RING_HASH, or remove hashPolicy",
        )
