"""Conditions on a request."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.cookie_pattern import confine_pattern
from isthmus.model.object import Frozen
from isthmus.model.value import CookieName, HeaderName, Path, Port, Regex, check_program, check_text, count_set

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class PathMatch(Frozen):
    """Exactly one way to match the path, without the query."""

    exact: Path | None = Field(None, description="The whole path.")
    prefix: Path | None = Field(None, description="The path starts with this text, character by character.")
    regex: Regex | None = Field(None, description="RE2; must match the whole path.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("exact", "prefix", "regex")) != 1:
            raise ValueError("set exactly one of exact, prefix and regex")
        return self


class _ValueMatch(Frozen):
    exact: str | None = Field(None, description="The whole value.")
    prefix: str | None = Field(None, min_length=1, description="The value starts with this text.")
    regex: Regex | None = Field(None, description="RE2; must match the whole value.")
    present: bool | None = Field(None, description="true: it is there, with any value; false: it is not there.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("exact", "prefix", "regex", "present")) != 1:
            raise ValueError("set exactly one of exact, prefix, regex and present")
        return self


class HeaderMatch(_ValueMatch):
    """One condition on a request header."""

    name: HeaderName = Field(description="Header name, any case.")
    invert: bool = Field(False, description="Match when the condition does not hold.")


class QueryParameterMatch(_ValueMatch):
    """One condition on a query parameter."""

    name: str = Field(min_length=1, description="Parameter name, case-sensitive.")
    invert: bool = Field(False, description="Match when no value of the parameter fulfils the condition.")

    @check_whole
    def _invertible(self) -> Self:
        if self.invert and self.regex is not None:
            raise ValueError("Envoy cannot invert a regex on a query parameter; use exact, prefix or present")
        return self


def _check_cookie_text(value: str) -> str:
    if any(character in value for character in ';," \\'):
        raise ValueError(f"{value!r} has a character that no cookie's value can have (RFC 6265)")
    return check_text(value)


def _check_cookie_pattern(value: str) -> str:
    check_program(confine_pattern(value), times=3)  # it stands twice in the expression on all cookies
    return value


class CookieMatch(Frozen):
    """One condition on a cookie of the request."""

    name: CookieName = Field(description="Cookie name, case-sensitive.")
    exact: Annotated[str, AfterValidator(_check_cookie_text)] | None = Field(None, description="The whole value.")
    prefix: Annotated[str, Field(min_length=1), AfterValidator(_check_cookie_text)] | None = Field(
        None, description="The value starts with this text."
    )
    regex: Annotated[Regex, AfterValidator(_check_cookie_pattern)] | None = Field(
        None, description="RE2; must match the whole value."
    )
    present: bool | None = Field(None, description="true: it is there, with any value; false: it is not there.")
    invert: bool = Field(False, description="Match when the condition does not hold.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("exact", "prefix", "regex", "present")) != 1:
            raise ValueError("set exactly one of exact, prefix, regex and present")
        return self


class Match(Frozen):
    """Conditions on a request, all of which must hold. An empty match accepts every request."""

    path: PathMatch | None = Field(None, description="Any path when left out.")
    methods: tuple[Method, ...] = Field((), description="Any of these; every method when empty.")
    headers: tuple[HeaderMatch, ...] = Field((), description="All of these.")
    query_parameters: tuple[QueryParameterMatch, ...] = Field((), description="All of these.")
    cookies: tuple[CookieMatch, ...] = Field((), description="All of these.")
    ports: tuple[Port, ...] = Field(
        (), max_length=32, description="The port of the advertise policy that the request came in by is one of these."
    )
    scheme: Literal["http", "https"] | None = Field(None, description="`https`: the client's connection has TLS.")
