"""/apply, /revisions: sets of changes, and their history."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from isthmus.console.api.answer import (
    ApplyAnswer,
    ApplyRequest,
    ChangeAnswer,
    ErrorAnswer,
    RevisionAnswer,
    RevisionList,
)
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.deployment import EditResult
from isthmus.console.error import RequestRefused
from isthmus.console.record import ApiToken, emit_time
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.document import Parsed, parse_documents
from isthmus.model.key import DEFAULT_TENANT, ObjectKey, parse_key
from isthmus.model.kind import PUBLIC_KINDS

router = APIRouter(tags=["changes"])
_MANY_DOCUMENTS = 200
_BY_REFERENCE = ("dangling-reference", "foreign-namespace", "unknown-namespace")


@router.post(
    "/apply", responses={409: {"model": ErrorAnswer}, 412: {"model": ErrorAnswer}, 422: {"model": ErrorAnswer}}
)
async def apply(body: ApplyRequest, context: Context, caller: Caller) -> ApplyAnswer:
    """Create or update a set of objects, all or nothing; with `dryRun` only say what would change."""
    if len(body.documents) > _MANY_DOCUMENTS:
        parsed = await asyncio.to_thread(parse_documents, body.documents)
    else:
        parsed = parse_documents(body.documents)
    deleted = [_parse_key(text) for text in body.delete]
    if parsed.diagnostics:
        found = [*parsed.diagnostics, *await _further_errors(context, caller, parsed, deleted)]
        count = f"{len(found)} error" + ("s" if len(found) > 1 else "")
        raise RequestRefused(422, "invalid", f"The documents have {count}; nothing was stored.", found)
    result = await context.deployment.edit(
        caller.name, parsed.objects, deleted, dry_run=body.dry_run, expected=_revisions(body.documents)
    )
    return ApplyAnswer(revision=result.revision, dry_run=body.dry_run, changes=answer_changes(result))


async def _further_errors(
    context: ApiContext, caller: ApiToken, parsed: Parsed, deleted: list[ObjectKey]
) -> list[Diagnostic]:
    """What would be wrong between objects if every one were valid by itself, so that all is said at once. Of those that
    are not, only what they refer to counts."""
    invalid = {each.object for each in parsed.diagnostics}
    known = {obj.key for obj in parsed.objects}
    partial = [obj for obj in parsed.partial if obj.key not in known]
    try:
        await context.deployment.edit(caller.name, [*parsed.objects, *partial], deleted, dry_run=True)
    except RequestRefused as refused:
        return [
            each
            for each in refused.diagnostics
            if each.missing not in invalid and (each.object not in invalid or each.code in _BY_REFERENCE)
        ]
    return []


def _revisions(documents: list[Any]) -> dict[ObjectKey, int]:
    """The revisions in documents that were read from here before: edits of them are of those revisions."""
    found: dict[ObjectKey, int] = {}
    for document in documents:
        if not isinstance(document, dict):
            continue
        if document.get("kind") == "List" and isinstance(document.get("items"), list):
            found |= _revisions(document["items"])
            continue
        cls, metadata = PUBLIC_KINDS.get(str(document.get("kind"))), document.get("metadata")
        if cls is None or not isinstance(metadata, dict) or not isinstance(metadata.get("revision"), int):
            continue
        namespace = "" if cls.tenant_wide else str(metadata.get("namespace") or "default")
        key = ObjectKey(DEFAULT_TENANT, cls.__name__, namespace, str(metadata.get("name")))
        found[key] = metadata["revision"]
    return found


def _parse_key(text: str) -> ObjectKey:
    try:
        return parse_key(text)
    except ValueError as error:
        raise RequestRefused(422, "invalid", f"{error}.") from None


def answer_changes(result: EditResult) -> list[ChangeAnswer]:
    """What an edit did to each object."""
    edit = result.edit
    changed = [ChangeAnswer(key=str(each.key), action=each.action, diff=each.diff) for each in edit.changes]
    return changed + [ChangeAnswer(key=str(key), action="unchanged") for key in edit.unchanged]


@router.get("/revisions")
async def revisions(
    context: Context,
    caller: Caller,
    key: str | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: int | None = None,
) -> RevisionList:
    """Past revisions, newest first: of one object or of all."""
    found = await context.deployment.call(context.store.revisions, key, limit, before)
    return RevisionList(
        items=[
            RevisionAnswer(
                revision=each.revision,
                at=emit_time(each.at),
                who=each.who,
                changes=[
                    ChangeAnswer.model_validate({"key": c.key, "action": c.action, "diff": c.diff})
                    for c in each.changes
                ],
            )
            for each in found
        ]
    )
