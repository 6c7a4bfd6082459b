"""What a virtual host's type rules out in the objects that it leads to.

Nothing looks into the connections of TCP, TCP_SNI, UDP and SMA, so their routes can say little.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import BaseModel

from isthmus.model.advertise_policy import AdvertisePolicy
from isthmus.model.cluster import Cluster
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.endpoint import Endpoint
from isthmus.model.health_check import HealthCheck
from isthmus.model.key import ObjectKey
from isthmus.model.network import BUILT_IN_NETWORKS, Network
from isthmus.model.object import Object
from isthmus.model.reference import resolve
from isthmus.model.route import Route
from isthmus.model.virtual_host import STREAMS, VirtualHost

_ALLOWED = {
    "": ("forward",),
    "forward": ("clusters", "idle_timeout", "hash_policy"),
    "forward.clusters": ("cluster", "subset", "weight"),
    "forward.hash_policy": ("source_address",),
}
"""Fields that say something about a connection, by the part that they stand in. Any other must have its default."""
_REASON = {
    "match": "nothing in a connection is compared, and every connection must go somewhere",
    "redirect": "a connection cannot be redirected",
    "direct_response": "a connection cannot be answered",
}


class Fault(NamedTuple):
    """A field of a route that connections cannot honour, as in a document, and why."""

    field: str
    reason: str


def stream_faults(route: Route) -> Iterator[Fault]:
    """The fields of a route that only requests of HTTP can honour."""
    yield from _faults(route.spec, "spec", "")
    if route.spec.forward is None:
        yield Fault("spec.forward", "connections can only be forwarded")


def _faults(part: BaseModel, path: str, place: str) -> Iterator[Fault]:
    for name, info in type(part).model_fields.items():
        value, field = getattr(part, name), f"{path}.{info.alias or name}"
        inner = f"{place}.{name}".lstrip(".")
        if name not in _ALLOWED[place]:
            if value != info.get_default(call_default_factory=True, validated_data={}):
                yield Fault(field, _REASON.get(name, "only a request has it, not a connection"))
        elif inner in _ALLOWED and isinstance(value, tuple):
            for index, each in enumerate(value):
                yield from _faults(each, f"{field}[{index}]", inner)
        elif inner in _ALLOWED and isinstance(value, BaseModel):
            yield from _faults(value, field, inner)


def check_proxy(host: VirtualHost, objects: Mapping[ObjectKey, Object]) -> Iterator[Diagnostic]:
    """Where a virtual host's type does not fit its routes, their clusters' endpoints, or its policies' networks."""
    tenant, own = host.metadata.tenant, host.metadata.namespace
    for index, reference in enumerate(host.spec.routes):
        route = objects.get(resolve(reference, "Route", tenant, own))
        if isinstance(route, Route):
            yield from _route(host, f"spec.routes[{index}]", route, objects)
    if host.spec.proxy == "SMA":
        for index, reference in enumerate(host.spec.advertise_policies):
            policy = objects.get(resolve(reference, "AdvertisePolicy", tenant, own))
            if isinstance(policy, AdvertisePolicy) and not _internal(policy, objects):
                field, network = f"spec.advertisePolicies[{index}]", policy.spec.where.interfaces
                message = f"{policy.key.title} is on the network {network}, which is not of type internal"
                mend = "advertise SMA on the network internal, or use the type TCP"
                yield Diagnostic("wrong-network", host.key, field, message, mend)


