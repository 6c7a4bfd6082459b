"""The access log: every request told to the agent in batches, and if asked for one JSON document each in a file.

The service costs Envoy about twice what a line of JSON in a file does (docs/benchmarks.md), and no disk. A receiver
that is slow or away never holds up a request: records are dropped then, and counted.
"""

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog, AccessLogFilter, AndFilter, HeaderFilter, OrFilter
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog
from envoy.extensions.access_loggers.grpc.v3.als_pb2 import (
    CommonGrpcAccessLogConfig,
    HttpGrpcAccessLogConfig,
    TcpGrpcAccessLogConfig,
)

from isthmus.emit.envoy.bootstrap import LOG_CLUSTER
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.wire import duration, pack, struct

_REQUEST = {
    "time": "%START_TIME%",
    "method": "%REQ(:METHOD)%",
    "host": "%REQ(:AUTHORITY)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "flags": "%RESPONSE_FLAGS%",
    "received": "%BYTES_RECEIVED%",
    "sent": "%BYTES_SENT%",
    "milliseconds": "%DURATION%",
    "cluster": "%UPSTREAM_CLUSTER%",
    "upstream": "%UPSTREAM_HOST%",
    "request_id": "%REQ(X-REQUEST-ID)%",
}
INGRESS_FIELDS = _REQUEST | {
    "log": "ingress",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user_agent": "%REQ(USER-AGENT)%",
    "route": "%ROUTE_NAME%",
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
}
"""Fields of a client's request, with Envoy's format of each."""
STREAM_FIELDS = {
    key: _REQUEST[key] for key in ("time", "flags", "received", "sent", "milliseconds", "cluster", "upstream")
} | {"log": "ingress", "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "host": "%REQUESTED_SERVER_NAME%"}
"""Fields of a client's connection that is not HTTP, with Envoy's format of each."""
FABRIC_FIELDS = _REQUEST | {"log": "fabric", "caller": "%DOWNSTREAM_PEER_URI_SAN%"}
"""Fields of another site's request, with Envoy's format of each."""

CREDENTIAL_HEADERS = ("authorization", "x-api-key")
"""Headers that say who a client is."""
TRACE_PARENT = "traceparent"
"""Header of W3C Trace Context that names a request's trace."""
_BUFFER = 131_072
"""Bytes of one message, some 350 requests. The agent spends less on each request the larger a message is, but Envoy's
worker encodes it in one go, so that other requests wait."""
_FLUSH = 1_000


def emit_access_log(paths: EnvoyPaths, fields: dict[str, str], *, traced: bool = False) -> list[AccessLog]:
    """The logs of a connection manager whose requests have these fields; none that `paths` switches off."""
    ingress = fields["log"] == "ingress"
    told = emit_ingress_service(paths, traced=traced) if ingress else emit_log_service(paths, "egress", traced=traced)
    return [*emit_file_log(paths, fields), *told]


def emit_stream_log(paths: EnvoyPaths, fields: dict[str, str], route: str) -> list[AccessLog]:
    """The logs of clients' TCP connections or UDP sessions with these fields. The agent is told under the name
    "ingress ROUTE PROTOCOL"."""
    logs = emit_file_log(paths, fields)
    if paths.log_service:
        config = TcpGrpcAccessLogConfig(common_config=_service(f"ingress {route} {fields['protocol']}"))
        logs.append(AccessLog(name="envoy.access_loggers.tcp_grpc", typed_config=pack(config)))
    return logs


def emit_log_service(paths: EnvoyPaths, log: str, *, traced: bool = False) -> list[AccessLog]:
    """The log that is told to the agent under a name; where requests are `traced`, with what names the trace."""
    if not paths.log_service:
        return []
    headers = [TRACE_PARENT] if traced else []
    config = HttpGrpcAccessLogConfig(common_config=_service(log), additional_request_headers_to_log=headers)
    return [AccessLog(name="envoy.access_loggers.http_grpc", typed_config=pack(config))]


def emit_ingress_service(paths: EnvoyPaths, *, traced: bool = False) -> list[AccessLog]:
    """The log of clients' requests, told under two names: "ingress credential" of those that show a credential in a
    header. So the agent learns that there is one, and no part of it leaves Envoy."""
    logs = []
    for name, present in (("ingress", False), ("ingress credential", True)):
        filters = [
            AccessLogFilter(header_filter=HeaderFilter(header=HeaderMatcher(name=header, present_match=present)))
            for header in CREDENTIAL_HEADERS
        ]
        for each in emit_log_service(paths, name, traced=traced):
            if present:
                each.filter.or_filter.CopyFrom(OrFilter(filters=filters))
            else:
                each.filter.and_filter.CopyFrom(AndFilter(filters=filters))
            logs.append(each)
    return logs


def emit_file_log(paths: EnvoyPaths, fields: dict[str, str]) -> list[AccessLog]:
    """The log in a file; none when there is to be none."""
    if not paths.access_log:
        return []
    config = FileAccessLog(path=paths.access_log, log_format=SubstitutionFormatString(json_format=struct(fields)))
    return [AccessLog(name="envoy.access_loggers.file", typed_config=pack(config))]


def _service(log: str) -> CommonGrpcAccessLogConfig:
    return CommonGrpcAccessLogConfig(
        log_name=log,
        grpc_service=GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=LOG_CLUSTER)),
        transport_api_version=ApiVersion.V3,
        buffer_flush_interval=duration(_FLUSH),
        buffer_size_bytes={"value": _BUFFER},
    )
