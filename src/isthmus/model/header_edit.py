"""Changes to the headers of requests and responses."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen
from isthmus.model.value import check_text
from isthmus.model.variable import check_template

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_REFUSED = {
    "host": "the Host header also decides the route; use forward.hostRewrite",
    "content-length": "Envoy frames the message itself",
    **dict.fromkeys(
        ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        "it belongs to one connection and not to the message (RFC 9110, 7.6.1)",
    ),
}


def _check_editable(value: str) -> str:
    name = value.lower()
    if name.startswith(":"):
        raise ValueError(f"{value!r} is a pseudo header; use the route's match, rewrites and redirect")
    if not _TOKEN.fullmatch(value):
        raise ValueError(f"{value!r} is not a header name (RFC 9110 token)")
    if name.startswith("x-isthmus-"):
        raise ValueError(f"{value!r}: headers that start with x-isthmus- are internal")
    if name in _REFUSED:
        raise ValueError(f"{value!r} cannot be changed: {_REFUSED[name]}")
    return name


def _check_request_value(value: str) -> str:
    return check_template(check_text(value), response=False)


def _check_response_value(value: str) -> str:
    return check_template(check_text(value), response=True)


EditableHeader = Annotated[str, AfterValidator(_check_editable)]
RequestValue = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_check_request_value)]
ResponseValue = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_check_response_value)]


class RequestHeader(Frozen):
    """A header of the request to the application."""

    name: EditableHeader = Field(
        description="Header name, any case. Not Host, not those of one connection, not `x-isthmus-`."
    )
    value: RequestValue = Field(
        description="Text with [variables](../routes.md#variables); without a value the header is left out."
    )


class ResponseHeader(Frozen):
    """A header of the response to the client."""

    name: EditableHeader = Field(description="Header name, any case. Not those of one connection, not `x-isthmus-`.")
    value: ResponseValue = Field(
        description="Text with [variables](../routes.md#variables); without a value the header is left out."
    )


class RequestHeaderEdits(Frozen):
    """Changes to a request's headers, first the virtual host's, then the route's."""

    remove: tuple[EditableHeader, ...] = Field((), max_length=64, description="Take these away.")
    set: tuple[RequestHeader, ...] = Field((), max_length=64, description="Replace, or add what is missing.")
    append: tuple[RequestHeader, ...] = Field((), max_length=64, description="One more value, beside those there are.")
    add: tuple[RequestHeader, ...] = Field((), max_length=64, description="Only where the header is missing.")

    @check_whole
    def _agree(self) -> Self:
        _check_agreement(self.remove, self.set, self.append, self.add)
        return self


class ResponseHeaderEdits(Frozen):
    """Changes to a response's headers, first the virtual host's, then the route's. Envoy's own answers get them
    too."""

    remove: tuple[EditableHeader, ...] = Field((), max_length=64, description="Take these away.")
    set: tuple[ResponseHeader, ...] = Field((), max_length=64, description="Replace, or add what is missing.")
    append: tuple[ResponseHeader, ...] = Field((), max_length=64, description="One more value, beside those there are.")
    add: tuple[ResponseHeader, ...] = Field((), max_length=64, description="Only where the header is missing.")

    @check_whole
    def _agree(self) -> Self:
        _check_agreement(self.remove, self.set, self.append, self.add)
        return self


def _check_agreement(
    remove: tuple[str, ...],
    replace: tuple[RequestHeader | ResponseHeader, ...],
    append: tuple[RequestHeader | ResponseHeader, ...],
    add: tuple[RequestHeader | ResponseHeader, ...],
) -> None:
    names = [*remove, *(each.name for each in replace), *{each.name for each in append}, *(each.name for each in add)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} stands twice; use one of remove, set, append and add for each header")
