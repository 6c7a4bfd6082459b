"""Probes of local endpoints."""

from isthmus.compile.intent import HealthCheck, HttpProbe
from isthmus.compile.memo import Memo
from isthmus.compile.source import find
from isthmus.model import HealthCheck as HealthCheckObject
from isthmus.model import ObjectKey
from isthmus.model.health_check import status_range
from isthmus.model.value import milliseconds


def compile_health_check(memo: Memo, question: tuple[ObjectKey, str]) -> HealthCheck | None:
    """The probe of a key, with the Host header to use when it names none; None when it is unknown."""
    key, host = question
    obj = find(memo, HealthCheckObject, key)
    if obj is None:
        return None
    spec = obj.spec
    http = None
    if spec.http is not None:
        statuses = {status_range(value) for value in spec.http.expected_statuses}
        http = HttpProbe(spec.http.path, spec.http.host or host, tuple(sorted(statuses)))
    return HealthCheck(
        key=key,
        http=http,
        interval=milliseconds(spec.interval),
        timeout=milliseconds(spec.timeout),
        unhealthy_threshold=spec.unhealthy_threshold,
        healthy_threshold=spec.healthy_threshold,
        jitter_percent=spec.jitter_percent,
    )
