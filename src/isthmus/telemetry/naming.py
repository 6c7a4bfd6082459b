"""What names and addresses in a log mean: of routes and clusters, and which site, cluster or client is where."""

from collections.abc import Mapping
from dataclasses import dataclass, field

EXTERNAL = "external"
"""A client that is neither known by its certificate nor by its address."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What one site knows.

    Attributes:
        site: its own name.
        sites: the fabric addresses of other sites, `ADDRESS:PORT` -> site.
        clients: addresses at which exactly one cluster has endpoints, -> `cluster:NAMESPACE/NAME`.
        subsets: endpoints that belong to exactly one subset, `NAMESPACE/NAME ADDRESS:PORT` -> subset. Envoy has one
            cluster for all endpoints of a site, so its name does not tell.
    """

    site: str
    sites: Mapping[str, str] = field(default_factory=dict)
    clients: Mapping[str, str] = field(default_factory=dict)
    subsets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RouteName:
    """The parts of a route's name in the log, `tenant/NAMESPACE/VIRTUAL HOST|NAMESPACE/ROUTE`; empty where unknown."""

    namespace: str = ""
    virtual_host: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True)
class ClusterName:
    """The parts of a cluster's name in the log, `tenant/NAMESPACE/NAME@part`; empty where unknown. `subset` is told of
    clusters of sites alone."""

    namespace: str = ""
    cluster: str = ""
    subset: str = ""


def parse_route_name(text: str) -> RouteName:
    """Virtual host and route as `NAMESPACE/NAME`."""
    host, _, route = text.partition("|")
    parts = host.split("/")
    if len(parts) != 3:
        return RouteName()
    return RouteName(parts[1], f"{parts[1]}/{parts[2]}", route)


def parse_cluster_name(text: str) -> ClusterName:
    """Cluster as `NAMESPACE/NAME`; the sites of a subset are the part `subset-SUBSET`, for some connections
    `tunnel-SUBSET`."""
    name, _, part = text.partition("@")
    parts = name.split("/")
    if len(parts) != 3:
        return ClusterName()
    kind, _, subset = part.partition("-")
    return ClusterName(parts[1], f"{parts[1]}/{parts[2]}", subset if kind in ("subset", "tunnel") else "")


def site_of_uri(uri: str) -> str:
    """The site that a SPIFFE ID of the fabric names; empty for any other."""
    parts = uri.split("/")
    if len(parts) == 9 and parts[0] == "spiffe:" and parts[3] == "tenant" and parts[5] == "site":
        return parts[6]
    return ""
