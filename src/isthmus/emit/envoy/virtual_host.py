"""Virtual hosts and route configurations."""

from collections import Counter
from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import HIGH, HeaderValue, HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    Route,
    RouteAction,
    RouteMatch,
)
from envoy.config.route.v3.route_components_pb2 import VirtualHost as EnvoyVirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter

from isthmus.compile.intent import VirtualHost
from isthmus.emit.envoy import name
from isthmus.emit.envoy.acme import emit_pages
from isthmus.emit.envoy.http_filter import emit_forget_marks, emit_options
from isthmus.emit.envoy.route import emit_routes
from isthmus.emit.envoy.tracing import emit_sampling
from isthmus.emit.envoy.wire import field, pack, serialize

_ALTERNATIVE_SECONDS = 86_400
"""How long a client may remember that HTTP/3 is served."""
_VIRTUAL_HOSTS = RouteConfiguration.VIRTUAL_HOSTS_FIELD_NUMBER


def emit_virtual_host(virtual_host: VirtualHost, port: int, *, pages: bool) -> bytes:
    """One virtual host, as a field of its listener's route configuration. `pages`: some virtual host in that has error
    pages, so each keeps marks from clients in its own way."""
    message = EnvoyVirtualHost(
        name=name.virtual_host(virtual_host.key),
        domains=emit_domains(virtual_host.domains, port),
        routes=[
            *emit_pages(virtual_host),
            *(route for rule in virtual_host.rules for route in emit_routes(virtual_host, rule, port)),
        ],
    )
    if virtual_host.sampling is not None:
        for route in message.routes:
            emit_sampling(route, virtual_host.sampling)
    _share_retry_policy(message)
    _share_headers(message)
    emit_options(message, virtual_host.options)
    if pages:
        emit_forget_marks(message, seen_by_pages=virtual_host.pages)
    return field(_VIRTUAL_HOSTS, serialize(message))


def _share_retry_policy(message: EnvoyVirtualHost) -> None:
    """Say once what most routes say: Envoy rebuilds all routes of a listener when one changes, and half of that time
    goes into their retry policies. A route's own policy replaces the virtual host's, also one that never retries."""
    actions = [route.route for route in message.routes if route.HasField("route")]
    policies = Counter(serialize(action.retry_policy) for action in actions if action.HasField("retry_policy"))
    if not policies:
        return
    shared, count = policies.most_common(1)[0]
    if count == 1:
        return
    message.retry_policy.ParseFromString(shared)
    for action in actions:
        if not action.HasField("retry_policy"):
            action.retry_policy.SetInParent()
        elif serialize(action.retry_policy) == shared:
            action.ClearField("retry_policy")


def _share_headers(message: EnvoyVirtualHost) -> None:
    """Say once the headers for the egress site, where every route that forwards names the same cluster."""
    forwarding = [route for route in message.routes if route.HasField("route")]
    if len(forwarding) < 2 or any(route.route.HasField("weighted_clusters") for route in forwarding):
        return
    first = list(forwarding[0].request_headers_to_add)
    if first and all(list(route.request_headers_to_add) == first for route in forwarding):
        message.request_headers_to_add.extend(first)
        for route in forwarding:
            route.ClearField("request_headers_to_add")


def emit_domains(domains: Iterable[str], port: int) -> list[str]:
    """Domains as Envoy compares them with the Host header. Clients that dial an unusual port name it there."""
    found = []
    for domain in domains:
        found.append(domain)
        if ":" not in domain and domain != "*":
            found.append(f"{domain}:{port}")
    return found


def emit_ingress_routes(routes: str, virtual_hosts: Iterable[bytes], *, pages: bool, http3: int | None = None) -> bytes:
    """The route configuration of an ingress listener or of a TLS chain, from its emitted virtual hosts.

    Error pages must see the mark of another site's own answers before it is removed; without any, it is removed for all
    virtual hosts at once: 10,000 removals of their own would cost Envoy a few milliseconds at each change of one.
    `http3`: the UDP port where clients may ask instead (RFC 7838).
    """
    frame = RouteConfiguration(
        name=routes,
        response_headers_to_remove=() if pages else (name.LOCAL_REPLY_HEADER,),
        # What a route says of a header outweighs what its virtual host says.
        most_specific_header_mutations_wins=True,
        # Routes of a virtual host and the clusters they name arrive together but not at once.
        validate_clusters={"value": False},
        max_direct_response_body_size_bytes={"value": 16_384},
    )
    if http3 is not None:
        frame.response_headers_to_add.append(
            HeaderValueOption(
                header=HeaderValue(key="alt-svc", value=f'h3=":{http3}"; ma={_ALTERNATIVE_SECONDS}'),
                append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            )
        )
    return b"".join((serialize(frame), *virtual_hosts))


