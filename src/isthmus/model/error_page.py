"""What clients see in place of an error."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from isthmus.model.object import Frozen


def _check_status(value: str) -> str:
    if not re.fullmatch(r"[45](?:xx|[0-9]{2})", value):
        raise ValueError(f"{value!r} is no error: write a status code such as 503, or a class: 4xx or 5xx")
    return value


MediaType = Annotated[
    str, Field(max_length=128, pattern=r'^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+(; ?[-a-z]+=[-A-Za-z0-9."]+)?$')
]
ErrorStatus = Annotated[str, AfterValidator(_check_status)]


class ErrorPage(Frozen):
    """A body in place of an error's own. Of several, the first that fits is sent: the route's, then the virtual
    host's."""

    statuses: tuple[ErrorStatus, ...] = Field(
        min_length=1, max_length=32, description='Which errors: status codes, and classes: `"503"`, `"4xx"`, `"5xx"`.'
    )
    body: str = Field("", max_length=16_384, description="The body.")
    content_type: MediaType = Field("text/html; charset=utf-8", description="Content-Type of the body.")
    status: Annotated[int, Field(ge=200, le=599)] | None = Field(
        None, description="Status code that the client gets; the error's own when left out."
    )
    applications: bool = Field(
        False, description="Also in place of an application's answer. false: only of Envoy's own, at any site."
    )
