"""Rules to Envoy's routes."""

import re
from collections.abc import Iterator, Mapping

from envoy.config.core.v3.base_pb2 import DataSource, HeaderValue, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    QueryParameterMatcher,
    RedirectAction,
    Route,
    RouteAction,
    RouteMatch,
    WeightedCluster,
)
from envoy.config.route.v3.route_components_pb2 import RetryPolicy as EnvoyRetryPolicy
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter
from envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2 import PreviousHostsPredicate
from envoy.extensions.retry.priority.previous_priorities.v3.previous_priorities_config_pb2 import (
    PreviousPrioritiesConfig,
)
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.intent import (
    DirectResponse,
    Forward,
    HashKey,
    Match,
    Redirect,
    Retry,
    Rule,
    Shape,
    Share,
    ValueMatch,
)
from isthmus.emit.envoy import name
from isthmus.emit.envoy.wire import duration, pack
from isthmus.model.key import ObjectKey

_REDIRECT_CODE = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}
_PREVIOUS_HOSTS = EnvoyRetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=pack(PreviousHostsPredicate())
)
_PREVIOUS_PRIORITIES = EnvoyRetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities", typed_config=pack(PreviousPrioritiesConfig(update_frequency=1))
)
_NAMED_BY_ROUTE = (Shape.FABRIC, Shape.UNIFORM)
"""Shapes all of whose hosts are sites, so that the route itself can name the cluster to them."""
_LOCAL_REPLY = HeaderMatcher(name=name.LOCAL_REPLY_HEADER, present_match=True)


def emit_routes(virtual_host: ObjectKey, rule: Rule) -> Iterator[Route]:
    """One Envoy route for each of a rule's matches, in order."""
    for match in rule.matches:
        route = Route(name=name.route(virtual_host, rule.route), match=_match(match))
        action = rule.action
        if isinstance(action, Forward):
            _forward(route, action)
        elif isinstance(action, Redirect):
            _redirect(route, action)
        else:
            _direct(route, action)
        yield route


def _match(match: Match) -> RouteMatch:
    headers = [_header(condition) for condition in match.headers]
    if match.methods:
        headers.insert(0, HeaderMatcher(name=":method", string_match=_any_of(match.methods)))
    parameters = [_parameter(condition) for condition in match.query_parameters]
    path = match.path
    if path is None:
        return RouteMatch(prefix="/", headers=headers, query_parameters=parameters)
    if path.kind == "exact":
        return RouteMatch(path=path.text, headers=headers, query_parameters=parameters)
    if path.kind == "prefix":
        return RouteMatch(prefix=path.text, headers=headers, query_parameters=parameters)
    return RouteMatch(safe_regex=RegexMatcher(regex=path.text), headers=headers, query_parameters=parameters)


def _any_of(methods: tuple[str, ...]) -> StringMatcher:
    if len(methods) == 1:
        return StringMatcher(exact=methods[0])
    return StringMatcher(safe_regex=RegexMatcher(regex="|".join(methods)))


def _text(condition: ValueMatch) -> StringMatcher:
    if condition.kind == "exact":
        return StringMatcher(exact=condition.text)
    if condition.kind == "prefix":
        return StringMatcher(prefix=condition.text)
    return StringMatcher(safe_regex=RegexMatcher(regex=condition.text))


def _header(condition: ValueMatch) -> HeaderMatcher:
    """An inverted condition holds without the header too; Envoy by itself says no, so there it counts as empty."""
    if condition.kind in ("present", "absent"):
        return HeaderMatcher(name=condition.name, present_match=condition.kind == "present")
    return HeaderMatcher(
        name=condition.name,
        string_match=_text(condition),
        invert_match=condition.invert,
        treat_missing_header_as_empty=condition.invert,
    )


def _parameter(condition: ValueMatch) -> QueryParameterMatcher:
    if condition.kind in ("present", "absent"):
        return QueryParameterMatcher(name=condition.name, present_match=condition.kind == "present")
    return QueryParameterMatcher(name=condition.name, string_match=_text(condition))


def _forward(route: Route, forward: Forward) -> None:
    action = route.route
    if len(forward.shares) == 1:
        share = forward.shares[0]
        action.cluster = name.target_cluster(share.cluster, share.shape)
        route.request_headers_to_add.extend(_fabric_headers(share, forward.hash_keys))
    else:
        action.weighted_clusters.CopyFrom(_weighted(forward))
    if forward.prefix_rewrite is not None:
        action.prefix_rewrite = forward.prefix_rewrite
    action.timeout.CopyFrom(duration(forward.timeout))
    if forward.retry is not None:
        action.retry_policy.CopyFrom(_retry(forward.retry, forward.shares))
    action.hash_policy.extend(_hash_policy(key) for key in forward.hash_keys)
    unreadable = [index for index, key in enumerate(forward.hash_keys) if not _formats(key)]
    if unreadable and any(share.hashes and share.shape in _NAMED_BY_ROUTE for share in forward.shares):
        config = pack(_remember({index: forward.hash_keys[index] for index in unreadable}))
        route.typed_per_filter_config[name.HASH_FILTER].CopyFrom(config)


