"""Settings: API tokens and users."""

from datetime import timedelta
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from pydantic import ValidationError

from isthmus.console.api import account as api_account
from isthmus.console.api import membership as api_membership
from isthmus.console.api.answer import AccountRequest, PasswordRequest, TokenRequest
from isthmus.console.error import RequestRefused
from isthmus.console.session import SHORTEST_PASSWORD, account_name
from isthmus.console.web.page import PageRoute, go, show
from isthmus.console.web.signal import read_signals
from isthmus.console.web.visit import Editor, Reader, Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_DAYS = {"": None, "1": 1, "30": 30, "90": 90, "365": 365}


@router.get("/settings")
async def settings(visit: Reader) -> Response:
    """Tokens and users."""
    return _show(visit)


def _show(visit: Visit, *, token: str = "", token_name: str = "", problem: str = "", status: int = 200) -> Response:
    return show(
        visit,
        "settings.html",
        status=status,
        title="Settings",
        tokens=visit.context.tokens.list(),
        accounts=visit.context.sessions.accounts(),
        token=token,
        token_name=token_name,
        problem=problem,
        own=account_name(visit.caller),
        shortest=SHORTEST_PASSWORD,
        signals=read_signals({"otlp": exporter.status()}) if (exporter := visit.context.exporter) else [],
    )


def _done(text: str) -> Response:
    return go(f"/settings?{urlencode({'done': text})}")


@router.post("/settings/tokens")
async def create_token(visit: Editor) -> Response:
    """A new API token, shown this once."""
    form = visit.form
    days = _DAYS.get(form.get("days"))
    seconds = int(timedelta(days=days).total_seconds()) if days else None
    try:
        body = TokenRequest.model_validate(
            {"role": form.get("role"), "name": form.get("name").strip(), "ttlSeconds": seconds}
        )
    except ValidationError:
        return _show(visit, problem="A token needs a name of at most 63 characters, and a role.", status=422)
    if body.role not in ("admin", "read"):
        return _show(visit, problem="The role of a token is admin or read.", status=422)
    answer = await api_membership.create_token(body, visit.context, visit.caller)
    return _show(visit, token=answer.token, token_name=body.name)


@router.post("/settings/tokens/{token_id}/revoke")
async def revoke_token(token_id: str, visit: Editor) -> Response:
    """Revoke a token."""
    await api_membership.revoke_token(token_id, visit.context, visit.caller)
    return _done("The token was revoked.")


@router.post("/settings/users")
async def create_user(visit: Editor) -> Response:
    """A new user."""
    form = visit.form
    try:
        body = AccountRequest.model_validate(
            {"name": form.get("name").strip(), "role": form.get("role"), "password": form.get("password")}
        )
        await api_account.create_account(body, visit.context, visit.caller)
    except ValidationError:
        problem = (
            "A user needs a name (lower-case letters, digits, . - _ @) and a password of at least "
            f"{SHORTEST_PASSWORD} characters."
        )
        return _show(visit, problem=problem, status=422)
    except RequestRefused as refused:
        return _show(visit, problem=refused.message, status=refused.status)
    return _done(f"User {body.name} was created.")


@router.post("/settings/users/{name}/remove")
async def remove_user(name: str, visit: Editor) -> Response:
    """Remove a user."""
    await api_account.delete_account(name, visit.context, visit.caller)
    return _done(f"User {name} was removed, and is signed out.")


@router.post("/settings/users/{name}/password")
async def set_password(name: str, visit: Reader) -> Response:
    """Another password: of anybody else for an administrator, of oneself for everybody who knows the one of now."""
    if not visit.may_edit and account_name(visit.caller) != name:
        raise RequestRefused(403, "forbidden", "Only an administrator can change the password of somebody else.")
    form = visit.form
    try:
        body = PasswordRequest.model_validate({"password": form.get("password"), "current": form.get("current")})
        await api_account.set_password(name, body, visit.context, visit.caller)
    except ValidationError:
        return _show(visit, problem=f"A password has at least {SHORTEST_PASSWORD} characters.", status=422)
    except RequestRefused as refused:
        return _show(visit, problem=refused.message, status=refused.status)
    return _done(f"The password of {name} was changed; its sessions have ended.")
