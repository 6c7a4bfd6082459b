"""Conditions to Envoy's matchers."""

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.rule import Match, ValueMatch


def emit_match(match: Match) -> RouteMatch:
    """All of a match's conditions."""
    headers = [_header(condition) for condition in match.headers]
    if match.methods:
        headers.insert(0, HeaderMatcher(name=":method", string_match=_any_of(match.methods)))
    parameters = [_parameter(condition) for condition in match.query_parameters]
    path = match.path
    if path is None:
        return RouteMatch(prefix="/", headers=headers, query_parameters=parameters)
    if path.kind == "exact":
        return RouteMatch(path=path.text, headers=headers, query_parameters=parameters)
    if path.kind == "prefix":
        return RouteMatch(prefix=path.text, headers=headers, query_parameters=parameters)
    return RouteMatch(safe_regex=RegexMatcher(regex=path.text), headers=headers, query_parameters=parameters)


def _any_of(methods: tuple[str, ...]) -> StringMatcher:
    if len(methods) == 1:
        return StringMatcher(exact=methods[0])
    return StringMatcher(safe_regex=RegexMatcher(regex="|".join(methods)))


def _text(condition: ValueMatch) -> StringMatcher:
    if condition.kind == "exact":
        return StringMatcher(exact=condition.text)
    if condition.kind == "prefix":
        return StringMatcher(prefix=condition.text)
    return StringMatcher(safe_regex=RegexMatcher(regex=condition.text))


def _header(condition: ValueMatch) -> HeaderMatcher:
    """An inverted condition holds without the header too; Envoy by itself says no, so there it counts as empty."""
    if condition.kind in ("present", "absent"):
        return HeaderMatcher(name=condition.name, present_match=condition.kind == "present")
    return HeaderMatcher(
        name=condition.name,
        string_match=_text(condition),
        invert_match=condition.invert,
        treat_missing_header_as_empty=condition.invert,
    )


def _parameter(condition: ValueMatch) -> QueryParameterMatcher:
    if condition.kind in ("present", "absent"):
        return QueryParameterMatcher(name=condition.name, present_match=condition.kind == "present")
    return QueryParameterMatcher(name=condition.name, string_match=_text(condition))
