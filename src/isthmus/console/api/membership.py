"""/tokens, /join, /sites/…/drain, /identities, /audit: who belongs, and who may ask."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from isthmus.console.api.answer import (
    ApplyAnswer,
    AuditInfo,
    AuditList,
    CertificateInfo,
    CertificateList,
    ErrorAnswer,
    JoinAnswer,
    JoinRequest,
    TokenAnswer,
    TokenInfo,
    TokenList,
    TokenRequest,
)
from isthmus.console.api.apply import answer_changes
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.error import RequestRefused
from isthmus.console.record import AuditEntry, emit_time
from isthmus.console.token import create_api_token
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.object import Object

router = APIRouter(tags=["membership"])
_JOIN_LIFETIME = timedelta(hours=1)
_LONGEST_JOIN_LIFETIME = timedelta(days=7)
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (403, 410, 422)}


@router.post("/tokens", status_code=201, responses={404: {"model": ErrorAnswer}})
async def create_token(body: TokenRequest, context: Context, caller: Caller) -> TokenAnswer:
    """A one-time token with which a declared site or region joins, or a token for the API."""
    lifetime = timedelta(seconds=body.ttl_seconds) if body.ttl_seconds is not None else None
    if body.role == "site" or body.role == "region":
        lifetime = lifetime or _JOIN_LIFETIME
        if lifetime > _LONGEST_JOIN_LIFETIME:
            raise RequestRefused(422, "invalid", "A join token is valid for 7 days (604800 seconds) at most.")
        token, expires = await context.membership.create_token(caller.name, body.role, body.name, lifetime)
        return TokenAnswer(token=token.encode(), expires=emit_time(expires))
    now = datetime.now(UTC)
    api_token, secret = create_api_token(body.role, body.name, now, lifetime)
    await context.deployment.call(context.store.add_api_token, api_token)
    context.tokens.add(api_token)
    await add_audit(context, caller.name, "api-token.created", f"{body.role} {body.name}")
    expires_at = emit_time(api_token.expires_at) if api_token.expires_at else None
    return TokenAnswer(token=secret, expires=expires_at, id=api_token.id)


@router.get("/tokens")
async def list_tokens(context: Context, caller: Caller) -> TokenList:
    """The API tokens, without their secrets."""
    return TokenList(
        items=[
            TokenInfo(
                id=token.id,
                role=token.role,
                name=token.name,
                created=emit_time(token.created_at),
                expires=emit_time(token.expires_at) if token.expires_at else None,
            )
            for token in context.tokens.list()
        ]
    )


@router.delete("/tokens/{token_id}", responses={404: {"model": ErrorAnswer}})
async def revoke_token(token_id: str, context: Context, caller: Caller) -> dict[str, str]:
    """Revoke an API token; it is refused from now on."""
    if not await context.deployment.call(context.store.remove_api_token, token_id):
        raise RequestRefused(404, "not-found", f"There is no API token {token_id}.")
    context.tokens.remove(token_id)
    await add_audit(context, caller.name, "api-token.revoked", token_id)
    return {"id": token_id}


async def add_audit(context: ApiContext, who: str, action: str, detail: str) -> None:
    """Record what was done or refused."""
    await context.deployment.call(context.store.add_audit, [AuditEntry(datetime.now(UTC), who, action, detail)])


@router.post("/join", responses=_ERRORS)
async def join(body: JoinRequest, request: Request, context: Context) -> JoinAnswer:
    """A new site or region joins with its one-time token. No bearer token is asked for."""
    peer = request.client.host if request.client else "unknown"
    answer = await context.membership.join(body.model_dump(), peer)
    host = context.stream_host or request.url.hostname or ""
    return JoinAnswer.model_validate({**answer, "console": {"address": host, "port": context.stream_port}})


@router.post("/sites/{name}/drain", responses={404: {"model": ErrorAnswer}})
async def drain(name: str, context: Context, caller: Caller) -> ApplyAnswer:
    """Other sites stop sending requests to a site; running ones finish."""
    return await _set_drained(context, caller, name, drained=True)


@router.post("/sites/{name}/undrain", responses={404: {"model": ErrorAnswer}})
async def undrain(name: str, context: Context, caller: Caller) -> ApplyAnswer:
    """Other sites send requests to a site again."""
    return await _set_drained(context, caller, name, drained=False)


async def _set_drained(context: ApiContext, caller: Caller, name: str, *, drained: bool) -> ApplyAnswer:
    def change(site: Object) -> Object:
        return site.model_copy(update={"spec": site.spec.model_copy(update={"drained": drained})})

    result = await context.deployment.update(caller.name, ObjectKey(DEFAULT_TENANT, "Site", "", name), change)
    return ApplyAnswer(revision=result.revision, dry_run=False, changes=answer_changes(result))


Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/identities")
async def identities(context: Context, caller: Caller, limit: Limit = 100) -> CertificateList:
    """The certificates of sites, regions and consoles that the authority signed, newest first."""
    found = await context.deployment.call(context.store.certificates, limit)
    return CertificateList(
        items=[
            CertificateInfo(
                serial=each.serial,
                uri=each.uri,
                reason=each.reason,
                issued=emit_time(each.issued_at),
                expires=emit_time(each.expires_at),
            )
            for each in found
        ]
    )


@router.get("/audit")
async def audit(context: Context, caller: Caller, limit: Limit = 100) -> AuditList:
    """What was done or refused beside changes of objects, newest first."""
    found = await context.deployment.call(context.store.audit, limit)
    return AuditList(
        items=[AuditInfo(at=emit_time(each.at), who=each.who, action=each.action, detail=each.detail) for each in found]
    )
