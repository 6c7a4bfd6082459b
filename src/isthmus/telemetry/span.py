"""Spans: from what Envoy exports to what receivers get, with the names that a site knows."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import structlog
from google.protobuf.message import DecodeError

from isthmus.generated import otlp_pb2 as wire
from isthmus.telemetry.naming import parse_cluster_name, parse_route_name
from isthmus.telemetry.otlp import SCOPE, attribute, chunks_of
from isthmus.telemetry.setting import Choice

MOST_SPANS = 2_000
"""Spans of one body."""
_NOISE = frozenset(("node_id", "zone", "component", "downstream_cluster", "upstream_cluster"))
"""Attributes of Envoy's that say nothing, or nothing that ours do not."""
_RENAMED = {
    "http.method": "http.request.method",
    "http.status_code": "http.response.status_code",
    "http.url": "url.full",
    "user_agent": "user_agent.original",
    "guid:x-request-id": "isthmus.request_id",
    "peer.address": "network.peer.address",
    "response_flags": "isthmus.flags",
    "request_size": "http.request.body.size",
    "response_size": "http.response.body.size",
}
_INTEGERS = frozenset(("http.response.status_code", "http.request.body.size", "http.response.body.size"))

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NamedSpan:
    """A span, and whom it concerns: `NAMESPACE/NAME`, empty where unknown."""

    span: wire.Span
    namespace: str
    virtual_host: str


def parse_spans(messages: Iterable[bytes]) -> list[NamedSpan]:
    """The spans of export requests. Messages that cannot be read are passed over."""
    found: list[NamedSpan] = []
    for body in messages:
        try:
            request = wire.TracesRequest.FromString(body)
        except DecodeError as error:
            log.error("telemetry.spans_not_decoded", error=str(error))
            continue
        for group in request.resource_spans:
            hop = next(
                (each.value.string_value for each in group.resource.attributes if each.key == "service.name"), ""
            )
            found.extend(_named(span, hop) for scope in group.scope_spans for span in scope.spans)
    return found


def choose_spans(spans: Iterable[NamedSpan], choice: Choice) -> list[wire.Span]:
    """Those that a receiver is sent. Beyond the fabric the virtual host is not known, only the cluster's namespace."""
    return [
        each.span
        for each in spans
        if choice.namespaces is None or each.namespace in choice.namespaces
        if choice.virtual_hosts is None or not each.virtual_host or each.virtual_host in choice.virtual_hosts
    ]


def emit_spans(spans: Sequence[wire.Span], resource: wire.Resource) -> Iterable[tuple[bytes, int]]:
    """Export requests, and how many spans are in each."""
    for part in chunks_of(spans, MOST_SPANS):
        scopes = [wire.ScopeSpans(scope=SCOPE, spans=part)]
        request = wire.TracesRequest(resource_spans=[wire.ResourceSpans(resource=resource, scope_spans=scopes)])
        yield request.SerializeToString(), len(part)


def _named(span: wire.Span, hop: str) -> NamedSpan:
    """With our attributes. The name that Envoy gives is the route's in the log."""
    given = {each.key: each.value.string_value for each in span.attributes}
    route = parse_route_name(span.name)
    cluster = parse_cluster_name(given.get("upstream_cluster", ""))
    namespace = route.namespace or cluster.namespace
    attributes = []
    for key, value in given.items():
        name = _RENAMED.get(key, key)
        if key in _NOISE or value in ("", "-"):
            continue
        attributes.append(attribute(name, int(value) if name in _INTEGERS and value.isdigit() else value))
    ours = {
        "isthmus.log": hop,
        "isthmus.namespace": namespace,
        "isthmus.virtual_host": route.virtual_host,
        "isthmus.route": route.route,
        "isthmus.cluster": cluster.cluster,
    }
    attributes.extend(attribute(name, value) for name, value in ours.items() if value)
    changed = wire.Span()
    changed.CopyFrom(span)
    del changed.attributes[:]
    changed.attributes.extend(attributes)
    changed.name = f"{given.get('http.method', '')} {route.route or hop}".strip()
    return NamedSpan(changed, namespace, route.virtual_host)
