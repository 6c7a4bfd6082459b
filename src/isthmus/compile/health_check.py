"""Probes of local endpoints."""

from isthmus.compile.memo import Memo
from isthmus.compile.probe import GrpcProbe, HealthCheck, HttpProbe, TcpProbe, UdpProbe
from isthmus.compile.source import find
from isthmus.model import HealthCheck as HealthCheckObject
from isthmus.model import ObjectKey
from isthmus.model.health_check import HttpHealthCheck, Payload, status_range
from isthmus.model.value import milliseconds


def compile_health_check(memo: Memo, question: tuple[ObjectKey, str]) -> HealthCheck | None:
    """The probe of a key, with the Host header to use when it names none; None when it is unknown."""
    key, host = question
    obj = find(memo, HealthCheckObject, key)
    if obj is None:
        return None
    spec = obj.spec
    return HealthCheck(
        key=key,
        http=_http(spec.http, host) if spec.http else None,
        interval=milliseconds(spec.interval),
        timeout=milliseconds(spec.timeout),
        unhealthy_threshold=spec.unhealthy_threshold,
        healthy_threshold=spec.healthy_threshold,
        jitter_percent=spec.jitter_percent,
        tcp=TcpProbe(_hex(spec.tcp.send), tuple(map(_hex, spec.tcp.expect))) if spec.tcp else None,
        grpc=GrpcProbe(spec.grpc.service, spec.grpc.authority or host) if spec.grpc else None,
        udp=UdpProbe(_hex(spec.udp.send), _hex(spec.udp.expect)) if spec.udp else None,
        idle=milliseconds(spec.no_traffic_interval) if spec.no_traffic_interval else None,
    )


def _http(spec: HttpHealthCheck, host: str) -> HttpProbe:
    return HttpProbe(
        path=spec.path,
        host=spec.host or host,
        statuses=tuple(sorted({status_range(value) for value in spec.expected_statuses})),
        method=spec.method,
        headers=tuple((header.name, header.value) for header in spec.headers),
        body=spec.expected_body or "",
    )


def _hex(payload: Payload | None) -> str:
    return payload.payload().hex() if payload else ""
