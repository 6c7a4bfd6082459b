"""The HTTP filters of ingress, in order, and how virtual hosts and routes switch them on.

A changed filter list would be a changed listener, so all are there from the start, switched off; a filter that is off
costs a look into the route and no more. Requests pass the list from its start, answers from its end. The order:

1. *Compression*, so that every answer of what follows, an error page too, can be compressed.
2. *Own answers*: forgets the mark of another site's own answers once the error pages have seen it.
3. *Error pages*, which stand in for what any later filter answers.
4. *CORS*: preflights carry no credentials and are answered first of all; also errors of the following filters need its
   headers, or a browser's script cannot see them.
5. *CSRF*, before anything is spent on the request.
6. *Faults*: as the application's own, so behind what protects it.
7. *gRPC-web*, before the body is counted.
8. *Request limit*: holds the body back, so nothing that could refuse the request comes later.
9. *Hash cookie*, *hash values*: what the choice of an endpoint looks at.
10. The router.
"""

from typing import Any

from envoy.config.common.mutation_rules.v3.mutation_rules_pb2 import HeaderMutation as Mutation
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route, VirtualHost
from envoy.extensions.filters.http.buffer.v3.buffer_pb2 import Buffer, BufferPerRoute
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.http.csrf.v3.csrf_pb2 import CsrfPolicy
from envoy.extensions.filters.http.custom_response.v3.custom_response_pb2 import CustomResponse
from envoy.extensions.filters.http.fault.v3.fault_pb2 import HTTPFault
from envoy.extensions.filters.http.grpc_web.v3.grpc_web_pb2 import GrpcWeb
from envoy.extensions.filters.http.header_mutation.v3.header_mutation_pb2 import HeaderMutation, Mutations
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter
from envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2 import Config as StateFilter
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from isthmus.compile.option import Options
from isthmus.emit.envoy import name
from isthmus.emit.envoy.compression import PLACE, emit_compressor
from isthmus.emit.envoy.cors import emit_cors, emit_csrf
from isthmus.emit.envoy.error_page import emit_error_pages
from isthmus.emit.envoy.fault import emit_fault
from isthmus.emit.envoy.header import emit_header_values, emit_removals
from isthmus.emit.envoy.wire import pack

_FORGET_MARK = HeaderMutation(mutations=Mutations(response_mutations=[Mutation(remove=name.LOCAL_REPLY_HEADER)]))
_NEVER = CsrfPolicy(filter_enabled={"default_value": {"numerator": 0}})
_LARGEST = 268_435_456
_FILTERS: tuple[tuple[str, Any], ...] = (
    *((name.COMPRESSION_FILTERS[algorithm], PLACE) for algorithm in ("zstd", "gzip", "brotli")),
    (name.OWN_ANSWERS_FILTER, _FORGET_MARK),
    (name.ERROR_PAGES_FILTER, CustomResponse()),
    (name.CORS_FILTER, Cors()),
    (name.CSRF_FILTER, _NEVER),
    (name.FAULT_FILTER, HTTPFault()),
    (name.GRPC_WEB_FILTER, GrpcWeb()),
    (name.REQUEST_LIMIT_FILTER, Buffer(max_request_bytes={"value": _LARGEST})),
    (name.HASH_COOKIE_FILTER, StateFilter()),
    (name.HASH_FILTER, MetadataFilter()),
)
_ON = pack(FilterConfig(config={}))
_OFF = pack(FilterConfig(disabled=True))


def emit_optional_filters() -> list[HttpFilter]:
    """Every filter but the router, switched off."""
    return [HttpFilter(name=title, typed_config=pack(config), disabled=True) for title, config in _FILTERS]


def emit_options(holder: Route | VirtualHost, options: Options) -> None:
    """Put options into a route or virtual host. What is None stays as the virtual host, or the listener, has it."""
    _emit_headers(holder, options)
    filters = holder.typed_per_filter_config
    for title, config in _switched(options):
        filters[title].CopyFrom(config)


def _emit_headers(holder: Route | VirtualHost, options: Options) -> None:
    holder.request_headers_to_add.extend(emit_header_values(options.request_headers))
    holder.request_headers_to_remove.extend(emit_removals(options.request_headers))
    holder.response_headers_to_add.extend(emit_header_values(options.response_headers))
    holder.response_headers_to_remove.extend(emit_removals(options.response_headers))


def _switched(options: Options) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if options.compression is not None:
        on = options.compression.algorithms if options.compression.enabled else ()
        for algorithm, title in name.COMPRESSION_FILTERS.items():
            config = pack(emit_compressor(options.compression, algorithm)) if algorithm in on else _OFF
            found.append((title, config))
    if options.error_pages:
        found.append((name.ERROR_PAGES_FILTER, pack(emit_error_pages(options.error_pages))))
    if options.cors is not None:
        found.append((name.CORS_FILTER, pack(emit_cors(options.cors)) if options.cors.enabled else _OFF))
    if options.csrf is not None:
        found.append((name.CSRF_FILTER, pack(emit_csrf(options.csrf)) if options.csrf.enabled else _OFF))
    if options.fault is not None:
        found.append((name.FAULT_FILTER, pack(emit_fault(options.fault)) if options.fault.enabled else _OFF))
    if options.grpc_web is not None:
        found.append((name.GRPC_WEB_FILTER, _ON if options.grpc_web else _OFF))
    if options.max_request_bytes is not None:
        limit = BufferPerRoute(buffer=Buffer(max_request_bytes={"value": options.max_request_bytes}))
        found.append((name.REQUEST_LIMIT_FILTER, pack(limit) if options.max_request_bytes else _OFF))
    return found


def emit_without_pages(route: Route) -> None:
    """The virtual host's error pages do not concern this route."""
    route.typed_per_filter_config[name.ERROR_PAGES_FILTER].CopyFrom(_OFF)


def emit_undisturbed(route: Route) -> None:
    """None of the virtual host's filters that could answer in the route's place, or change its answer, concern it."""
    for title in (name.ERROR_PAGES_FILTER, name.CORS_FILTER, name.FAULT_FILTER):
        route.typed_per_filter_config[title].CopyFrom(_OFF)


def emit_forget_marks(virtual_host: VirtualHost, *, seen_by_pages: bool) -> None:
    """Keep marks of other sites' own answers from clients: in the virtual host itself, which is the cheaper way, or
    after the error pages have seen them."""
    if seen_by_pages:
        virtual_host.typed_per_filter_config[name.OWN_ANSWERS_FILTER].CopyFrom(_ON)
    else:
        virtual_host.response_headers_to_remove.append(name.LOCAL_REPLY_HEADER)
