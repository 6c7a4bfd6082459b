"""Conditions on a request."""

from typing import Literal, Self

from pydantic import Field, model_validator

from isthmus.model.object import Frozen
from isthmus.model.value import HeaderName, Path, Regex, count_set

Method = Literal["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]


class PathMatch(Frozen):
    """Exactly one way to match the path, without the query."""

    exact: Path | None = Field(None, description="The whole path.")
    prefix: Path | None = Field(None, description="The path starts with this text, character by character.")
    regex: Regex | None = Field(None, description="RE2; must match the whole path.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if count_set(self, ("exact", "prefix", "regex")) != 1:
            raise ValueError("set exactly one of exact, prefix and regex")
        return self


class _ValueMatch(Frozen):
    exact: str | None = Field(None, description="The whole value.")
    prefix: str | None = Field(None, min_length=1, description="The value starts with this text.")
    regex: Regex | None = Field(None, description="RE2; must match the whole value.")
    present: bool | None = Field(None, description="true: it is there, with any value; false: it is not there.")

    @model_validator(mode="after")
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


class Match(Frozen):
    """Conditions on a request, all of which must hold. An empty match accepts every request."""

    path: PathMatch | None = Field(None, description="Any path when left out.")
    methods: tuple[Method, ...] = Field((), description="Any of these; every method when empty.")
    headers: tuple[HeaderMatch, ...] = Field((), description="All of these.")
    query_parameters: tuple[QueryParameterMatch, ...] = Field((), description="All of these.")
