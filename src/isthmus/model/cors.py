"""CORS and CSRF: what scripts of other origins may do."""

from typing import Annotated, Literal, Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.match import Method
from isthmus.model.object import Frozen
from isthmus.model.value import Duration, HeaderName, Regex, count_set


class OriginMatch(Frozen):
    """Origins (`https://shop.example:8443`) by exactly one of exact, prefix and regex."""

    exact: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="This origin; `*` is any."
    )
    prefix: Annotated[str, Field(min_length=1, max_length=512)] | None = Field(
        None, description="Origins that start with this text. A prefix without a closing `:` or `/` fits longer hosts."
    )
    regex: Regex | None = Field(None, description="RE2; must match the whole origin.")

    @check_whole
    def _one(self) -> Self:
        if count_set(self, ("exact", "prefix", "regex")) != 1:
            raise ValueError("set exactly one of exact, prefix and regex")
        return self


class Cors(Frozen):
    """Which scripts of other origins may use the answers (Fetch standard). Preflight requests are answered at the
    ingress site and reach no application."""

    enabled: bool = Field(True, description="false on a route: not here, whatever the virtual host says.")
    origins: tuple[OriginMatch, ...] = Field((), max_length=64, description="Origins that may. Required.")
    methods: tuple[Method, ...] = Field(
        ("GET", "HEAD", "POST"), description="Methods that they may use; sent in answers to preflight requests."
    )
    headers: tuple[HeaderName | Literal["*"], ...] = Field(
        (), max_length=64, description="Request headers that they may send."
    )
    expose_headers: tuple[HeaderName | Literal["*"], ...] = Field(
        (), max_length=64, description="Response headers that they may read."
    )
    max_age: Duration | None = Field(None, description="How long browsers may remember the answer to a preflight.")
    credentials: bool = Field(False, description="Cookies and other credentials may be sent along.")

    @check_whole
    def _complete(self) -> Self:
        if self.enabled and not self.origins:
            raise ValueError("set origins")
        if self.credentials and any(origin.exact == "*" for origin in self.origins):
            raise ValueError("any origin with credentials would open the site to all others; name the origins")
        return self


class Csrf(Frozen):
    """Refuse requests that change something (not GET, HEAD, OPTIONS) and come from another site, with 403. A request is
    from the same site when the host of its Origin, or else Referer, header is that of the Host header."""

    enabled: bool = Field(True, description="false on a route: not here, whatever the virtual host says.")
    additional_origins: tuple[OriginMatch, ...] = Field(
        (), max_length=64, description="Hosts, with their port if it is unusual, that may besides."
    )
