"""What an explanation consists of, as data, as JSON and as lines for people."""

from dataclasses import dataclass
from typing import Any

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class EndpointView:
    """An endpoint that may get the request. `address`: with the name for the Host header, if it has one of its own.
    `healthy`: None when this site does not know."""

    endpoint: ObjectKey
    address: str
    weight: int
    healthy: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class SiteView:
    """A site that hosts the cluster. `percent`: its share of the cluster's requests now."""

    site: str
    percent: float
    state: str
    reason: str
    distance: float | None
    endpoints: tuple[EndpointView, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster of the route. `percent`: its share of the route's requests. `subset`: empty for all its endpoints."""

    cluster: ObjectKey
    percent: float
    shape: str
    reason: str
    sites: tuple[SiteView, ...]
    subset: str = ""

    @property
    def title(self) -> str:
        """The cluster, and the subset if it is about one."""
        return f"{self.cluster.path} subset {self.subset}" if self.subset else self.cluster.path


@dataclass(frozen=True, slots=True)
class Trial:
    """A route that was tried. `reason`: the first condition that failed, or what decided."""

    route: ObjectKey
    matched: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where a request goes, and why.

    Attributes:
        site: the site where the client enters.
        request: method, host and path as Envoy sees them.
        listener: the socket; empty when none takes it.
        virtual_host: None when none has the domain.
        domain: the domain that decided.
        trials: the routes that were tried, in order; the last one matched if any did.
        steps: what else happens to the request and its answer, in order.
        action: `forward`, `redirect`, `respond`, or `refuse` when nothing matches.
        status: of an answer that Envoy gives itself; None when an application answers.
        reached: whether an application gets the request.
        outcome: all of it in one sentence.
    """

    site: str
    request: str
    listener: str
    listener_reason: str
    virtual_host: ObjectKey | None
    domain: str
    domain_reason: str
    trials: tuple[Trial, ...]
    action: str
    status: int | None
    clusters: tuple[ClusterView, ...]
    reached: bool
    outcome: str
    steps: tuple[str, ...] = ()


def refuse(
    site: str,
    request: str,
    status: int | None,
    outcome: str,
    listener: str = "",
    listener_reason: str = "",
    domain_reason: str = "",
) -> Explanation:
    """A request that is no virtual host's. The fields are those of the explanation."""
    return Explanation(
        site=site,
        request=request,
        listener=listener,
        listener_reason=listener_reason,
        virtual_host=None,
        domain="",
        domain_reason=domain_reason,
        trials=(),
        action="refuse",
        status=status,
        clusters=(),
        reached=False,
        outcome=outcome,
    )


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """The explanation as JSON, with its `lines` for people."""
    return {
        "site": explanation.site,
        "request": explanation.request,
        "listener": explanation.listener or None,
        "listenerReason": explanation.listener_reason,
        "virtualHost": explanation.virtual_host.path if explanation.virtual_host else None,
        "domain": explanation.domain or None,
        "domainReason": explanation.domain_reason,
        "routes": [
            {"route": trial.route.path, "matched": trial.matched, "reason": trial.reason}
            for trial in explanation.trials
        ],
        "steps": list(explanation.steps),
        "action": explanation.action,
        "status": explanation.status,
        "clusters": [_cluster_document(cluster) for cluster in explanation.clusters],
        "reached": explanation.reached,
        "outcome": explanation.outcome,
        "lines": explanation_lines(explanation),
    }


def _cluster_document(view: ClusterView) -> dict[str, Any]:
    return {
        "cluster": view.cluster.path,
        "subset": view.subset or None,
        "percent": view.percent,
        "shape": view.shape,
        "reason": view.reason,
        "sites": [
            {
                "site": site.site,
                "percent": site.percent,
                "state": site.state,
                "reason": site.reason,
                "distance": site.distance,
                "endpoints": [
                    {
                        "endpoint": endpoint.endpoint.path,
                        "address": endpoint.address,
                        "weight": endpoint.weight,
                        "healthy": endpoint.healthy,
                        "reason": endpoint.reason,
                    }
                    for endpoint in site.endpoints
                ],
            }
            for site in view.sites
        ],
    }


def explanation_lines(explanation: Explanation) -> list[str]:
    """The explanation as lines of text, indented by what belongs to what."""
    lines = [f"{explanation.request} at {explanation.site}"]
    if explanation.listener_reason:
        lines.append(f"  listener {explanation.listener or '-'}: {explanation.listener_reason}")
    if explanation.domain_reason:
        name = explanation.virtual_host.path if explanation.virtual_host else "-"
        lines.append(f"  virtual host {name}: {explanation.domain_reason}")
    lines += [
        f"  route {trial.route.path}: {'matches' if trial.matched else 'no'}, {trial.reason}"
        for trial in explanation.trials
    ]
    lines += [f"    {step}" for step in explanation.steps]
    for cluster in explanation.clusters:
        lines.append(f"    cluster {cluster.title} {_percent(cluster.percent)}: {cluster.reason}")
        for site in cluster.sites:
            lines.append(f"      site {site.site} {_percent(site.percent)}: {site.state}, {site.reason}")
            for endpoint in site.endpoints:
                health = {True: "healthy", False: "unhealthy", None: "declared"}[endpoint.healthy]
                reason = f", {endpoint.reason}" if endpoint.reason else ""
                lines.append(
                    f"        endpoint {endpoint.endpoint.path} {endpoint.address} "
                    f"weight {endpoint.weight}: {health}{reason}"
                )
    lines.append(explanation.outcome)
    return lines


def _percent(value: float) -> str:
    return f"{value:.4g} %"
