"""/alerts/receivers, /alerts/deliveries and the test of a receiver: who is told, and whether it works."""

import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from isthmus.alert.alert import Alert, AlertState, Condition
from isthmus.alert.notification import parse_notification
from isthmus.console.alert_register import Delivery
from isthmus.console.api.account import too_many
from isthmus.console.api.alert import require_alerting
from isthmus.console.api.answer import Answer, ErrorAnswer
from isthmus.console.api.context import Caller, Context
from isthmus.console.api.membership import add_audit
from isthmus.console.notifier import Outcome
from isthmus.console.session import MOST_TESTS
from isthmus.model.alert_receiver import AlertReceiver
from isthmus.model.key import DEFAULT_TENANT, ObjectKey

router = APIRouter(tags=["alerts"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (404, 429)}


class DeliveryAnswer(Answer):
    """A message to one receiver. Times are seconds since 1970."""

    id: str
    receiver: str
    title: str
    state: Literal["waiting", "delivered", "failed"]
    created: float
    attempts: int
    next_at: float | None = Field(description="When it is tried next; null when it is not.")
    ended: float | None
    detail: str = Field(description="What the receiver said, or why it was not reached.")


class DeliveryList(Answer):
    """Messages, newest first."""

    items: list[DeliveryAnswer]


class ReceiverAnswer(Answer):
    """A receiver and how it is. Times are seconds since 1970."""

    key: str
    type: Literal["webhook", "slack", "pagerDuty", "email"]
    policies: list[str] = Field(description="Keys of the policies that name it.")
    waiting: int = Field(description="Messages that are still to be sent.")
    delivered_at: float | None
    failed_at: float | None
    detail: str = Field(description="What was heard last.")
    works: bool | None = Field(description="Whether the last attempt succeeded; null before the first.")


class ReceiverList(Answer):
    """Receivers by key."""

    items: list[ReceiverAnswer]


@router.get("/alerts/receivers")
async def receivers(context: Context, caller: Caller) -> ReceiverList:
    """Who is told of alerts, and whether that works."""
    notifier = require_alerting(context).notifier
    policies: dict[str, list[str]] = {}
    for policy in notifier.policies():
        for use in policy.uses():
            policies.setdefault(str(use.target), []).append(str(policy.key))
    items = []
    for record in context.deployment.of_kind("AlertReceiver", DEFAULT_TENANT):
        if not isinstance(record.object, AlertReceiver):
            continue
        key = str(record.object.key)
        known = notifier.outcomes.get(key) or Outcome()
        items.append(
            ReceiverAnswer(
                key=key,
                type=record.object.spec.type,
                policies=policies.get(key, []),
                waiting=notifier.waiting(key),
                delivered_at=known.delivered_at,
                failed_at=known.failed_at,
                detail=known.detail,
                works=_works(known),
            )
        )
    return ReceiverList(items=items)


def _works(known: Outcome) -> bool | None:
    if known.delivered_at is None and known.failed_at is None:
        return None
    return (known.delivered_at or 0) >= (known.failed_at or 0)


@router.get("/alerts/deliveries")
async def deliveries(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    receiver: Annotated[str, Query(description="Key of an AlertReceiver: to this one alone.")] = "",
) -> DeliveryList:
    """What was sent, and what became of it, newest first. Kept for 30 days."""
    found = await context.deployment.call(context.store.deliveries, limit, receiver)
    return DeliveryList(items=[answer_delivery(each) for each in found])


@router.post("/namespaces/{namespace}/alertreceivers/{name}/test", responses=_ERRORS)
async def test_receiver(namespace: str, name: str, context: Context, caller: Caller) -> DeliveryAnswer:
    """Send a message that says that it is a test, once and at once; whether it was taken. 429 while a namespace, a
    caller or all have too many on their way, and after 30 of a caller in a minute."""
    notifier, tests, moment = require_alerting(context).notifier, context.sessions.tests, time.monotonic()
    wait = tests.wait(caller.id, moment)
    if wait:
        raise too_many(f"{caller.name} asked for {MOST_TESTS} tests in a minute.", wait)
    tests.fail(caller.id, moment)
    key, now = ObjectKey(DEFAULT_TENANT, "AlertReceiver", namespace, name), time.time()
    text = f"This is a test that {caller.name} asked for. Nothing is wrong."
    alert = Alert(Condition("site-offline", "Test", text), AlertState.FIRING, now, now)
    made = await notifier.test(key, alert, now, caller.id)
    await add_audit(context, caller.name, "receiver.tested", f"{key.path}: {made.state}")
    return answer_delivery(made)


def answer_delivery(delivery: Delivery) -> DeliveryAnswer:
    """A message as the API gives it."""
    return DeliveryAnswer(
        id=delivery.id,
        receiver=delivery.receiver,
        title=parse_notification(delivery.notification).title,
        state=delivery.state,
        created=delivery.created,
        attempts=delivery.attempts,
        next_at=delivery.next_at if delivery.state == "waiting" else None,
        ended=delivery.ended,
        detail=delivery.detail,
    )
