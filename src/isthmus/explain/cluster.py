"""Which sites, and which endpoints there, a cluster's requests go to now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from isthmus.compile.intent import Cluster, Endpoint, Intent, Member, Shape
from isthmus.compile.rule import Share
from isthmus.explain.explanation import ClusterView, EndpointView, SiteView
from isthmus.health.choice import SiteChoice, SiteState
from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """What this site's probes say of one of its endpoints."""

    healthy: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of health.

    Attributes:
        choices: by cluster and subset ("": all endpoints), the sites that can serve it.
        local: by cluster and name of an endpoint of this site. What is absent was not probed yet, or has no probe.
    """

    choices: Mapping[tuple[ObjectKey, str], Sequence[SiteChoice]]
    local: Mapping[tuple[ObjectKey, str], EndpointHealth]


def explain_cluster(intent: Intent, cluster: Cluster, percent: float, health: Health, subset: str = "") -> ClusterView:
    """A cluster's sites with their shares: of the requests for all endpoints, or for a subset."""
    choices = {choice.site: choice for choice in health.choices.get((cluster.key, subset), ())}
    shares = site_shares(intent, cluster, health, subset)
    served = _served(cluster, subset, choices.values(), health)
    sites = [_site(cluster, member, choices.get(member.site), shares, health, served) for member in cluster.members]
    sites.sort(key=lambda view: (-view.percent, view.distance is None, view.distance or 0.0, view.site))
    reason = _reason(cluster, cluster.shape.of_subset(subset))
    if served != subset:
        reason += f"; nobody serves subset {subset}, {f'subset {served}' if served else 'any endpoint'} stands in"
    return ClusterView(cluster.key, percent, cluster.shape.of_subset(subset).value, reason, tuple(sites), subset)


def explain_shares(
    intent: Intent, shares: Iterable[Share], health: Health, nowhere: str = "no site"
) -> tuple[tuple[ClusterView, ...], str]:
    """The clusters among which a route shares, and where they lead in one sentence."""
    known = {cluster.key: cluster for cluster in intent.clusters}
    ordered = sorted(shares, key=lambda share: -share.weight)
    total = sum(share.weight for share in ordered)
    views = tuple(
        explain_cluster(intent, known[share.cluster], 100.0 * share.weight / total, health, share.subset)
        for share in ordered
        if share.cluster in known
    )
    parts = []
    for view in views:
        sites = [f"{site.site} ({site.percent:.4g} %)" for site in view.sites if site.percent]
        parts.append(f"{view.percent:.4g} % to {view.title} at {' and '.join(sites) or nowhere}")
    return views, "Goes " + ", ".join(parts) + "."


def site_shares(intent: Intent, cluster: Cluster, health: Health, subset: str = "") -> dict[str, float]:
    """Percent of a cluster's requests by site, in the way that Envoy chooses.

    1. LOCAL and LOCAL_FIRST: this site takes all while one of its endpoints is not known to be unhealthy.
    2. Otherwise the sites that health has chosen. HEALTHY ones come before DEGRADED ones, DRAINING ones get nothing.
    3. Of these the first priority that has any takes all, and shares by weight.
    """
    own = next((member for member in cluster.members if member.own), None)
    shape = cluster.shape.of_subset(subset)
    if own is not None and shape in (Shape.LOCAL, Shape.LOCAL_FIRST):
        served = _served(cluster, subset, (), health)
        if _usable(cluster, own, health, served):
            return {own.site: 100.0}
    if shape is Shape.LOCAL:
        return {}
    hosts = {member.site for member in cluster.members if not member.own or shape is Shape.UNIFORM}
    choices = [choice for choice in health.choices.get((cluster.key, subset), ()) if choice.site in hosts]
    for state in (SiteState.HEALTHY, SiteState.DEGRADED):
        able = [choice for choice in choices if choice.state is state]
        if able:
            first = min(choice.priority for choice in able)
            chosen = [choice for choice in able if choice.priority == first]
            total = sum(max(1, choice.weight) for choice in chosen)
            return {choice.site: 100.0 * max(1, choice.weight) / total for choice in chosen}
    return {}


def _served(cluster: Cluster, subset: str, choices: Iterable[SiteChoice], health: Health) -> str:
    """The subset whose endpoints take the requests for one ("": all endpoints): itself, or its fallback."""
    if not subset or cluster.fallback is None:
        return subset
    if cluster.shape is Shape.LOCAL:
        own = cluster.members[0] if cluster.members else None
        return subset if own is not None and _usable(cluster, own, health, subset) else cluster.fallback
    return cluster.fallback if any(choice.subset != subset for choice in choices) else subset


def _usable(cluster: Cluster, member: Member, health: Health, subset: str) -> bool:
    usable = [endpoint for endpoint in _of(member, subset) if not endpoint.drained]
    known = [health.local.get((cluster.key, endpoint.name)) for endpoint in usable]
    return any(each is None or each.healthy for each in known)


def _of(member: Member, subset: str) -> list[Endpoint]:
    return [endpoint for endpoint in member.endpoints if not subset or subset in endpoint.subsets]


def _reason(cluster: Cluster, shape: Shape) -> str:
    algorithm = cluster.load_balancing
    return {
        Shape.LOCAL: f"{algorithm} over the endpoints of this site",
        Shape.FABRIC: f"{cluster.selection}, {algorithm}; all endpoints are at other sites",
        Shape.LOCAL_FIRST: f"{cluster.selection}, {algorithm}; other sites only without a healthy endpoint here",
        Shape.UNIFORM: f"{cluster.selection}, {algorithm} over the sites by weight, this one among them",
    }[shape]


def _site(
    cluster: Cluster,
    member: Member,
    choice: SiteChoice | None,
    shares: Mapping[str, float],
    health: Health,
    subset: str,
) -> SiteView:
    if member.own:
        endpoints = tuple(_local(cluster, endpoint, health) for endpoint in _of(member, subset))
        healthy = sum(each.healthy is not False for each in endpoints)
        state, reason = (
            "HEALTHY" if healthy else "UNHEALTHY",
            f"own site, {healthy} of {len(endpoints)} endpoints usable",
        )
        if choice is not None and choice.state is SiteState.DRAINING:
            state = choice.state.value
    else:
        endpoints = tuple(_endpoint(endpoint, None, "") for endpoint in _of(member, subset))
        state = choice.state.value if choice else "UNAVAILABLE"
        reason = choice.reason if choice else "announces no healthy endpoint"
    distance = 0.0 if member.own else (choice.distance if choice else None)
    return SiteView(member.site, shares.get(member.site, 0.0), state, reason, distance, endpoints)


def _local(cluster: Cluster, endpoint: Endpoint, health: Health) -> EndpointView:
    known = health.local.get((cluster.key, endpoint.name))
    if endpoint.drained:
        return _endpoint(endpoint, False, known.reason if known else "drained")
    return _endpoint(endpoint, known.healthy if known else None, known.reason if known else "not probed")


def _endpoint(endpoint: Endpoint, healthy: bool | None, reason: str) -> EndpointView:
    address = f"{endpoint.socket} as {endpoint.host}" if endpoint.host else str(endpoint.socket)
    return EndpointView(endpoint.key, address, endpoint.weight, healthy, reason)
