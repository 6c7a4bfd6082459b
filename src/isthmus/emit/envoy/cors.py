"""CORS and CSRF: what scripts of other origins may do."""

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import RuntimeFractionalPercent
from envoy.extensions.filters.http.cors.v3.cors_pb2 import CorsPolicy
from envoy.extensions.filters.http.csrf.v3.csrf_pb2 import CsrfPolicy
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.option import Cors, Csrf, TextMatch
from isthmus.emit.envoy.wire import percent

_ALWAYS = RuntimeFractionalPercent(default_value=percent(100))


def emit_cors(cors: Cors) -> CorsPolicy:
    """Who may use the answers. A preflight of somebody else is answered here too, without permission."""
    return CorsPolicy(
        allow_origin_string_match=_texts(cors.origins),
        allow_methods=",".join(cors.methods),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.expose_headers),
        max_age="" if cors.max_age is None else str(cors.max_age),
        allow_credentials={"value": cors.credentials},
        forward_not_matching_preflights={"value": False},
    )


def emit_csrf(csrf: Csrf) -> CsrfPolicy:
    """Refuse changes from other sites."""
    return CsrfPolicy(filter_enabled=_ALWAYS, additional_origins=_texts(csrf.additional_origins))


def _texts(matches: Iterable[TextMatch]) -> list[StringMatcher]:
    return [_text(match) for match in matches]


def _text(match: TextMatch) -> StringMatcher:
    if match.kind == "exact":
        return StringMatcher(exact=match.text)
    if match.kind == "prefix":
        return StringMatcher(prefix=match.text)
    return StringMatcher(safe_regex=RegexMatcher(regex=match.text))
