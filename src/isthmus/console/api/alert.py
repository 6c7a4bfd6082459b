"""/alerts: what is wrong now, what was until lately, what is looked for, and who would be told."""

import time
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from isthmus.alert.alert import RULES, Alert
from isthmus.alert.silence import Silence, find_silence
from isthmus.console.alerting import Alerting
from isthmus.console.api.answer import Answer
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.error import RequestRefused

router = APIRouter(tags=["alerts"])


class AlertAnswer(Answer):
    """One condition that should not hold. Times are seconds since 1970."""

    id: str
    rule: str
    severity: str = Field(description="`critical` or `warning`.")
    subject: str = Field(description="What it is about: `Site fra`.")
    text: str
    site: str = Field(description="The site that it is at; empty where it is at none.")
    namespace: str = Field(description="Namespace of the object that it is about; empty for sites and regions.")
    object: str = Field(description="Key of the object that it is about; may be empty.")
    state: str = Field(
        description="`pending`: not for long enough yet. `firing`. `resolved`: no longer, shown for an hour."
    )
    since: float
    fired_at: float | None
    resolved_at: float | None
    silence: str = Field(
        "", description="Id of the silence because of which nobody is told; empty where there is none."
    )


class RuleAnswer(Answer):
    """What is looked for."""

    name: str
    severity: str
    summary: str
    hold_seconds: float = Field(description="How long a condition is pending before it fires.")


class AlertList(Answer):
    """Those that fire first, the critical ones before the others."""

    items: list[AlertAnswer]
    firing: dict[str, int] = Field(description="How many fire, by rule.")
    left_out: dict[str, int] = Field(
        description="How many are not kept, by what has more than its part: `Site fra`, `Namespace shop`, `All`."
    )
    rules: list[RuleAnswer]


class AlertHistory(Answer):
    """Alerts that fire or did, the newest first."""

    items: list[AlertAnswer]
    before: float | None = Field(description="Ask with this `before` for older ones; null when there are none.")


class ProspectAnswer(Answer):
    """A group of alerts: who would be told of it, and when."""

    policy: str = Field(description="Key of the AlertPolicy.")
    labels: dict[str, str] = Field(description="What its alerts have in common.")
    receivers: list[str] = Field(description="Keys of the AlertReceivers.")
    due: float | None = Field(description="When it is told, seconds since 1970; null when there is nothing to tell.")
    reason: str = Field(description="`new`, `changed`, `repeat` or `told already`.")
    firing: list[AlertAnswer]
    resolved: list[AlertAnswer] = Field(description="Told as firing, and over.")


class DryRun(Answer):
    """What would be sent to whom now. Nothing was sent."""

    groups: list[ProspectAnswer]
    silenced: list[AlertAnswer] = Field(description="They fire, and nobody is told because of a silence.")
    unsent: list[AlertAnswer] = Field(description="They fire, and no policy sends them to anybody.")


def require_alerting(context: ApiContext) -> Alerting:
    """What looks for alerts."""
    if context.alerting is None:
        raise RequestRefused(503, "no-alerts", "This console looks for no alerts.")
    return context.alerting


@router.get("/alerts")
async def alerts(context: Context, caller: Caller) -> AlertList:
    """What needs attention."""
    alerting = require_alerting(context)
    found, silences = alerting.alerts.list(), list(alerting.notifier.silences.values())
    firing: dict[str, int] = {}
    for each in found:
        if each.state == "firing":
            firing[each.condition.rule] = firing.get(each.condition.rule, 0) + 1
    now = time.time()
    return AlertList(
        items=[answer_alert(each, silences, now) for each in found],
        firing=firing,
        left_out=dict(sorted(alerting.alerts.left_out.items())),
        rules=[
            RuleAnswer(name=rule.name, severity=rule.severity, summary=rule.summary, hold_seconds=rule.hold)
            for rule in RULES.values()
        ],
    )


@router.get("/alerts/history")
async def alert_history(
    context: Context,
    caller: Caller,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[float | None, Query(description="Begun before this time, seconds since 1970.")] = None,
    rule: Annotated[str, Query(description="Of this rule alone.")] = "",
    text: Annotated[str, Query(max_length=200, description="With this in subject or text.")] = "",
) -> AlertHistory:
    """Alerts that fire or did, for 30 days after their end, newest first."""
    found = await context.deployment.call(context.store.alert_history, limit + 1, before, rule, text)
    now = time.time()
    more = found[limit - 1].since if len(found) > limit else None
    return AlertHistory(items=[answer_alert(each, (), now) for each in found[:limit]], before=more)


@router.get("/alerts/dry-run")
async def alert_dry_run(context: Context, caller: Caller) -> DryRun:
    """Which alerts would be sent to whom, and when. Nothing is sent."""
    alerting = require_alerting(context)
    now, notifier = time.time(), alerting.notifier
    found, silences = alerting.alerts.list(), list(notifier.silences.values())
    prospects = [each for each in notifier.prospects(found, now) if each.notification.firing or each.due is not None]
    sent = {alert.id for each in prospects for alert in each.notification.firing}
    firing = [each for each in found if each.state == "firing"]
    silenced = [each for each in firing if find_silence(each.condition, silences, now) is not None]
    return DryRun(
        groups=[
            ProspectAnswer(
                policy=str(each.policy.key),
                labels=dict(each.notification.group.labels),
                receivers=[str(key) for key in each.receivers],
                due=each.due,
                reason=each.reason,
                firing=[answer_alert(alert, (), now) for alert in each.notification.firing],
                resolved=[answer_alert(alert, (), now) for alert in each.notification.resolved],
            )
            for each in prospects
        ],
        silenced=[answer_alert(each, silences, now) for each in silenced],
        unsent=[answer_alert(each, (), now) for each in firing if each.id not in sent and each not in silenced],
    )


def answer_alert(alert: Alert, silences: list[Silence] | tuple[()], now: float) -> AlertAnswer:
    """An alert as the API gives it."""
    condition = alert.condition
    silence = find_silence(condition, silences, now)
    return AlertAnswer(
        id=alert.id,
        rule=condition.rule,
        severity=condition.severity,
        subject=condition.subject,
        text=condition.text,
        site=condition.site,
        namespace=condition.namespace,
        object=condition.object,
        state=alert.state,
        since=alert.since,
        fired_at=alert.fired_at,
        resolved_at=alert.resolved_at,
        silence=silence.id if silence is not None else "",
    )
