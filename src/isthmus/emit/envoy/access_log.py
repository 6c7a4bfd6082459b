"""The access log: one JSON document per request."""

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.extensions.access_loggers.file.v3.file_pb2 import FileAccessLog

from isthmus.emit.envoy.wire import pack, struct

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


def emit_access_log(path: str, fields: dict[str, str]) -> list[AccessLog]:
    """The log at a path; none when the path is empty."""
    if not path:
        return []
    config = FileAccessLog(path=path, log_format=SubstitutionFormatString(json_format=struct(fields)))
    return [AccessLog(name="envoy.access_loggers.file", typed_config=pack(config))]
