"""Endpoints of this machine whose state Envoy does not find out for itself, and is told."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.compile.intent import Hosted
from isthmus.emit.envoy.endpoint import emit_hosted_endpoints
from isthmus.emit.envoy.name import local_cluster
from isthmus.site.egress import Egress


def emit_local_assignments(hosted: Iterable[Hosted], egress: Egress) -> dict[str, bytes]:
    """Of clusters with health checks beside the one that Envoy runs, which it is told the results of; and of those with
    subsets that have a fallback."""
    return {
        local_cluster(each.key): emit_hosted_endpoints(each, egress.unhealthy(each), egress.unserved(each))
        for each in hosted
        if len(each.health_checks) > 1 or any(check.udp for check in each.health_checks) or each.fallback is not None
    }
