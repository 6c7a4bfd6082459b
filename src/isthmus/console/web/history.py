"""The past of an object: every revision that changed it, and the way back.

The store keeps of each change the difference that people read. A past form is made by taking the newer differences
back, newest first; each must fit exactly, so what comes out is what was there, or a refusal.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from isthmus.console.api.context import ApiContext
from isthmus.console.difference import diff_of, document_of, emit_yaml
from isthmus.console.error import RequestRefused
from isthmus.console.record import Revision
from isthmus.console.web.object import kind_of
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.shape import href
from isthmus.console.web.visit import Editor, Reader
from isthmus.model.document import parse_yaml
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.object import Object

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_SHOWN = 100
_MOST = 10_000
_HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


class HistoryBroken(Exception):
    """A difference does not fit: the object was written by a release that words it otherwise."""


def take_back(text: list[str], diff: str) -> list[str]:
    """The lines before a change, from the lines after it and the change's unified difference.

    Raises:
        HistoryBroken: the difference is of another text.
    """
    lines = diff.splitlines()[2:]
    found: list[str] = []
    position = index = 0
    while index < len(lines):
        hunk = _HUNK.match(lines[index])
        if hunk is None:
            raise HistoryBroken("a line of the difference is none")
        start = int(hunk[3]) - 1 if hunk[4] != "0" else int(hunk[3])
        found += text[position:start]
        position = start
        index += 1
        while index < len(lines) and not lines[index].startswith("@@"):
            sign, line = lines[index][:1], lines[index][1:]
            index += 1
            if sign == "-":
                found.append(line)
                continue
            if position >= len(text) or text[position] != line:
                raise HistoryBroken(f"line {position + 1} is not {line!r}")
            position += 1
            if sign == " ":
                found.append(line)
    return found + text[position:]


def past_text(current: Object | None, revisions: Iterable[Revision], wanted: int) -> str:
    """The YAML of an object as it was after revision `wanted`; empty when it did not exist then.

    `revisions` are those that changed the object, newest first.

    Raises:
        HistoryBroken: the way back does not fit.
    """
    text = emit_yaml(document_of(current)).splitlines() if current is not None else []
    for revision in revisions:
        if revision.revision <= wanted:
            break
        for change in revision.changes:
            text = take_back(text, change.diff)
    return "".join(f"{line}\n" for line in text)


def _key(plural: str, namespace: str, name: str) -> ObjectKey:
    return ObjectKey(DEFAULT_TENANT, kind_of(plural).__name__, "" if namespace == "-" else namespace, name)


@router.get("/objects/{plural}/{namespace}/{name}/history")
async def history(plural: str, namespace: str, name: str, visit: Reader) -> Response:
    """Every revision that changed an object, deleted ones included."""
    context, key = visit.context, _key(plural, namespace, name)
    found = await context.deployment.call(context.store.revisions, str(key), _SHOWN, None)
    if not found:
        raise RequestRefused(404, "not-found", f"{key.title} does not exist, and never did.")
    record = context.deployment.records.get(key)
    return show(visit, "history.html", title=f"History of {key.path}", key=key, record=record, revisions=found)


@router.get("/objects/{plural}/{namespace}/{name}/history/{number}")
async def past(plural: str, namespace: str, name: str, number: int, visit: Reader) -> Response:
    """An object as it was after a revision, and what reverting to it would change."""
    context, key = visit.context, _key(plural, namespace, name)
    text = await _past(context, key, number)
    record = context.deployment.records.get(key)
    old = _parse(key, text)
    return show(
        visit,
        "past.html",
        title=f"{key.path} at revision {number}",
        key=key,
        number=number,
        text=text,
        difference=diff_of(record.object if record else None, old),
    )


@router.post("/objects/{plural}/{namespace}/{name}/history/{number}/revert")
async def revert(plural: str, namespace: str, name: str, number: int, visit: Editor) -> Response:
    """Make an object what it was after a revision. What it was before stays in its history."""
    context, key = visit.context, _key(plural, namespace, name)
    old = _parse(key, await _past(context, key, number))
    if old is None and key not in context.deployment.records:
        return go(f"/objects/{plural}")
    result = await context.deployment.edit(visit.caller.name, [old] if old else (), () if old else [key])
    if not result.edit.changes:
        text = f"{key.title} is as it was at revision {number} already."
    else:
        text = f"{key.title} is as it was at revision {number} again, in revision {result.revision}."
    target = href(key) if old is not None else f"/objects/{plural}"
    return go(f"{target}?{urlencode({'done': text})}")


async def _past(context: ApiContext, key: ObjectKey, number: int) -> str:
    record = context.deployment.records.get(key)
    found = await context.deployment.call(context.store.revisions, str(key), _MOST, None)
    try:
        return past_text(record.object if record else None, found, number)
    except HistoryBroken as error:
        message = f"{key.title} cannot be made again as it was at revision {number}: {error}."
        raise RequestRefused(409, "history-broken", message) from error


def _parse(key: ObjectKey, text: str) -> Object | None:
    """The object of a past text."""
    if not text:
        return None
    parsed = parse_yaml(text)
    if parsed.diagnostics or len(parsed.objects) != 1:
        message = f"{key.title} was written for another release, and this one does not take it."
        raise RequestRefused(422, "invalid", message, parsed.diagnostics)
    return parsed.objects[0]
