"""Events, changes and audit: what happened, who changed what, and who came in."""

import time
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from isthmus.console.error import RequestRefused
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.visit import Reader

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_PAGE = 50
_SHOWN = 50
"""Changes of a revision whose differences are shown."""
_LEVELS = ("bad", "warn", "good", "info")


@router.get("/events")
async def events(visit: Reader) -> Response:
    """What the console noticed, newest first."""
    level = visit.query("level") if visit.query("level") in _LEVELS else ""
    before = _number(visit.query("before"))
    subject, text = visit.query("subject"), visit.query("q")[:200]
    assert visit.context.events is not None
    found = await visit.context.events.page(_PAGE + 1, before, subject, level, text)
    older = ""
    if len(found) > _PAGE:
        given = {"subject": subject, "level": level, "q": text, "before": str(found[_PAGE - 1].number)}
        older = f"/events?{urlencode({name: value for name, value in given.items() if value})}"
    return show(
        visit, "events.html", title="Events", items=found[:_PAGE], older=older, before=before, level=level,
        total=visit.context.watch.number, now=time.time(),
    )  # fmt: skip


@router.get("/events/revisions")
async def revisions(visit: Reader) -> Response:
    """Every revision, newest first."""
    text, before = visit.query("key"), _number(visit.query("before"))
    store = visit.context.store
    found = await visit.context.deployment.call(store.revision_lines, text or None, _PAGE + 1, before)
    more = found[_PAGE - 1].revision if len(found) > _PAGE else None
    older = f"/events/revisions?{urlencode({**({'key': text} if text else {}), 'before': more})}" if more else ""
    return show(visit, "revisions.html", title="Changes", lines=found[:_PAGE], older=older, key=text, before=before)


@router.get("/events/revisions/{number}")
async def revision(number: int, visit: Reader) -> Response:
    """One revision with every difference."""
    found = await visit.context.deployment.call(visit.context.store.revision, number, _SHOWN)
    if found is None:
        raise RequestRefused(404, "not-found", f"There is no revision {number}.")
    shown, total = found
    newest = visit.context.deployment.revision
    title = f"Revision {number}"
    return show(visit, "revision.html", title=title, revision=shown, total=total, newest=newest)


@router.get("/events/audit")
async def audit(visit: Reader) -> Response:
    """Who came in, joined, or was refused."""
    text, before = visit.query("q")[:200], _number(visit.query("before"))
    found = await visit.context.deployment.call(visit.context.store.audit, _PAGE + 1, before, text)
    older = ""
    if len(found) > _PAGE:
        older = f"/events/audit?{urlencode({**({'q': text} if text else {}), 'before': found[_PAGE - 1].number})}"
    return show(visit, "audit.html", title="Audit", items=found[:_PAGE], older=older, before=before)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None
