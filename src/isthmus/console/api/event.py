"""/events: what was noticed of regions and sites."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from isthmus.console.api.answer import Answer
from isthmus.console.api.context import Caller, Context
from isthmus.console.error import RequestRefused

router = APIRouter(tags=["status"])


class EventAnswer(Answer):
    """Something that was noticed."""

    number: int = Field(description="Grows with every event.")
    at: float = Field(description="Seconds since 1970.")
    level: Literal["good", "warn", "bad", "info"]
    subject: str = Field(description="The site or region that it happened to: `default/site/fra`.")
    text: str
    object: str = Field(description="Key of the object that it is about; empty when it is about the subject itself.")


class EventList(Answer):
    """Events, newest first."""

    items: list[EventAnswer]
    before: int | None = Field(description="Ask with this `before` for older ones; null when there are none.")


@router.get("/events")
async def events(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[int | None, Query(ge=1, le=1 << 53, description="With a lower number than this.")] = None,
    subject: Annotated[str, Query(description="Of this site or region alone.")] = "",
    level: Annotated[Literal["", "good", "warn", "bad", "info"], Query()] = "",
    text: Annotated[str, Query(max_length=200, description="With this in subject, text or object.")] = "",
) -> EventList:
    """What was noticed, newest first: connections, health, rejections. Kept for 30 days, 100,000 at most."""
    if context.events is None:
        raise RequestRefused(503, "no-events", "This console keeps no events.")
    found = await context.events.page(limit + 1, before, subject, level, text)
    return EventList(
        items=[
            EventAnswer(
                number=each.number, at=each.at, level=each.level, subject=each.subject, text=each.text, object=each.key
            )
            for each in found[:limit]
        ],
        before=found[limit - 1].number if len(found) > limit else None,
    )
