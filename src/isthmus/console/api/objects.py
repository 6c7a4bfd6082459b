"""The paths of objects, one set per kind."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Header, Query, Response

from isthmus.console.acme.due import renewal_time
from isthmus.console.api.answer import ErrorAnswer, answer_diagnostic
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.api.status import object_status
from isthmus.console.difference import document_of
from isthmus.console.error import RequestRefused
from isthmus.console.record import StoredObject, emit_time
from isthmus.model.certificate import Certificate
from isthmus.model.document import parse_documents
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import Object
from isthmus.model.pem import certificate_expiry, certificate_names

router = APIRouter(tags=["objects"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (404, 409, 412, 422)}
Document = dict[str, Any]
IfMatch = Annotated[str | None, Header(description="The revision that the object must still have.")]


def _answer(context: ApiContext, record: StoredObject) -> Document:
    """An object as `get` gives it: it can be applied again as it is."""
    document = document_of(record.object)
    document["metadata"] |= {
        "revision": record.revision,
        "created": emit_time(record.created_at),
        "updated": emit_time(record.updated_at),
    }
    document["system"] = record.object.system.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"acme"}
    )
    standing = context.deployment.validation.of(record.object.key)
    document["status"] = {"diagnostics": [answer_diagnostic(each).model_dump(by_alias=True) for each in standing]}
    if isinstance(record.object, Certificate):
        document["status"] |= _certificate_status(context, record.object)
    return document


def _certificate_status(context: ApiContext, certificate: Certificate) -> Document:
    found: Document = {}
    if certificate.chain is not None:
        expires = emit_time(certificate_expiry(certificate.chain))
        found["certificate"] = {"names": list(certificate_names(certificate.chain)), "expires": expires}
    if certificate.spec.acme is None or context.acme is None:
        return found
    standing, renewal = context.acme.standing(certificate.key), renewal_time(certificate)
    told = {
        "state": "pending" if certificate.pending else "issued",
        "renewal": emit_time(renewal) if renewal is not None else None,
        "activity": standing.activity,
        "failures": standing.failures,
        "lastError": standing.error,
        "lastErrorAt": emit_time(standing.failed_at) if standing.failed_at is not None else None,
        "nextAttempt": emit_time(standing.next_attempt) if standing.next_attempt is not None else None,
        "offlineSites": list(standing.offline),
    }
    found["acme"] = {name: value for name, value in told.items() if value}
    return found


def _require(context: ApiContext, key: ObjectKey) -> StoredObject:
    record = context.deployment.records.get(key)
    if record is None:
        raise context.deployment.missing(key)
    return record


def _parse(document: Document, cls: type[Object], namespace: str, name: str | None) -> Object:
    """The object of a body; kind, namespace and name may be left out where the path says them."""
    metadata = document.get("metadata")
    metadata = dict(metadata) if isinstance(metadata, dict) else {}
    if not cls.tenant_wide:
        metadata.setdefault("namespace", namespace)
    if name is not None:
        metadata.setdefault("name", name)
    whole = {"apiVersion": "isthmus/v1", "kind": cls.__name__, **document, "metadata": metadata}
    parsed = parse_documents([whole])
    if parsed.diagnostics:
        raise RequestRefused(422, "invalid", "The document has errors; nothing was stored.", parsed.diagnostics)
    obj = parsed.objects[0]
    expected = ObjectKey(DEFAULT_TENANT, cls.__name__, namespace, name if name is not None else obj.metadata.name)
    if obj.key != expected:
        raise RequestRefused(422, "wrong-path", f"The body is {obj.key.title}, the path says {expected.title}.")
    return obj


def _check_revision(context: ApiContext, key: ObjectKey, if_match: str | None) -> None:
    if if_match is None or if_match == "*":
        return
    record = context.deployment.records.get(key) or context.deployment.unreadable.get(key)
    if record is None:
        raise context.deployment.missing(key)
    wanted = if_match.removeprefix("W/").strip('"')
    if wanted != str(record.revision):
        raise RequestRefused(
            412, "revision-mismatch", f"{key.title} is at revision {record.revision} now, not {wanted}: read it again."
        )


async def _put(
    context: ApiContext, caller: Caller, response: Response, obj: Object, if_match: str | None, *, must_be_new: bool
) -> Document:
    def check() -> None:
        if must_be_new and (obj.key in context.deployment.records or obj.key in context.deployment.unreadable):
            raise RequestRefused(409, "exists", f"{obj.key.title} exists already.")
        _check_revision(context, obj.key, if_match)

    result = await context.deployment.edit(caller.name, [obj], check=check)
    record = _require(context, obj.key)
    created = any(change.action == "created" for change in result.edit.changes)
    response.status_code = 201 if created else 200
    response.headers["ETag"] = f'"{record.revision}"'
    return _answer(context, record)


def _list(context: ApiContext, cls: type[Object], namespace: str | None, limit: int, after: str | None) -> Document:
    records = list(context.deployment.of_kind(cls.__name__, DEFAULT_TENANT, namespace))
    if after is not None:
        records = [record for record in records if record.object.key.path > after]
    page = records[:limit]
    more = page[-1].object.key.path if len(records) > limit else None
    return {
        "apiVersion": "isthmus/v1",
        "kind": "List",
        "items": [_answer(context, record) for record in page],
        "continue": more,
    }


Limit = Annotated[int, Query(ge=1, le=100_000, description="Objects at most; `continue` names the place to go on.")]
Continue = Annotated[str | None, Query(alias="continue")]


def _no_namespace() -> str:
    return ""


def _namespace(namespace: str) -> str:
    return namespace


def _add_kind(cls: type[Object]) -> None:
    """The paths of one kind. Tenant-wide kinds have no namespace; the others can be listed over all namespaces."""
    base = f"/{cls.plural}" if cls.tenant_wide else f"/namespaces/{{namespace}}/{cls.plural}"
    title = cls.__name__
    at = Depends(_no_namespace if cls.tenant_wide else _namespace)

    def add(path: str, method: str, verb: str, endpoint: Callable[..., Any], status: int = 200) -> None:
        router.add_api_route(
            path, endpoint, methods=[method], name=f"{verb} {title}", status_code=status, responses=_ERRORS
        )

    async def list_all(context: Context, caller: Caller, limit: Limit = 100_000, after: Continue = None) -> Document:
        return _list(context, cls, None, limit, after)

    async def list_in(
        context: Context, caller: Caller, namespace: str = at, limit: Limit = 100_000, after: Continue = None
    ) -> Document:
        return _list(context, cls, namespace, limit, after)

    async def create(
        context: Context, caller: Caller, response: Response, body: Annotated[Document, Body()], namespace: str = at
    ) -> Document:
        obj = _parse(body, cls, namespace, None)
        return await _put(context, caller, response, obj, None, must_be_new=True)

    async def read(context: Context, caller: Caller, response: Response, name: str, namespace: str = at) -> Document:
        record = _require(context, ObjectKey(DEFAULT_TENANT, title, namespace, name))
        response.headers["ETag"] = f'"{record.revision}"'
        document = _answer(context, record)
        document["status"]["sites"] = object_status(context, record).model_dump(by_alias=True)["sites"]
        return document

    async def put(
        context: Context,
        caller: Caller,
        response: Response,
        name: str,
        body: Annotated[Document, Body()],
        namespace: str = at,
        if_match: IfMatch = None,
    ) -> Document:
        obj = _parse(body, cls, namespace, name)
        return await _put(context, caller, response, obj, if_match or _revision_of(body), must_be_new=False)

    async def delete(
        context: Context, caller: Caller, name: str, namespace: str = at, if_match: IfMatch = None
    ) -> Document:
        key = ObjectKey(DEFAULT_TENANT, title, namespace, name)
        result = await context.deployment.edit(
            caller.name, (), [key], check=lambda: _check_revision(context, key, if_match)
        )
        return {"key": str(key), "revision": result.revision}

    add(f"/{cls.plural}", "GET", "list", list_all)
    if not cls.tenant_wide:
        add(base, "GET", "list in a namespace", list_in)
    add(base, "POST", "create", create, 201)
    add(f"{base}/{{name}}", "GET", "read", read)
    add(f"{base}/{{name}}", "PUT", "put", put)
    add(f"{base}/{{name}}", "DELETE", "delete", delete)


def _revision_of(document: Document) -> str | None:
    """The revision in a document that was read before: an edit of it is of that revision."""
    metadata = document.get("metadata")
    revision = metadata.get("revision") if isinstance(metadata, dict) else None
    return str(revision) if revision is not None else None


for _cls in PUBLIC_KINDS.values():
    _add_kind(_cls)
