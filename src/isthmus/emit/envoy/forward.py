"""Sending requests to clusters."""

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.core.v3.base_pb2 import HIGH, HeaderValueOption, Metadata, RuntimeFractionalPercent
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, WeightedCluster
from envoy.type.matcher.v3.regex_pb2 import RegexMatchAndSubstitute, RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.rule import Forward, Mirror, RegexRewrite, Shape, Share
from isthmus.emit.envoy import name
from isthmus.emit.envoy.hash import emit_hash_headers, emit_hash_policy, emit_hash_reading
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.retry import emit_retry
from isthmus.emit.envoy.wire import duration, percent, struct

_NAMED_BY_ROUTE = (Shape.FABRIC, Shape.UNIFORM)
"""Shapes all of whose hosts are sites, so that the route itself can name the cluster to them."""


def emit_forward(route: Route, forward: Forward, *, made: bool = False) -> None:
    """Give a route this action. `made`: for requests to which the cookie of consistent hashing is made up."""
    action = route.route
    if forward.high:
        action.priority = HIGH
    if len(forward.shares) == 1:
        share = forward.shares[0]
        action.cluster = name.target_cluster(share.cluster, share.shape, share.subset)
        subset = emit_subset(share)
        if subset is not None:
            action.metadata_match.CopyFrom(subset)
        route.request_headers_to_add.extend(_fabric_headers(share, forward, made=made))
    else:
        action.weighted_clusters.CopyFrom(_weighted(forward, made=made))
    _rewrite(route, action, forward)
    action.timeout.CopyFrom(duration(forward.timeout))
    if forward.idle_timeout is not None:
        action.idle_timeout.CopyFrom(duration(forward.idle_timeout))
    if forward.retry is not None:
        action.retry_policy.CopyFrom(emit_retry(forward.retry, forward.shares))
    action.request_mirror_policies.extend(_mirror(mirror) for mirror in forward.mirrors)
    if not forward.websocket:
        action.upgrade_configs.add(upgrade_type="websocket", enabled={"value": False})
    emit_hash_policy(route, forward.hash_keys, made=made)
    if any(share.hashes and share.shape in _NAMED_BY_ROUTE for share in forward.shares):
        emit_hash_reading(route, forward.hash_keys, made=made)


def _rewrite(route: Route, action: RouteAction, forward: Forward) -> None:
    if forward.prefix_rewrite is not None or forward.regex_rewrite is not None:
        # The log shows it in place of the new path; Envoy adds it by itself only where it adds all of its headers.
        route.request_headers_to_add.append(set_header(name.ORIGINAL_PATH_HEADER, "%REQ(:PATH)%"))
    if forward.prefix_rewrite is not None:
        action.prefix_rewrite = forward.prefix_rewrite
    if forward.regex_rewrite is not None:
        action.regex_rewrite.CopyFrom(emit_rewrite(forward.regex_rewrite))
    host = forward.host_rewrite
    if host is not None and host.kind == "literal":
        action.host_rewrite_literal = host.text
    elif host is not None:
        action.host_rewrite_header = host.text


def emit_rewrite(rewrite: RegexRewrite) -> RegexMatchAndSubstitute:
    """A change of the path."""
    return RegexMatchAndSubstitute(pattern=RegexMatcher(regex=rewrite.pattern), substitution=rewrite.substitution)


def _mirror(mirror: Mirror) -> RouteAction.RequestMirrorPolicy:
    """The copy has the headers of the request, those for the egress site among them; it needs its own.

    Envoy chooses for a copy without looking at metadata: so a copy for a subset of this site's endpoints goes through
    the own site's door, where the header says which.
    """
    here = mirror.shape is Shape.LOCAL
    mutations = [Mutation(remove_on_match=Mutation.RemoveOnMatch(key_matcher=StringMatcher(prefix=name.HEADER_PREFIX)))]
    if mirror.shape in _NAMED_BY_ROUTE or mirror.subset:
        mutations.append(Mutation(append=set_header(name.CLUSTER_HEADER, name.local_cluster(mirror.cluster))))
    if mirror.subset:
        mutations.append(Mutation(append=set_header(name.SUBSET_HEADER, mirror.subset)))
    target = name.target_cluster(mirror.cluster, mirror.shape, mirror.subset)
    return RouteAction.RequestMirrorPolicy(
        cluster=name.OWN_CLUSTER if here and mirror.subset else target,
        runtime_fraction=RuntimeFractionalPercent(default_value=percent(mirror.percent)),
        disable_shadow_host_suffix_append=not mirror.shadow_host,
        request_headers_mutations=mutations,
    )


def _weighted(forward: Forward, *, made: bool) -> WeightedCluster:
    return WeightedCluster(
        clusters=[
            WeightedCluster.ClusterWeight(
                name=name.target_cluster(share.cluster, share.shape, share.subset),
                metadata_match=emit_subset(share),
                weight={"value": share.weight},
                request_headers_to_add=_fabric_headers(share, forward, made=made),
            )
            for share in forward.shares
        ]
    )


def emit_subset(share: Share) -> Metadata | None:
    """What an endpoint of this site must carry to be chosen. None: nothing, or its site sees to that."""
    if not share.subset or share.shape is not Shape.LOCAL:
        return None
    return Metadata(filter_metadata={name.LB_METADATA: struct({name.SUBSET_KEY: share.subset})})


def _fabric_headers(share: Share, forward: Forward, *, made: bool) -> list[HeaderValueOption]:
    """What the egress site must be told. Where some of a cluster's hosts are applications, an upstream filter adds the
    cluster's name to requests for sites alone (`cluster.py`); it costs more than a header of the route."""
    if share.shape not in _NAMED_BY_ROUTE:
        return []
    headers = [set_header(name.CLUSTER_HEADER, name.local_cluster(share.cluster))]
    if share.subset:
        headers.append(set_header(name.SUBSET_HEADER, share.subset))
    if forward.high:
        headers.append(set_header(name.PRIORITY_HEADER, "high"))
    return [*headers, *emit_hash_headers(forward.hash_keys, made=made)] if share.hashes else headers
