"""Conditions on a request, in the intent."""

from dataclasses import dataclass, replace
from typing import Literal

ConditionKind = Literal["exact", "prefix", "regex", "present", "absent"]


@dataclass(frozen=True, slots=True)
class PathMatch:
    """One way to match the path, without the query."""

    kind: Literal["exact", "prefix", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """One condition on a header, a query parameter or a cookie. `text` is empty for `present` and `absent`; a `regex`
    on a cookie matches nothing but characters that a cookie's value may have."""

    name: str
    kind: ConditionKind
    text: str = ""
    invert: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold. `ports`: of the listener, any when empty."""

    path: PathMatch | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query_parameters: tuple[ValueMatch, ...] = ()
    cookies: tuple[ValueMatch, ...] = ()
    ports: tuple[int, ...] = ()
    scheme: str | None = None


def preflight_match(match: Match) -> Match | None:
    """The match of the preflight requests that scripts' requests are preceded by (Fetch standard, 4.9), where that is
    another one: these come with the method OPTIONS, and with no headers or cookies of the request itself."""
    if (not match.methods or "OPTIONS" in match.methods) and not match.headers and not match.cookies:
        return None
    wanted = ValueMatch("access-control-request-method", "present")
    if match.methods:
        wanted = ValueMatch("access-control-request-method", "regex", "|".join(match.methods))
    return replace(match, methods=("OPTIONS",), headers=(ValueMatch("origin", "present"), wanted), cookies=())
