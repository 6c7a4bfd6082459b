"""Conditions on a request."""

from isthmus.compile.rule import Match, PathMatch, ValueMatch
from isthmus.model.match import HeaderMatch, QueryParameterMatch
from isthmus.model.match import Match as MatchSpec
from isthmus.model.match import PathMatch as PathMatchSpec


def compile_match(match: MatchSpec) -> Match:
    """Conditions that must all hold."""
    return Match(
        path=_path(match.path) if match.path else None,
        methods=tuple(dict.fromkeys(match.methods)),
        headers=tuple(_value(header, invert=header.invert) for header in match.headers),
        query_parameters=tuple(_value(parameter) for parameter in match.query_parameters),
    )


def _path(path: PathMatchSpec) -> PathMatch:
    if path.exact is not None:
        return PathMatch("exact", path.exact)
    if path.prefix is not None:
        return PathMatch("prefix", path.prefix)
    return PathMatch("regex", path.regex or "")


def _value(match: HeaderMatch | QueryParameterMatch, *, invert: bool = False) -> ValueMatch:
    """An inverted `present` becomes `absent` and the other way round."""
    if match.present is not None:
        return ValueMatch(match.name, "present" if match.present != invert else "absent")
    if match.exact is not None:
        return ValueMatch(match.name, "exact", match.exact, invert)
    if match.prefix is not None:
        return ValueMatch(match.name, "prefix", match.prefix, invert)
    return ValueMatch(match.name, "regex", match.regex or "", invert)
