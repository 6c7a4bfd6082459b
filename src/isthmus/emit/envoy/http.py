"""HTTP connection managers: the ingress one, hardened as an edge, and the fabric one, transparent.

Settings of the ingress side follow Envoy's "Configuring Envoy as an edge proxy", but for one: no limit on the time of a
whole request, which would cut long uploads; the stream's idle timeout and the limit on headers stop slow attackers.
"""

from envoy.config.accesslog.v3.accesslog_pb2 import (
    AccessLogFilter,
    ComparisonFilter,
    OrFilter,
    ResponseFlagFilter,
    StatusCodeFilter,
)
from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, RuntimeUInt32
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation as HeaderMutationFilter,
)
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import Mutations
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    LocalReplyConfig,
    Rds,
    ResponseMapper,
)
from envoy.extensions.http.early_header_mutation.header_mutation.v3.header_mutation_pb2 import (
    HeaderMutation as EarlyHeaderMutation,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.intent import Tracing
from isthmus.emit.envoy import name
from isthmus.emit.envoy.access_log import FABRIC_FIELDS, INGRESS_FIELDS, emit_access_log, emit_log_service
from isthmus.emit.envoy.http_filter import emit_optional_filters
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.source import ADS
from isthmus.emit.envoy.tracing import TRACE_HEADERS, emit_tracing
from isthmus.emit.envoy.wire import duration, pack

_RBAC_TYPE = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"
_NEVER_REACHED = ("UF", "UH", "NC", "UO", "NR")
"""Response flags of answers to requests that reached no application: connection failed, no healthy endpoint, no such
cluster, circuit breaker open, no route."""
_DENIED = StatusCodeFilter(
    comparison=ComparisonFilter(
        op=ComparisonFilter.EQ, value=RuntimeUInt32(default_value=403, runtime_key="isthmus.denied_status")
    )
)
"""Of Envoy's own answers, that of the access filter: this site may not have heard yet that the caller is allowed."""
_CLIENT_DETAILS = HttpConnectionManager.SetCurrentClientCertDetails(subject={"value": True}, dns=True, uri=True)
_KIB = 1024
_WINDOW = {"initial_stream_window_size": {"value": 64 * _KIB}, "initial_connection_window_size": {"value": 1024 * _KIB}}
FABRIC_WINDOW = {
    "initial_stream_window_size": {"value": 1024 * _KIB},
    "initial_connection_window_size": {"value": 16 * 1024 * _KIB},
}
"""Enough for 80 Mbit/s per request over 100 ms, and 1.3 Gbit/s per connection."""


def emit_ingress_manager(
    routes: str, paths: EnvoyPaths, *, clients_known: bool = False, tracing: Tracing | None = None
) -> HttpConnectionManager:
    """The connection manager of an ingress listener, or of one TLS chain of it. `routes`: its route configuration.

    `clients_known`: clients may show certificates, of which the application is told. A client's own copy of that header
    is always removed.
    """
    manager = HttpConnectionManager(
        stat_prefix=name.statistics(routes),
        rds=Rds(config_source=ADS, route_config_name=routes),
        http_filters=[*emit_optional_filters(), _router(counts=not paths.log_service)],
        early_header_mutation_extensions=[_remove_internal_headers(tracing)],
        use_remote_address={"value": True},
        server_name="isthmus",
        normalize_path={"value": True},
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManager.UNESCAPE_AND_REDIRECT,
        strip_trailing_host_dot=True,
        common_http_protocol_options=HttpProtocolOptions(
            idle_timeout=duration(3_600_000), headers_with_underscores_action=HttpProtocolOptions.REJECT_REQUEST
        ),
        http2_protocol_options=Http2ProtocolOptions(
            max_concurrent_streams={"value": 100},
            allow_connect=True,  # WebSocket over HTTP/2 (RFC 8441)
            **_WINDOW,
        ),
        stream_idle_timeout=duration(300_000),
        request_headers_timeout=duration(10_000),
        access_log=emit_access_log(paths, INGRESS_FIELDS, traced=tracing is not None),
    )
    if tracing is not None:
        manager.tracing.CopyFrom(emit_tracing("ingress"))
    *filters, router = manager.http_filters
    manager.upgrade_configs.add(upgrade_type="websocket", filters=[*filters, _websocket_key(), router])
    if clients_known:
        manager.forward_client_cert_details = HttpConnectionManager.SANITIZE_SET
        manager.set_current_client_cert_details.CopyFrom(_CLIENT_DETAILS)
    return manager


def emit_fabric_manager(paths: EnvoyPaths, *, traced: bool = False) -> HttpConnectionManager:
    """The connection manager for other sites' requests: who may call what, then on to the application."""
    manager = _transparent_manager("fabric")
    manager.http_filters.extend((_access(), _subset_filter(), _router()))
    manager.http2_protocol_options.connection_keepalive.CopyFrom(
        KeepaliveSettings(interval=duration(30_000), timeout=duration(10_000))
    )
    manager.access_log.extend(emit_access_log(paths, FABRIC_FIELDS, traced=traced))
    if traced:
        manager.tracing.CopyFrom(emit_tracing("egress"))
    return manager


def emit_own_manager(paths: EnvoyPaths, *, traced: bool = False) -> HttpConnectionManager:
    """The connection manager for this site's own requests, by the door that only this Envoy can open. Ingress has set
    the header that names the cluster; which endpoint it was is only known here."""
    manager = _transparent_manager("own")
    manager.http_filters.extend((_subset_filter(), _router()))
    manager.access_log.extend(emit_log_service(paths, "egress", traced=traced))
    if traced:
        manager.tracing.CopyFrom(emit_tracing("egress"))
    return manager


def _transparent_manager(prefix: str) -> HttpConnectionManager:
    return HttpConnectionManager(
        codec_type=HttpConnectionManager.HTTP2,
        stat_prefix=prefix,
        rds=Rds(config_source=ADS, route_config_name=name.FABRIC_ROUTES),
        use_remote_address={"value": False},
        skip_xff_append=True,
        generate_request_id={"value": False},
        preserve_external_request_id=True,
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
        http2_protocol_options=Http2ProtocolOptions(allow_connect=True, **FABRIC_WINDOW),
        stream_idle_timeout={},
        forward_client_cert_details=HttpConnectionManager.ALWAYS_FORWARD_ONLY,  # ingress has said who the client is
        max_request_headers_kb={"value": 96},
        upgrade_configs=[
            HttpConnectionManager.UpgradeConfig(upgrade_type=each) for each in ("CONNECT", "CONNECT-UDP", "websocket")
        ],
        local_reply_config=LocalReplyConfig(mappers=[_mark_local_replies()]),
    )


def _router(*, counts: bool = True) -> HttpFilter:
    """`counts`: statuses and times by cluster, whose names Envoy puts together and looks up again at each answer. Of
    clients' requests the agent has both from the log, so a request need not pay 7 % more for it."""
    config = Router(suppress_envoy_headers=True)
    if not counts:
        config.dynamic_stats.value = False
    return HttpFilter(name="envoy.filters.http.router", typed_config=pack(config))


def _websocket_key() -> HttpFilter:
    """HTTP/2 knows no key of WebSocket, and applications that speak HTTP/1.1 refuse a handshake without one. Which key
    it is matters to nobody: the answer to it ends at this Envoy."""
    key = HeaderValue(key="sec-websocket-key", value="aXN0aG11cy1pc3RobXVzLQ==")
    mutation = HeaderMutation(append=HeaderValueOption(header=key, append_action=HeaderValueOption.ADD_IF_ABSENT))
    config = HeaderMutationFilter(mutations=Mutations(request_mutations=[mutation]))
    return HttpFilter(name="envoy.filters.http.header_mutation", typed_config=pack(config))


def _subset_filter() -> HttpFilter:
    return HttpFilter(name=name.SUBSET_FILTER, typed_config=pack(MetadataFilter()), disabled=True)


def _access() -> HttpFilter:
    return HttpFilter(
        name=name.FABRIC_ACCESS, config_discovery=ExtensionConfigSource(config_source=ADS, type_urls=[_RBAC_TYPE])
    )


def _remove_internal_headers(tracing: Tracing | None) -> TypedExtensionConfig:
    """Ours; the one by which Envoy's log would show a path of the client's choice; those of clients' traces, where
    every trace begins here."""
    ours = HeaderMutation(
        remove_on_match=HeaderMutation.RemoveOnMatch(key_matcher=StringMatcher(prefix=name.HEADER_PREFIX))
    )
    others = (name.ORIGINAL_PATH_HEADER, *(TRACE_HEADERS if tracing is not None and tracing.restart else ()))
    removals = [HeaderMutation(remove=header) for header in others]
    return TypedExtensionConfig(
        name="envoy.http.early_header_mutation.header_mutation",
        typed_config=pack(EarlyHeaderMutation(mutations=[ours, *removals])),
    )


def _mark_local_replies() -> ResponseMapper:
    return ResponseMapper(
        filter=AccessLogFilter(
            or_filter=OrFilter(
                filters=[
                    AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=_NEVER_REACHED)),
                    AccessLogFilter(status_code_filter=_DENIED),
                ]
            )
        ),
        headers_to_add=[
            HeaderValueOption(
                header=HeaderValue(key=name.LOCAL_REPLY_HEADER, value="1"),
                append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
            )
        ],
    )
