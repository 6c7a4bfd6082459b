"""/alerts/silences: alerts that nobody is told of for a while."""

import secrets
import time
from dataclasses import replace
from typing import Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from isthmus.alert.silence import Silence, SilenceInvalid, check_silence, parse_matcher
from isthmus.console.api.alert import require_alerting
from isthmus.console.api.answer import Answer, ErrorAnswer
from isthmus.console.api.context import Caller, Context
from isthmus.console.api.membership import add_audit
from isthmus.console.error import RequestRefused

router = APIRouter(tags=["alerts"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (404, 422)}
_LONGEST = 366 * 86_400
_MOST = 1000


class SilenceRequest(Answer):
    """Which alerts, for how long, and why."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    matchers: list[str] = Field(
        min_length=1,
        max_length=20,
        description="All must match: `site=fra`, `alertname!=lag`, `subject=~Endpoint.*`. Labels: alertname, severity, "
        "subject, site, namespace, object. Regular expressions are RE2 and match the whole value.",
    )
    starts: float | None = Field(None, ge=0, description="Seconds since 1970; at once when left out.")
    ends: float | None = Field(None, ge=0, description="Seconds since 1970.")
    duration_seconds: float | None = Field(None, gt=0, le=_LONGEST, description="In place of `ends`.")
    comment: str = Field(min_length=1, max_length=1000, description="Why.")


class SilenceAnswer(Answer):
    """A silence. Times are seconds since 1970."""

    id: str
    state: str = Field(description="`pending`, `active` or `expired`.")
    matchers: list[str]
    starts: float
    ends: float
    author: str
    comment: str
    alerts: int = Field(description="Alerts that fire now and that it is of.")


class SilenceList(Answer):
    """The active ones first, then those to come, then those that have expired in the last 30 days."""

    items: list[SilenceAnswer]


@router.get("/alerts/silences")
async def list_silences(context: Context, caller: Caller) -> SilenceList:
    """Silences, active ones first."""
    notifier, now = require_alerting(context).notifier, time.time()
    order = ("active", "pending", "expired")
    found = sorted(notifier.silences.values(), key=lambda each: (order.index(each.state(now)), each.ends, each.id))
    return SilenceList(items=[_answer(context, each, now) for each in found])


@router.post("/alerts/silences", status_code=201, responses=_ERRORS)
async def create_silence(body: SilenceRequest, context: Context, caller: Caller) -> SilenceAnswer:
    """Tell nobody of some alerts for a while. They are still shown."""
    notifier, now = require_alerting(context).notifier, time.time()
    if (body.ends is None) == (body.duration_seconds is None):
        raise RequestRefused(422, "invalid", "Give either ends or durationSeconds.")
    if sum(each.ends > now for each in notifier.silences.values()) >= _MOST:
        raise RequestRefused(422, "too-many", f"There are {_MOST} silences; expire some first.")
    starts = body.starts if body.starts is not None else now
    ends = body.ends if body.ends is not None else starts + (body.duration_seconds or 0)
    try:
        matchers = tuple(parse_matcher(each) for each in body.matchers)
        silence = Silence(secrets.token_hex(8), matchers, starts, ends, caller.name, body.comment.strip())
        check_silence(silence, now)
        if ends - now > _LONGEST:
            raise SilenceInvalid("A silence ends within a year.")
    except SilenceInvalid as error:
        raise RequestRefused(422, "invalid", str(error)) from None
    await notifier.put_silence(silence)
    await add_audit(context, caller.name, "silence.created", f"{silence.id} {', '.join(map(str, matchers))}")
    return _answer(context, silence, now)


@router.delete("/alerts/silences/{silence_id}", responses=_ERRORS)
async def expire_silence(silence_id: str, context: Context, caller: Caller) -> SilenceAnswer:
    """End a silence now; it stays in the list as expired."""
    notifier, now = require_alerting(context).notifier, time.time()
    silence = notifier.silences.get(silence_id)
    if silence is None:
        raise RequestRefused(404, "not-found", f"There is no silence {silence_id}.")
    if silence.state(now) != "expired":
        silence = replace(silence, starts=min(silence.starts, now), ends=now)
        await notifier.put_silence(silence)
        await add_audit(context, caller.name, "silence.expired", silence_id)
    return _answer(context, silence, now)


def _answer(context: Context, silence: Silence, now: float) -> SilenceAnswer:
    firing = (each for each in require_alerting(context).alerts.list() if each.state == "firing")
    return SilenceAnswer(
        id=silence.id,
        state=silence.state(now),
        matchers=[str(each) for each in silence.matchers],
        starts=silence.starts,
        ends=silence.ends,
        author=silence.author,
        comment=silence.comment,
        alerts=sum(silence.covers(each.condition) for each in firing),
    )