def _formats(key: HashKey) -> bool:
    """Whether a format string can read it: cookies it cannot, nor headers with unusual characters in their names."""
    return key.kind == "source" or (key.kind == "header" and re.fullmatch(r"[a-z0-9_.-]+", key.name) is not None)


def _remember(keys: Mapping[int, HashKey]) -> MetadataFilter:
    """Put values into metadata, under the key's index, where a format string finds them."""
    rules = []
    for index, key in keys.items():
        pair = MetadataFilter.KeyValuePair(metadata_namespace=name.METADATA, key=f"hash-{index}")
        source = {"header": key.name} if key.kind == "header" else {"cookie": key.name}
        rules.append(MetadataFilter.Rule(on_header_present=pair, **source))
    return MetadataFilter(request_rules=rules)


def _weighted(forward: Forward) -> WeightedCluster:
    return WeightedCluster(
        clusters=[
            WeightedCluster.ClusterWeight(
                name=name.target_cluster(share.cluster, share.shape),
                weight={"value": share.weight},
                request_headers_to_add=_fabric_headers(share, forward.hash_keys),
            )
            for share in forward.shares
        ]
    )


def _fabric_headers(share: Share, hash_keys: tuple[HashKey, ...]) -> list[HeaderValueOption]:
    """What the egress site must be told. Where some of a cluster's hosts are applications, an upstream filter adds the
    cluster's name to requests for sites alone (`cluster.py`); it costs more than a header of the route."""
    if share.shape not in _NAMED_BY_ROUTE:
        return []
    headers = [_set_header(name.CLUSTER_HEADER, name.local_cluster(share.cluster))]
    if share.hashes:
        headers.append(_set_header(name.HASH_HEADER, "|".join(map(_hash_format, range(len(hash_keys)), hash_keys))))
    return headers


def _set_header(key: str, value: str) -> HeaderValueOption:
    return HeaderValueOption(
        header=HeaderValue(key=key, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    )


def _hash_format(index: int, key: HashKey) -> str:
    if not _formats(key):
        return f"%DYNAMIC_METADATA({name.METADATA}:hash-{index})%"
    return f"%REQ({key.name})%" if key.kind == "header" else "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"


def _hash_policy(key: HashKey) -> RouteAction.HashPolicy:
    if key.kind == "header":
        return RouteAction.HashPolicy(header=RouteAction.HashPolicy.Header(header_name=key.name))
    if key.kind == "cookie":
        return RouteAction.HashPolicy(cookie=RouteAction.HashPolicy.Cookie(name=key.name))
    return RouteAction.HashPolicy(connection_properties=RouteAction.HashPolicy.ConnectionProperties(source_ip=True))


def _retry(retry: Retry, shares: tuple[Share, ...]) -> EnvoyRetryPolicy:
    """Tries go to a host that was not tried yet, and where hosts have an order, to the next place in it.

    Answers that an egress site marked as its own reached no application, so they are always worth another try.
    """
    policy = EnvoyRetryPolicy(
        retry_on=",".join(retry.on),
        num_retries={"value": retry.attempts},
        retry_host_predicate=[_PREVIOUS_HOSTS],
        host_selection_retry_max_attempts=5,
        retry_back_off=EnvoyRetryPolicy.RetryBackOff(
            base_interval=duration(retry.back_off), max_interval=duration(10 * retry.back_off)
        ),
    )
    if retry.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(duration(retry.per_try_timeout))
    if any(share.shape is not Shape.LOCAL for share in shares):
        policy.retry_on = ",".join((*retry.on, "retriable-headers"))
        policy.retriable_headers.append(_LOCAL_REPLY)
    if any(share.shape in (Shape.LOCAL_FIRST, Shape.FABRIC) for share in shares):
        policy.retry_priority.CopyFrom(_PREVIOUS_PRIORITIES)
    return policy


def _redirect(route: Route, redirect: Redirect) -> None:
    action = route.redirect
    action.response_code = _REDIRECT_CODE[redirect.code]
    if redirect.scheme is not None:
        action.scheme_redirect = redirect.scheme
    if redirect.host is not None:
        action.host_redirect = redirect.host
    if redirect.port is not None:
        action.port_redirect = redirect.port
    if redirect.path is not None:
        action.path_redirect = redirect.path
    elif redirect.prefix is not None:
        action.prefix_rewrite = redirect.prefix


def _direct(route: Route, response: DirectResponse) -> None:
    body = DataSource(inline_string=response.body) if response.body else None
    route.direct_response.CopyFrom(DirectResponseAction(status=response.status, body=body))
