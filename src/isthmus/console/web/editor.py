"""Editing an object of any kind, as a form or as YAML: checked while it is typed, its difference shown before it is
applied. What is typed goes with every request; nothing half-done is kept on the server."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from isthmus.console.api.context import ApiContext
from isthmus.console.difference import document_of, emit_yaml
from isthmus.console.error import RequestRefused
from isthmus.console.record import Change
from isthmus.console.web import blank
from isthmus.console.web.form import Form
from isthmus.console.web.object import kind_of, record_of
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.shape import href
from isthmus.console.web.visit import Editor, Visit
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.document import decode_yaml, parse_documents
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import Object

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_MOST_SUGGESTIONS = 500


@dataclass(frozen=True, slots=True)
class Draft:
    """What is being edited.

    Attributes:
        key: the object that exists; None for a new one.
        style: `form` or `yaml`.
        text: as YAML.
        document: as a document; None when the text is none.
        revision: the revision that the edit was begun from; 0 for a new object.
        diagnostics: why the text is no document.
    """

    cls: type[Object]
    key: ObjectKey | None
    style: str
    text: str
    document: dict[str, Any] | None
    revision: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What applying a draft would do."""

    changes: tuple[Change, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    message: str = ""
    obj: Object | None = None
    good: bool = field(default=False)


@router.get("/objects/{plural}/new")
async def new(plural: str, visit: Editor) -> Response:
    """Make a new object."""
    cls = kind_of(plural)
    metadata = {"name": ""} if cls.tenant_wide else {"name": "", "namespace": visit.query("namespace", "default")}
    document = {"apiVersion": "isthmus/v1", "kind": cls.__name__, "metadata": metadata, "spec": {}}
    return _show(visit, Draft(cls, None, visit.query("as", "form"), emit_yaml(document), document))


@router.get("/objects/{plural}/{namespace}/{name}/edit")
async def edit(plural: str, namespace: str, name: str, visit: Editor) -> Response:
    """Edit an object."""
    record = record_of(visit.context, plural, namespace, name)
    document = document_of(record.object)
    style = visit.query("as", "form")
    return _show(
        visit,
        Draft(type(record.object), record.object.key, style, emit_yaml(document), document, record.revision),
    )


@router.post("/objects/{plural}/new")
async def post_new(plural: str, visit: Editor) -> Response:
    """A press of a button in the editor of a new object."""
    return await _act(visit, _read(visit.form, kind_of(plural), None))


@router.post("/objects/{plural}/{namespace}/{name}/edit")
async def post_edit(plural: str, namespace: str, name: str, visit: Editor) -> Response:
    """A press of a button in the editor."""
    record = record_of(visit.context, plural, namespace, name)
    return await _act(visit, _read(visit.form, type(record.object), record.object.key))


@router.post("/objects/{plural}/check")
async def check(plural: str, visit: Editor) -> Response:
    """What applying would do, for the panel beside the editor."""
    cls, name = kind_of(plural), visit.form.get("editing")
    key = ObjectKey(DEFAULT_TENANT, cls.__name__, *name.split("/", 1)) if "/" in name else None
    verdict = await judge(visit, _read(visit.form, cls, key))
    return show(visit, "check.html", title="Check", verdict=verdict)


async def _act(visit: Visit, draft: Draft) -> Response:
    action = visit.form.get("do", "review")
    if action == "apply":
        return await _apply(visit, draft)
    if action in ("form", "yaml"):
        style = action if not draft.diagnostics else draft.style
        return _show(
            visit, Draft(draft.cls, draft.key, style, draft.text, draft.document, draft.revision, draft.diagnostics)
        )
    if action == "back" or ":" in action:
        return _show(visit, draft)
    verdict = await judge(visit, draft)
    if not verdict.good:
        return _show(visit, draft, verdict, 422)
    return show(
        visit, "review.html", title="Review", draft=draft, verdict=verdict, key=verdict.obj.key if verdict.obj else None
    )


async def _apply(visit: Visit, draft: Draft) -> Response:
    verdict = await judge(visit, draft, dry_run=False)
    if not verdict.good or verdict.obj is None:
        return _show(visit, draft, verdict, 422)
    revision = visit.context.deployment.revision
    text = f"Applied as revision {revision}." if verdict.changes else "Nothing was to be changed."
    return go(f"{href(verdict.obj.key)}?{urlencode({'done': text})}")


def _read(form: Form, cls: type[Object], key: ObjectKey | None) -> Draft:
    """The draft that a request carries."""
    style = "yaml" if form.get("as") == "yaml" else "form"
    revision = int(form.get("revision")) if form.get("revision").isdigit() else 0
    if style == "form":
        action = form.get("do")
        if ":" in action:
            form = blank.change(form, action)
        base: dict[str, Any] = {"metadata": {}}
        if key is not None:
            base["metadata"] = {"name": key.name, **({"namespace": key.namespace} if key.namespace else {})}
        kept = decode_yaml(form.get("kept")) if form.get("kept") else []
        if isinstance(kept, list) and kept and isinstance(kept[0], dict):
            base["metadata"]["annotations"] = kept[0]
        document = blank.read(cls.__name__, form, base)
        return Draft(cls, key, style, emit_yaml(document), document, revision)
    text = form.get("text")
    decoded = decode_yaml(text)
    if isinstance(decoded, Diagnostic):
        return Draft(cls, key, style, text, None, revision, (decoded,))
    documents = [each for each in decoded if each is not None]
    if len(documents) != 1 or not isinstance(documents[0], dict):
        found = Diagnostic(
            "invalid-document", None, "", "the text must be one document", "for several use isthmus apply"
        )
        return Draft(cls, key, style, text, None, revision, (found,))
    return Draft(cls, key, style, text, documents[0], revision)


async def judge(visit: Visit, draft: Draft, *, dry_run: bool = True) -> Verdict:
    """What applying a draft would do, or with `dry_run=False` what it did."""
    if draft.document is None:
        return Verdict(diagnostics=draft.diagnostics, message="This is no document yet.")
    parsed = parse_documents([draft.document])
    if parsed.diagnostics:
        return Verdict(diagnostics=parsed.diagnostics, message="The document has errors.")
    obj = parsed.objects[0]
    if draft.key is not None and obj.key != draft.key:
        found = Diagnostic(
            "wrong-object", obj.key, "metadata.name", f"this page edits {draft.key.title}", "make a new object instead"
        )
        return Verdict(diagnostics=(found,), message="The document is another object.")

    def exists() -> None:
        if draft.key is None and obj.key in visit.context.deployment.records:
            raise RequestRefused(409, "exists", f"{obj.key.title} exists already; edit it instead.")

    expected = {obj.key: draft.revision} if draft.revision else None
    try:
        result = await visit.context.deployment.edit(
            visit.caller.name, [obj], dry_run=dry_run, expected=expected, check=exists
        )
    except RequestRefused as refused:
        return Verdict(diagnostics=refused.diagnostics, message=refused.message)
    return Verdict(result.edit.changes, obj=obj, good=True)


def _show(visit: Visit, draft: Draft, verdict: Verdict | None = None, status: int = 200) -> Response:
    style = "yaml" if draft.style == "yaml" or draft.document is None else "form"
    fits = draft.document is not None and fits_form(draft)
    if style == "form" and not fits:
        style = "yaml"
    new = draft.key is None
    fields = blank.draw(draft.cls.__name__, draft.document, new=new) if style == "form" and draft.document else ()
    kept = (draft.document or {}).get("metadata") or {}
    return show(
        visit,
        "editor.html",
        status=status,
        title=f"New {draft.cls.__name__}" if new else f"Edit {draft.key.path}",  # type: ignore[union-attr]
        draft=draft,
        style=style,
        fits=fits,
        fields=fields,
        kept=emit_yaml(kept["annotations"]) if isinstance(kept, dict) and kept.get("annotations") else "",
        verdict=verdict,
        suggestions=_suggestions(visit.context, draft),
    )


def fits_form(draft: Draft) -> bool:
    """Whether the form would give the same object back, so that it may be edited as one."""
    assert draft.document is not None
    fields = blank.draw(draft.cls.__name__, draft.document, new=True)
    again = blank.read(draft.cls.__name__, Form(list(blank.sent(fields))), draft.document)
    before, after = parse_documents([draft.document]), parse_documents([again])
    return bool(before.diagnostics) or before.objects == after.objects


def _suggestions(context: ApiContext, draft: Draft) -> dict[str, list[str]]:
    """Names that fields may hold, by kind: of the same namespace by name alone, of `shared` with it."""
    metadata = (draft.document or {}).get("metadata") or {}
    namespace = metadata.get("namespace", "default") if isinstance(metadata, dict) else "default"
    found: dict[str, list[str]] = {name: [] for name in PUBLIC_KINDS}
    for key in context.deployment.records:
        if key.kind in found and key.namespace in ("", namespace, "shared"):
            name = key.name if key.namespace in ("", namespace) else key.path
            if len(found[key.kind]) < _MOST_SUGGESTIONS:
                found[key.kind].append(name)
    found["Namespace"] = sorted({"default", "shared", *found["Namespace"]})
    return {kind: sorted(names) for kind, names in found.items()}
