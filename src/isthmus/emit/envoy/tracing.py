"""Tracing: every hop is a span, and every try at an endpoint or another site is one below it.

Envoy tells the agent of spans, over the socket that takes its access log; who receives them, and with which
credentials, is the agent's concern. So a receiver that comes, goes or is slow changes nothing here.
"""

from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.route.v3.route_components_pb2 import Route
from envoy.config.trace.v3.http_tracer_pb2 import Tracing as Provider
from envoy.config.trace.v3.opentelemetry_pb2 import OpenTelemetryConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.type.v3.percent_pb2 import FractionalPercent, Percent

from isthmus.emit.envoy.access_log import TRACE_PARENT
from isthmus.emit.envoy.bootstrap import LOG_CLUSTER
from isthmus.emit.envoy.wire import duration, pack

TRACE_HEADERS = (TRACE_PARENT, "tracestate")
"""W3C Trace Context."""
_LONGEST_PATH = 1024
_TIMEOUT = 1_000
_MILLIONTHS = 10_000


def emit_tracing(hop: str) -> HttpConnectionManager.Tracing:
    """Tracing of a connection manager. `hop`: "ingress" or "egress", which the agent is told by the service's name.

    No trace begins here: virtual hosts say which share of their requests begins one. A span's name is the route's name
    in the log, from which the agent knows whose it is.
    """
    service = GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=LOG_CLUSTER), timeout=duration(_TIMEOUT))
    config = OpenTelemetryConfig(grpc_service=service, service_name=hop)
    return HttpConnectionManager.Tracing(
        client_sampling=Percent(value=0),
        random_sampling=Percent(value=0),
        spawn_upstream_span={"value": True},
        max_path_tag_length={"value": _LONGEST_PATH},
        operation="%ROUTE_NAME%",
        upstream_operation="%ROUTE_NAME%",
        provider=Provider.Http(name="envoy.tracers.opentelemetry", typed_config=pack(config)),
    )


def emit_sampling(route: Route, percent: float) -> None:
    """Begin traces of so many percent of a route's requests."""
    share = FractionalPercent(numerator=round(percent * _MILLIONTHS), denominator=FractionalPercent.MILLION)
    route.tracing.random_sampling.CopyFrom(share)
    route.tracing.client_sampling.SetInParent()
    route.tracing.overall_sampling.CopyFrom(FractionalPercent(numerator=100, denominator=FractionalPercent.HUNDRED))
