"""Sending requests to clusters."""

from envoy.config.core.v3.base_pb2 import HIGH, HeaderValueOption, Metadata
from envoy.config.route.v3.route_components_pb2 import Route, WeightedCluster

from isthmus.compile.rule import Forward, Shape, Share
from isthmus.emit.envoy import name
from isthmus.emit.envoy.hash import emit_hash_headers, emit_hash_policy, emit_hash_reading
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.retry import emit_retry
from isthmus.emit.envoy.wire import duration, struct

_NAMED_BY_ROUTE = (Shape.FABRIC, Shape.UNIFORM)
"""Shapes all of whose hosts are sites, so that the route itself can name the cluster to them."""


def emit_forward(route: Route, forward: Forward) -> None:
    """Give a route this action."""
    action = route.route
    if forward.high:
        action.priority = HIGH
    if len(forward.shares) == 1:
        share = forward.shares[0]
        action.cluster = name.target_cluster(share.cluster, share.shape, share.subset)
        if share.subset and share.shape is Shape.LOCAL:
            action.metadata_match.CopyFrom(_subset(share))
        route.request_headers_to_add.extend(_fabric_headers(share, forward))
    else:
        action.weighted_clusters.CopyFrom(_weighted(forward))
    if forward.prefix_rewrite is not None:
        action.prefix_rewrite = forward.prefix_rewrite
    action.timeout.CopyFrom(duration(forward.timeout))
    if forward.retry is not None:
        action.retry_policy.CopyFrom(emit_retry(forward.retry, forward.shares))
    emit_hash_policy(route, forward.hash_keys)
    if any(share.hashes and share.shape in _NAMED_BY_ROUTE for share in forward.shares):
        emit_hash_reading(route, forward.hash_keys)


def _weighted(forward: Forward) -> WeightedCluster:
    return WeightedCluster(
        clusters=[
            WeightedCluster.ClusterWeight(
                name=name.target_cluster(share.cluster, share.shape, share.subset),
                metadata_match=_subset(share) if share.subset and share.shape is Shape.LOCAL else None,
                weight={"value": share.weight},
                request_headers_to_add=_fabric_headers(share, forward),
            )
            for share in forward.shares
        ]
    )


def _subset(share: Share) -> Metadata:
    """What an endpoint of this site must carry to be chosen."""
    return Metadata(filter_metadata={name.LB_METADATA: struct({name.SUBSET_KEY: share.subset})})


def _fabric_headers(share: Share, forward: Forward) -> list[HeaderValueOption]:
    """What the egress site must be told. Where some of a cluster's hosts are applications, an upstream filter adds the
    cluster's name to requests for sites alone (`cluster.py`); it costs more than a header of the route."""
    if share.shape not in _NAMED_BY_ROUTE:
        return []
    headers = [set_header(name.CLUSTER_HEADER, name.local_cluster(share.cluster))]
    if share.subset:
        headers.append(set_header(name.SUBSET_HEADER, share.subset))
    if forward.high:
        headers.append(set_header(name.PRIORITY_HEADER, "high"))
    return [*headers, *emit_hash_headers(forward.hash_keys)] if share.hashes else headers
