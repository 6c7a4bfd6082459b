"""Conditions to Envoy's matchers."""

import re

from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher

from isthmus.compile.condition import Match, ValueMatch

COOKIE = r"(?:.*[;,])?[ \t]*{pair}[ \t]*(?:;.*)?"
"""A Cookie header that has a cookie. Clients that send several such headers get them joined with commas."""


def emit_match(match: Match) -> RouteMatch:
    """All of a match's conditions."""
    headers = [HeaderMatcher(name=":method", string_match=_any_of(match.methods))] if match.methods else []
    headers.extend(emit_header_matcher(condition) for condition in match.headers)
    headers.extend(_without_value(condition) for condition in match.query_parameters if condition.invert)
    headers.extend(_cookie(condition) for condition in match.cookies)
    if match.scheme is not None:
        headers.append(HeaderMatcher(name="x-forwarded-proto", string_match=StringMatcher(exact=match.scheme)))
    parameters = [_parameter(condition) for condition in match.query_parameters if not condition.invert]
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
    return emit_regex("|".join(methods))


def _text(condition: ValueMatch) -> StringMatcher:
    if condition.kind == "exact":
        return StringMatcher(exact=condition.text)
    if condition.kind == "prefix":
        return StringMatcher(prefix=condition.text)
    return emit_regex(condition.text)


def emit_header_matcher(condition: ValueMatch) -> HeaderMatcher:
    """One condition on a header. An inverted one holds without the header too; Envoy by itself says no, so there it
    counts as empty."""
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


def _without_value(condition: ValueMatch) -> HeaderMatcher:
    """No value of a query parameter fulfils the condition. Envoy inverts matches of headers alone; the path is one."""
    value = re.escape(condition.text) + ("[^&]*" if condition.kind == "prefix" else "")
    # A parameter without a value is one with an empty value.
    pair = f"{re.escape(condition.name)}={value}" if value else f"{re.escape(condition.name)}=?"
    pattern = rf"[^?]*\?(?:.*&)?{pair}(?:&.*)?"
    return HeaderMatcher(name=":path", string_match=emit_regex(pattern), invert_match=True)


def _cookie(condition: ValueMatch) -> HeaderMatcher:
    """A condition on a cookie, as one on the header that has all cookies."""
    pattern = COOKIE.format(pair=_cookie_pair(condition))
    invert = condition.invert or condition.kind == "absent"
    return HeaderMatcher(
        name="cookie", string_match=emit_regex(pattern), invert_match=invert, treat_missing_header_as_empty=invert
    )


def _cookie_pair(condition: ValueMatch) -> str:
    cookie = re.escape(condition.name) + "="
    if condition.kind in ("present", "absent"):
        return cookie + "[^;]*"
    if condition.kind == "regex":
        value = f"(?:{condition.text})"
    else:
        value = re.escape(condition.text) + ("[^;]*" if condition.kind == "prefix" else "")
    return f'{cookie}(?:{value}|"{value}")'


def emit_regex(pattern: str) -> StringMatcher:
    """A text that a regular expression matches as a whole."""
    return StringMatcher(safe_regex=RegexMatcher(regex=pattern))
