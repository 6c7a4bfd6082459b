"""Faults on purpose, to see how clients and applications take them."""

from typing import Self

from pydantic import Field

from isthmus.model.check import check_whole
from isthmus.model.match import HeaderMatch
from isthmus.model.object import Frozen
from isthmus.model.value import Percent, PositiveDuration


class FaultDelay(Frozen):
    """Hold requests back."""

    duration: PositiveDuration = Field(description="How long.")
    percent: Percent = Field(100, description="Share of the requests.")


class FaultAbort(Frozen):
    """Answer requests with an error."""

    status: int = Field(ge=200, le=599, description="HTTP status code.")
    percent: Percent = Field(100, description="Share of the requests.")


class Fault(Frozen):
    """Faults on purpose. On a route, `{}` switches the virtual host's off."""

    delay: FaultDelay | None = Field(None, description="Hold requests back, before anything else happens to them.")
    abort: FaultAbort | None = Field(None, description="Answer with an error, after the delay if there is one.")
    headers: tuple[HeaderMatch, ...] = Field(
        (), max_length=16, description="Only requests with all of these; any when empty."
    )
    max_active: int | None = Field(
        None, ge=0, description="Requests held back or refused at one time, at most; no limit when left out."
    )

    @check_whole
    def _something(self) -> Self:
        if self.delay is None and self.abort is None and (self.headers or self.max_active is not None):
            raise ValueError("set delay, abort or both")
        return self