def _route(host: VirtualHost, field: str, route: Route, objects: Mapping[ObjectKey, Object]) -> Iterator[Diagnostic]:
    proxy = host.spec.proxy
    if proxy in STREAMS:
        for place, reason in stream_faults(route):
            message = f"{route.key.title} has {place}, but in a virtual host of type {proxy} {reason}"
            yield Diagnostic("http-only", host.key, field, message, "take it out, or use another route")
    forward = route.spec.forward
    clusters = forward.clusters if forward is not None else ()
    if proxy == "UDP" and sum(each.weight > 0 for each in clusters) > 1:
        message = f"{route.key.title} has several clusters, and sessions of UDP are not shared out by weight"
        yield Diagnostic("one-cluster", host.key, field, message, "use one cluster, and give its endpoints weights")
    for index, each in enumerate(clusters):
        if proxy == "UDP" and each.subset is not None:
            place, reason = f"spec.forward.clusters[{index}].subset", "Envoy's UDP proxy cannot choose by subset"
            mend = "make a cluster of the subset's endpoints, and forward to that"
            yield Diagnostic("whole-cluster", host.key, field, f"{route.key.title} has {place}, and {reason}", mend)
    wanted = "UDP" if proxy == "UDP" else "TCP"
    for entry in clusters:
        key = resolve(entry.cluster, "Cluster", route.metadata.tenant, route.metadata.namespace)
        protocol = cluster_protocol(key, objects)
        if protocol not in (None, wanted):
            message = f"{route.key.title} leads to {key.title}, whose endpoints are of {protocol}, not {wanted}"
            mend = "set spec.protocol of the endpoints, or the type of the virtual host"
            yield Diagnostic("wrong-protocol", host.key, field, message, mend)


def cluster_protocol(key: ObjectKey, objects: Mapping[ObjectKey, Object]) -> str | None:
    """What the ports of a cluster's endpoints are of; None without any endpoint. All are of one (`check_protocols`)."""
    cluster = objects.get(key)
    for endpoint in _endpoints(cluster, objects) if isinstance(cluster, Cluster) else ():
        return endpoint.spec.protocol
    return None


def check_protocols(cluster: Cluster, objects: Mapping[ObjectKey, Object]) -> Iterator[Diagnostic]:
    """A cluster with endpoints of TCP and of UDP, or whose endpoints of UDP are to be asked over TCP."""
    first: Endpoint | None = None
    for endpoint in _endpoints(cluster, objects):
        first = first or endpoint
        if endpoint.spec.protocol != first.spec.protocol:
            one, other = (f"{each.key.title} is of {each.spec.protocol}" for each in (first, endpoint))
            message = f"{one}, and {other}"
            yield Diagnostic("mixed-protocols", cluster.key, "spec.endpoints", message, "make two clusters of them")
            return
    if first is None or first.spec.protocol == "TCP":
        return
    for field, target in cluster.uses():
        check = objects.get(target)
        if isinstance(check, HealthCheck) and check.spec.udp is None:
            message = f"{check.key.title} asks over TCP, and the endpoints are of UDP"
            yield Diagnostic("wrong-protocol", cluster.key, field, message, "use a check with udp")


def check_host_names(cluster: Cluster, objects: Mapping[ObjectKey, Object]) -> Iterator[Diagnostic]:
    """A cluster some of whose endpoints have a name for the Host header: a request that is tried again at one of the
    others would still have the name of the first. Nor one that tells its endpoints the client's address: their
    requests pass the connection between sites, also at one site."""
    named, bare = None, None
    for endpoint in _endpoints(cluster, objects):
        if endpoint.spec.host_name is None:
            bare = bare or endpoint
        else:
            named = named or endpoint
    if named is not None and bare is not None:
        message = f"{named.key.title} has spec.hostName and {bare.key.title} has none"
        yield Diagnostic("mixed-host-names", cluster.key, "spec.endpoints", message, "give all endpoints one, or none")
    if named is not None and cluster.spec.proxy_protocol != "NONE":
        message = f"clients share the connections to {named.key.title}, which has spec.hostName"
        yield Diagnostic(
            "shared-connections", cluster.key, "spec.proxyProtocol", message, "remove proxyProtocol, or hostName"
        )


def _endpoints(cluster: Cluster, objects: Mapping[ObjectKey, Object]) -> Iterator[Endpoint]:
    for _, target in cluster.uses():
        endpoint = objects.get(target) if target.kind == "Endpoint" else None
        if isinstance(endpoint, Endpoint):
            yield endpoint


def _internal(policy: AdvertisePolicy, objects: Mapping[ObjectKey, Object]) -> bool:
    name = policy.spec.where.interfaces
    if name in BUILT_IN_NETWORKS:
        return name == "internal"
    network = objects.get(ObjectKey(policy.metadata.tenant, "Network", "", name))
    return not isinstance(network, Network) or network.spec.type == "internal"
