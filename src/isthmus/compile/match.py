"""Conditions on a request."""

from isthmus.compile.condition import Match, PathMatch, ValueMatch
from isthmus.model.cookie_pattern import confine_pattern
from isthmus.model.match import CookieMatch, HeaderMatch, QueryParameterMatch
from isthmus.model.match import Match as MatchSpec
from isthmus.model.match import PathMatch as PathMatchSpec


def compile_match(match: MatchSpec) -> Match:
    """Conditions that must all hold."""
    return Match(
        path=_path(match.path) if match.path else None,
        methods=tuple(dict.fromkeys(match.methods)),
        headers=tuple(compile_value_match(header) for header in match.headers),
        query_parameters=tuple(compile_value_match(parameter) for parameter in match.query_parameters),
        cookies=tuple(compile_value_match(cookie) for cookie in match.cookies),
        ports=tuple(sorted(set(match.ports))),
        scheme=match.scheme,
    )


def _path(path: PathMatchSpec) -> PathMatch:
    if path.exact is not None:
        return PathMatch("exact", path.exact)
    if path.prefix is not None:
        return PathMatch("prefix", path.prefix)
    return PathMatch("regex", path.regex or "")


def compile_value_match(match: HeaderMatch | QueryParameterMatch | CookieMatch) -> ValueMatch:
    """One condition. An inverted `present` becomes `absent` and the other way round."""
    if match.present is not None:
        return ValueMatch(match.name, "present" if match.present != match.invert else "absent")
    if match.exact is not None:
        return ValueMatch(match.name, "exact", match.exact, match.invert)
    if match.prefix is not None:
        return ValueMatch(match.name, "prefix", match.prefix, match.invert)
    regex = match.regex or ""
    return ValueMatch(
        match.name, "regex", confine_pattern(regex) if isinstance(match, CookieMatch) else regex, match.invert
    )
