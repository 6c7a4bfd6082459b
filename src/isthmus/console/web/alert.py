"""Alerts: what fires and what did, what is silent, and who is told."""

import time
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from pydantic import ValidationError

from isthmus.alert.alert import RULES
from isthmus.alert.silence import LABELS
from isthmus.console.api import alert as api_alert
from isthmus.console.api import receiver as api_receiver
from isthmus.console.api import silence as api_silence
from isthmus.console.error import RequestRefused
from isthmus.console.web import shape
from isthmus.console.web.listing import matching, page_of
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.visit import Editor, Reader, Visit
from isthmus.model.value import milliseconds

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PAGE = 50
_STATES = (("firing", "Firing"), ("pending", "Pending"), ("resolved", "Resolved"))
_SPANS = (("30m", "30 minutes"), ("2h", "2 hours"), ("8h", "8 hours"), ("24h", "1 day"), ("168h", "1 week"))


@router.get("/alerts")
async def alerts(visit: Reader) -> Response:
    """What is wrong now, and what was until an hour ago."""
    answer = await api_alert.alerts(visit.context, visit.caller)
    state, severity = visit.query("state"), visit.query("severity")
    found = [
        each
        for each in answer.items
        if (not state or each.state == state) and (not severity or each.severity == severity)
    ]
    found = matching(found, visit.query("q"), lambda each: f"{each.rule} {each.subject} {each.text} {each.site}")
    return show(
        visit, "alerts.html", title="Alerts", page=page_of(visit, found), states=_STATES, rules=answer.rules,
        total=len(answer.items), left_out=answer.left_out, firing=sum(answer.firing.values()), silence_url=silence_url,
    )  # fmt: skip


def silence_url(alert: api_alert.AlertAnswer) -> str:
    """The form for a silence of just this alert."""
    matchers = f"alertname={alert.rule}\nsubject={alert.subject}"
    return f"/alerts/silences?{urlencode({'matchers': matchers})}#new"


@router.get("/alerts/history")
async def history(visit: Reader) -> Response:
    """What fired in the last 30 days."""
    rule, text = visit.query("rule") if visit.query("rule") in RULES else "", visit.query("q")[:200]
    before = _seconds(visit.query("before"))
    found = await api_alert.alert_history(visit.context, visit.caller, limit=_PAGE, before=before, rule=rule, text=text)
    older = ""
    if found.before is not None:
        given = {"rule": rule, "q": text, "before": repr(found.before)}
        older = f"/alerts/history?{urlencode({name: value for name, value in given.items() if value})}"
    return show(
        visit, "alert_history.html", title="Alerts of the past", items=found.items, older=older, before=before,
        rule=rule, rules=tuple(RULES),
    )  # fmt: skip


def _seconds(text: str) -> float | None:
    try:
        return float(text) if len(text) < 40 else None
    except ValueError:
        return None


@router.get("/alerts/silences")
async def silences(visit: Reader) -> Response:
    """What nobody is told of."""
    return await _show_silences(visit, {"matchers": visit.query("matchers"), "for": "2h", "comment": ""})


async def _show_silences(visit: Visit, form: dict[str, str], *, problem: str = "", status: int = 200) -> Response:
    found = await api_silence.list_silences(visit.context, visit.caller)
    return show(
        visit, "silences.html", status=status, title="Silences", items=found.items, labels=LABELS, spans=_SPANS,
        form=form, problem=problem, now=time.time(),
    )  # fmt: skip


@router.post("/alerts/silences")
async def create_silence(visit: Editor) -> Response:
    """A new silence."""
    form = {name: visit.form.get(name) for name in ("matchers", "for", "comment")}
    try:
        body = api_silence.SilenceRequest(
            matchers=[line.strip() for line in form["matchers"].splitlines() if line.strip()],
            duration_seconds=milliseconds(form["for"]) / 1000,
            comment=form["comment"],
        )
        await api_silence.create_silence(body, visit.context, visit.caller)
    except (ValidationError, ValueError):
        problem = "A silence needs at least one matcher, a length of time, and a comment that says why."
        return await _show_silences(visit, form, problem=problem, status=422)
    except RequestRefused as refused:
        return await _show_silences(visit, form, problem=refused.message, status=refused.status)
    return _done("/alerts/silences", f"Nobody is told of {', '.join(body.matchers)} for {form['for']}.")


@router.post("/alerts/silences/{silence_id}/expire")
async def expire_silence(silence_id: str, visit: Editor) -> Response:
    """End a silence."""
    await api_silence.expire_silence(silence_id, visit.context, visit.caller)
    return _done("/alerts/silences", "The silence has ended.")


@router.get("/alerts/receivers")
async def receivers(visit: Reader) -> Response:
    """Who is told, and what became of it."""
    found = await api_receiver.receivers(visit.context, visit.caller)
    sent = await api_receiver.deliveries(visit.context, visit.caller, limit=_PAGE, receiver="")
    run = await api_alert.alert_dry_run(visit.context, visit.caller)
    return show(
        visit, "receivers.html", title="Receivers of alerts", items=found.items, deliveries=sent.items, run=run,
        now=time.time(), failed=visit.query("failed"),
    )  # fmt: skip


@router.post("/alerts/receivers/{namespace}/{name}/test")
async def test_receiver(namespace: str, name: str, visit: Editor) -> Response:
    """Send a receiver a test."""
    made = await api_receiver.test_receiver(namespace, name, visit.context, visit.caller)
    text = f"{shape.title(made.receiver)}: {made.detail}"
    if made.state != "delivered":
        return go(f"/alerts/receivers?{urlencode({'failed': text})}")
    return _done("/alerts/receivers", f"The test was taken. {text}")


def _done(path: str, text: str) -> Response:
    parameters: dict[str, Any] = {"done": text}
    return go(f"{path}?{urlencode(parameters)}")
