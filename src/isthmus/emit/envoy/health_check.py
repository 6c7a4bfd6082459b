"""Health checks of local endpoints. Every change is written to a file, which the site agent follows."""

from envoy.config.core.v3.base_pb2 import RequestMethod
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.health_check_pb2 import HealthCheck as EnvoyHealthCheck
from envoy.extensions.health_check.event_sinks.file.v3.file_pb2 import HealthCheckEventFileSink
from envoy.type.v3.http_pb2 import HTTP1, HTTP2
from envoy.type.v3.range_pb2 import Int64Range

from isthmus.compile.probe import HealthCheck, HttpProbe, TcpProbe
from isthmus.emit.envoy.header import literal_header
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.wire import duration, pack

_BODY = 65_536
"""Bytes of an answer that are looked at; Envoy's own default is 1,024."""


def emit_health_check(check: HealthCheck, protocol: str, paths: EnvoyPaths) -> EnvoyHealthCheck:
    """One probe, not one of UDP. Its interval also holds before the first request, unless it says otherwise: Envoy's
    own default there is a minute."""
    message = EnvoyHealthCheck(
        interval=duration(check.interval),
        no_traffic_interval=duration(check.interval if check.idle is None else check.idle),
        timeout=duration(check.timeout),
        unhealthy_threshold={"value": check.unhealthy_threshold},
        healthy_threshold={"value": check.healthy_threshold},
        interval_jitter_percent=check.jitter_percent,
    )
    if check.http is not None:
        message.http_health_check.CopyFrom(_http(check.http, protocol))
    elif check.grpc is not None:
        message.grpc_health_check.service_name = check.grpc.service
        message.grpc_health_check.authority = check.grpc.authority
    else:
        message.tcp_health_check.CopyFrom(_tcp(check.tcp or TcpProbe()))
    if protocol == "AUTO":
        # the probe does not go by what is agreed on
        message.tls_options.alpn_protocols.append("h2" if check.grpc is not None else "http/1.1")
    if paths.health_events:
        sink = HealthCheckEventFileSink(event_log_path=paths.health_events)
        message.event_logger.append(
            TypedExtensionConfig(name="envoy.health_check.event_sinks.file", typed_config=pack(sink))
        )
    return message


def _http(probe: HttpProbe, protocol: str) -> EnvoyHealthCheck.HttpHealthCheck:
    """Every other status counts towards the threshold as a failed connection does; Envoy itself acts on the first."""
    message = EnvoyHealthCheck.HttpHealthCheck(
        host=probe.host,
        path=probe.path,
        method=RequestMethod.Value(probe.method) if probe.method != "GET" else 0,
        request_headers_to_add=[literal_header(key, value) for key, value in probe.headers],
        expected_statuses=[Int64Range(start=first, end=last + 1) for first, last in probe.statuses],
        retriable_statuses=[Int64Range(start=100, end=600)],
        codec_client_type=HTTP2 if protocol == "HTTP2" else HTTP1,
    )
    if probe.body:
        message.receive.append(EnvoyHealthCheck.Payload(text=probe.body.encode().hex()))
        message.response_buffer_size.value = _BODY
    return message


def _tcp(probe: TcpProbe) -> EnvoyHealthCheck.TcpHealthCheck:
    return EnvoyHealthCheck.TcpHealthCheck(
        send=EnvoyHealthCheck.Payload(text=probe.send) if probe.send else None,
        receive=[EnvoyHealthCheck.Payload(text=text) for text in probe.expect],
    )
