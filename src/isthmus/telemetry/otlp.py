"""Records, spans and metrics as OpenTelemetry's protocol has them (OTLP 1.x, protobuf).

Attributes have the names of OpenTelemetry's semantic conventions where these know the thing, and `isthmus.` in front
where they do not.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import polars as pl

from isthmus.generated import otlp_pb2 as wire
from isthmus.telemetry.document import severity_of

SCOPE = wire.Scope(name="isthmus")
_SEVERITIES: Mapping[int, tuple[int, str]] = {
    6: (9, "INFO"),
    4: (13, "WARN"),
    3: (17, "ERROR"),
}
"""Severity of syslog to SeverityNumber and its name."""
_ATTRIBUTES: Mapping[str, str] = {
    "log": "isthmus.log",
    "namespace": "isthmus.namespace",
    "virtual_host": "isthmus.virtual_host",
    "route": "isthmus.route",
    "cluster": "isthmus.cluster",
    "subset": "isthmus.subset",
    "peer": "isthmus.peer",
    "client": "isthmus.client",
    "endpoint": "isthmus.endpoint",
    "client_address": "client.address",
    "method": "http.request.method",
    "authority": "server.address",
    "path": "url.path",
    "protocol": "network.protocol.name",
    "code": "http.response.status_code",
    "error": "error.type",
    "flags": "isthmus.flags",
    "details": "isthmus.details",
    "user_agent": "user_agent.original",
    "request_id": "isthmus.request_id",
    "tls": "tls.protocol.version",
    "sni": "tls.client.server_name",
    "received": "http.request.body.size",
    "sent": "http.response.body.size",
    "attempts": "isthmus.attempts",
    "credential": "isthmus.credential",
    "weight": "isthmus.weight",
    "total": "isthmus.duration.total",
    "own": "isthmus.duration.own",
    "upstream": "isthmus.duration.upstream",
}
"""Columns of a record and their attributes; durations are microseconds."""


def resource_of(tenant: str, site: str) -> wire.Resource:
    """Who tells."""
    names = {
        "service.name": "isthmus",
        "service.namespace": tenant,
        "service.instance.id": site,
        "isthmus.site": site,
    }
    return wire.Resource(attributes=[attribute(name, value) for name, value in names.items()])


def process_resource(plane: str, instance: str, release: str, **more: str) -> wire.Resource:
    """A process of ours that tells of itself. `more`: attributes of Isthmus's own, without `isthmus.` in front."""
    names = {
        "service.name": f"isthmus-{plane}",
        "service.instance.id": instance,
        "service.version": release,
        **{f"isthmus.{name}": value for name, value in more.items()},
    }
    return wire.Resource(attributes=[attribute(name, value) for name, value in names.items()])


def attribute(name: str, value: str | int | float) -> wire.KeyValue:
    """One attribute."""
    match value:
        case bool():
            return wire.KeyValue(key=name, value=wire.AnyValue(bool_value=value))
        case int():
            return wire.KeyValue(key=name, value=wire.AnyValue(int_value=value))
        case float():
            return wire.KeyValue(key=name, value=wire.AnyValue(double_value=value))
    return wire.KeyValue(key=name, value=wire.AnyValue(string_value=value))


def emit_logs(records: pl.DataFrame, resource: wire.Resource) -> bytes:
    """An export request of records."""
    columns = ["time", "trace_id", *_ATTRIBUTES]
    times = records.select(pl.col("time").dt.epoch("us"), *columns[1:])
    return emit_log_records([_log(dict(zip(columns, row, strict=True))) for row in times.iter_rows()], resource)


def emit_log_records(logs: list[wire.LogRecord], resource: wire.Resource) -> bytes:
    """An export request of log records that are written already."""
    scopes = [wire.ScopeLogs(scope=SCOPE, log_records=logs)]
    request = wire.LogsRequest(resource_logs=[wire.ResourceLogs(resource=resource, scope_logs=scopes)])
    return request.SerializeToString()


def _log(row: dict[str, Any]) -> wire.LogRecord:
    number, text = _SEVERITIES[severity_of(row["error"])]
    begun = row["time"] * 1000
    return wire.LogRecord(
        time_unix_nano=begun,
        observed_time_unix_nano=begun + row["total"] * 1000,
        severity_number=number,
        severity_text=text,
        body=wire.AnyValue(string_value=_summary(row)),
        attributes=[attribute(name, row[column]) for column, name in _ATTRIBUTES.items() if row[column] not in ("", 0)],
        trace_id=bytes.fromhex(row["trace_id"]),
    )


def _summary(row: Mapping[str, Any]) -> str:
    """One line for people."""
    what = f"{row['method']} {row['authority']}{row['path']}" if row["method"] else row["protocol"]
    came = row["code"] or row["error"] or "closed"
    return f"{what} {came} in {row['total'] / 1000:.1f} ms"


def chunks_of(items: Iterable[Any], most: int) -> Iterator[list[Any]]:
    """Lists of at most so many."""
    part: list[Any] = []
    for item in items:
        part.append(item)
        if len(part) == most:
            yield part
            part = []
    if part:
        yield part
