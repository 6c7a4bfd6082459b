"""How HTTP is treated, of virtual hosts and routes."""

from collections.abc import Iterable

from isthmus.compile.match import compile_value_match
from isthmus.compile.option import Compression, Cors, Csrf, ErrorPage, Fault, HeaderEdit, Options, TextMatch
from isthmus.model.compression import Compression as CompressionSpec
from isthmus.model.cors import Cors as CorsSpec
from isthmus.model.cors import OriginMatch
from isthmus.model.error_page import ErrorPage as ErrorPageSpec
from isthmus.model.fault import Fault as FaultSpec
from isthmus.model.header_edit import RequestHeaderEdits, ResponseHeaderEdits
from isthmus.model.http_option import HttpOptions
from isthmus.model.value import milliseconds


def compile_options(spec: HttpOptions) -> Options:
    """The options of a virtual host or a route."""
    return Options(
        request_headers=_edits(spec.request_headers),
        response_headers=_edits(spec.response_headers),
        cors=_cors(spec.cors) if spec.cors else None,
        csrf=Csrf(spec.csrf.enabled, _texts(spec.csrf.additional_origins)) if spec.csrf else None,
        fault=_fault(spec.fault) if spec.fault else None,
        compression=_compression(spec.compression) if spec.compression else None,
        max_request_bytes=spec.max_request_bytes,
        error_pages=tuple(_page(page) for page in spec.error_pages),
        grpc_web=spec.grpc_web,
    )


def _edits(edits: RequestHeaderEdits | ResponseHeaderEdits) -> tuple[HeaderEdit, ...]:
    return (
        *(HeaderEdit("remove", each) for each in edits.remove),
        *(HeaderEdit("set", each.name, each.value) for each in edits.set),
        *(HeaderEdit("append", each.name, each.value) for each in edits.append),
        *(HeaderEdit("add", each.name, each.value) for each in edits.add),
    )


def _cors(cors: CorsSpec) -> Cors:
    if not cors.enabled:
        return Cors(enabled=False)
    return Cors(
        enabled=True,
        origins=_texts(cors.origins),
        methods=tuple(dict.fromkeys(cors.methods)),
        headers=tuple(dict.fromkeys(cors.headers)),
        expose_headers=tuple(dict.fromkeys(cors.expose_headers)),
        max_age=None if cors.max_age is None else milliseconds(cors.max_age) // 1000,
        credentials=cors.credentials,
    )


def _texts(origins: Iterable[OriginMatch]) -> tuple[TextMatch, ...]:
    found = []
    for origin in origins:
        if origin.exact is not None:
            found.append(TextMatch("exact", origin.exact))
        elif origin.prefix is not None:
            found.append(TextMatch("prefix", origin.prefix))
        else:
            found.append(TextMatch("regex", origin.regex or ""))
    return tuple(found)


def _fault(fault: FaultSpec) -> Fault:
    return Fault(
        delay=milliseconds(fault.delay.duration) if fault.delay else 0,
        delay_percent=fault.delay.percent if fault.delay else 0,
        abort=fault.abort.status if fault.abort else 0,
        abort_percent=fault.abort.percent if fault.abort else 0,
        headers=tuple(compile_value_match(header) for header in fault.headers),
        max_active=fault.max_active,
    )


def _compression(compression: CompressionSpec) -> Compression:
    if not compression.enabled:
        return Compression(enabled=False)
    return Compression(
        enabled=True,
        algorithms=tuple(dict.fromkeys(compression.algorithms)),
        content_types=tuple(dict.fromkeys(compression.content_types)),
        min_size=compression.min_size,
    )


def _page(page: ErrorPageSpec) -> ErrorPage:
    statuses = tuple(dict.fromkeys(page.statuses))
    return ErrorPage(statuses, page.body, page.content_type, page.status, page.applications)
