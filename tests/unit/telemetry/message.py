"""Envoy's own messages, as its access log service sends them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2

NOON = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)


def entry(
    *,
    route: str = "default/shop/site|shop/home",
    cluster: str = "default/shop/web@local",
    upstream: tuple[str, int] | None = ("192.0.2.7", 8080),
    client: str = "198.51.100.4",
    path: str = "/",
    code: int = 200,
    total: int = 5000,
    beyond: int = 4000,
    flags: tuple[str, ...] = (),
    request_id: str = "6d6f7f38-6f54-4a2b-9d4c-00000000ffff",
    attempts: int = 1,
    uri: str = "",
    at: datetime = NOON,
) -> Any:
    """A record; `total` and `beyond` (the Envoy) in microseconds."""
    message = accesslog_pb2.HTTPAccessLogEntry()
    common = message.common_properties
    common.downstream_remote_address.socket_address.address = client
    common.downstream_remote_address.socket_address.port_value = 40_000
    common.start_time.FromDatetime(at.replace(tzinfo=None))
    common.duration.FromMicroseconds(total)
    common.route_name = route
    common.upstream_cluster = cluster
    common.upstream_request_attempt_count = attempts
    if upstream is not None:
        common.upstream_remote_address.socket_address.address = upstream[0]
        common.upstream_remote_address.socket_address.port_value = upstream[1]
        common.time_to_first_upstream_tx_byte.FromMicroseconds(100)
        common.time_to_last_upstream_rx_byte.FromMicroseconds(100 + beyond)
    for flag in flags:
        setattr(common.response_flags, flag, True)
    if uri:
        common.tls_properties.tls_version = 4
        common.tls_properties.peer_certificate_properties.subject_alt_name.add(uri=uri)
    message.protocol_version = 2
    message.request.request_method = 1
    message.request.authority = "shop.example"
    message.request.path = path
    message.request.request_id = request_id
    message.request.request_body_bytes = 10
    message.response.response_code.value = code
    message.response.response_body_bytes = 1000
    return message


def message(*entries: Any, log: str = "ingress") -> bytes:
    """Some records as one message of the service."""
    found = als_pb2.StreamAccessLogsMessage()
    found.identifier.log_name = log
    found.http_logs.log_entry.extend(entries)
    return found.SerializeToString()