def emit_misdirected() -> bytes:
    """The answer, on a TLS chain, to requests for another virtual host (RFC 9110, 15.5.20): clients that keep one
    connection for all names of a certificate then ask anew on another, whose chain is that virtual host's own."""
    route = Route(name="misdirected", match=RouteMatch(prefix="/"), direct_response=DirectResponseAction(status=421))
    return field(_VIRTUAL_HOSTS, serialize(EnvoyVirtualHost(name="misdirected", domains=["*"], routes=[route])))


def emit_fabric_routes() -> bytes:
    """The routes of the fabric, for streams and for requests: to the cluster that each names, in it to the subset, if
    it names one; of requests, with the priority that they have.

    Ingress has routed, so nothing is matched, timed or tried again here; and nothing is rewritten but the Host header,
    where the endpoint has one of its own.
    """
    routes = [_fabric_stream(subset=subset) for subset in (True, False)]
    routes += [_fabric_route(subset=subset, high=high) for high in (True, False) for subset in (True, False)]
    return serialize(
        RouteConfiguration(
            name=name.FABRIC_ROUTES,
            virtual_hosts=[EnvoyVirtualHost(name="fabric", domains=["*"], routes=routes)],
            # Not the hash header: it would be gone before a host is chosen. Clusters that hash remove it themselves.
            request_headers_to_remove=[name.CLUSTER_HEADER, name.PRIORITY_HEADER],
            response_headers_to_remove=[name.LOCAL_REPLY_HEADER],
        )
    )


def _fabric_stream(*, subset: bool) -> Route:
    headers = [HeaderMatcher(name=name.SUBSET_HEADER, present_match=True)] if subset else []
    route = Route(
        name="fabric-stream" + ("-subset" if subset else ""),
        match=RouteMatch(connect_matcher={}, headers=headers),
        route=_FABRIC_ACTION,
    )
    for kind in ("CONNECT", "CONNECT-UDP"):
        route.route.upgrade_configs.add(upgrade_type=kind, connect_config={})
    if subset:
        route.typed_per_filter_config[name.SUBSET_FILTER].CopyFrom(pack(_READ_SUBSET))
    return route


def _fabric_route(*, subset: bool, high: bool) -> Route:
    marks = {name.SUBSET_HEADER: subset, name.PRIORITY_HEADER: high}
    present = [HeaderMatcher(name=header, present_match=True) for header, marked in marks.items() if marked]
    route = Route(
        name="-".join(("fabric", *(["subset"] if subset else []), *(["high"] if high else []))),
        match=RouteMatch(prefix="/", headers=present),
        route=_FABRIC_ACTION,
    )
    route.route.auto_host_rewrite.value = True  # does nothing where the endpoint has no host name
    if subset:
        route.typed_per_filter_config[name.SUBSET_FILTER].CopyFrom(pack(_READ_SUBSET))
    if high:
        route.route.priority = HIGH
    return route


_FABRIC_ACTION = RouteAction(
    cluster_header=name.CLUSTER_HEADER,
    timeout={},
    idle_timeout={},
    hash_policy=[
        *(
            RouteAction.HashPolicy(header=RouteAction.HashPolicy.Header(header_name=header), terminal=True)
            for header in name.HASH_HEADERS
        ),
        RouteAction.HashPolicy(header=RouteAction.HashPolicy.Header(header_name="x-forwarded-for")),
    ],
)
_READ_SUBSET = MetadataFilter(
    request_rules=[
        MetadataFilter.Rule(
            header=name.SUBSET_HEADER,
            on_header_present=MetadataFilter.KeyValuePair(metadata_namespace=name.LB_METADATA, key=name.SUBSET_KEY),
            remove=True,
        )
    ]
)
