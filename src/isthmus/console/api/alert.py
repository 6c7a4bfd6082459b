"""/alerts: what is wrong now, what was until lately, and what is looked for."""

from fastapi import APIRouter
from pydantic import Field

from isthmus.console.api.answer import Answer
from isthmus.console.api.context import Caller, Context
from isthmus.telemetry.alert import RULES, Alert

router = APIRouter(tags=["alerts"])


class AlertAnswer(Answer):
    """One condition that should not hold. Times are seconds since 1970."""

    rule: str
    severity: str = Field(description="`critical` or `warning`.")
    subject: str = Field(description="What it is about: `Site fra`.")
    text: str
    state: str = Field(
        description="`pending`: not for long enough yet. `firing`. `resolved`: no longer, shown for an hour."
    )
    since: float
    fired_at: float | None
    resolved_at: float | None


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
    rules: list[RuleAnswer]


@router.get("/alerts")
async def alerts(context: Context, caller: Caller) -> AlertList:
    """What needs attention."""
    found = context.alerting.alerts.list() if context.alerting is not None else []
    firing: dict[str, int] = {}
    for each in found:
        if each.state == "firing":
            firing[each.condition.rule] = firing.get(each.condition.rule, 0) + 1
    return AlertList(
        items=[_answer(each) for each in found],
        firing=firing,
        rules=[
            RuleAnswer(name=rule.name, severity=rule.severity, summary=rule.summary, hold_seconds=rule.hold)
            for rule in RULES.values()
        ],
    )


def _answer(alert: Alert) -> AlertAnswer:
    condition = alert.condition
    return AlertAnswer(
        rule=condition.rule,
        severity=RULES[condition.rule].severity,
        subject=condition.subject,
        text=condition.text,
        state=alert.state,
        since=alert.since,
        fired_at=alert.fired_at,
        resolved_at=alert.resolved_at,
    )
