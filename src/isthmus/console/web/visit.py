"""Who looks at a page: the session of the cookie, with the rights of the token or account that signed in.

A form is taken only from a page of this console: its Origin is ours, and it carries the session's token. Cookies are
`__Host-`, Secure, HttpOnly and SameSite=Lax: a link in a chat opens signed in, and a foreign page posts nothing.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from isthmus.console.api.context import ApiContext, Context
from isthmus.console.error import RequestRefused
from isthmus.console.record import ApiToken, Session
from isthmus.console.session import csrf_token
from isthmus.console.web.form import Form, read_form

COOKIE = "__Host-isthmus"
_SAFE = ("GET", "HEAD")


class SignInRequired(Exception):
    """Nobody is signed in; `target` is the page that was asked for."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in.

    Attributes:
        csrf: what forms of the page must carry.
        form: what was sent; empty for a page that is only read.
    """

    request: Request
    context: ApiContext
    caller: ApiToken
    session: Session
    csrf: str
    form: Form

    @property
    def may_edit(self) -> bool:
        """Whether the caller may do more than read."""
        return self.caller.role == "admin"

    def query(self, name: str, default: str = "") -> str:
        """A parameter of the address."""
        return self.request.query_params.get(name, default)


def find_session(request: HTTPConnection, context: ApiContext) -> tuple[Session, ApiToken, str] | None:
    """The session of a request's cookie, its caller and its secret."""
    secret = request.cookies.get(COOKIE)
    found = context.sessions.find(secret, datetime.now(UTC)) if secret else None
    return (*found, secret) if found is not None and secret is not None else None


def may_edit(request: HTTPConnection, context: ApiContext) -> bool:
    """Whether a browser is signed in as somebody who may do more than read."""
    found = find_session(request, context)
    return found is not None and found[1].role == "admin"


def check_origin(request: Request) -> None:
    """Refuse a form of another site's page (browsers send Origin with every form)."""
    origin = request.headers.get("origin")
    if origin is None:
        raise RequestRefused(403, "foreign-form", "The form came without an Origin; use a page of this console.")
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise RequestRefused(403, "foreign-form", f"The form came from a page of {origin}, not of this console.")


async def visit(request: Request, context: Context) -> Visit:
    """The visit of somebody who is signed in.

    Raises:
        SignInRequired: nobody is.
        RequestRefused: 403 when the form is not one of ours, or the caller may only read.
    """
    found = find_session(request, context)
    if found is None:
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        raise SignInRequired(target if request.method in _SAFE else "/")
    session, caller, secret = found
    request.state.who = caller.name
    form = Form([])
    if request.method not in _SAFE:
        check_origin(request)
        form = await read_form(request)
        given = request.headers.get("x-csrf-token") or form.get("csrf")
        if not hmac.compare_digest(given.encode(), csrf_token(secret).encode()):
            raise RequestRefused(403, "foreign-form", "The form is of another session; open the page again.")
    return Visit(request, context, caller, session, csrf_token(secret), form)


async def edit_visit(request: Request, context: Context) -> Visit:
    """The visit of somebody who may edit. Raises as `visit` does."""
    found = await visit(request, context)
    if not found.may_edit:
        raise RequestRefused(403, "forbidden", f"{found.caller.name} may only read; an administrator can change this.")
    return found


Reader = Annotated[Visit, Depends(visit)]
Editor = Annotated[Visit, Depends(edit_visit)]


def set_cookie(response: Response, secret: str) -> None:
    """Let the browser carry a session."""
    response.set_cookie(COOKIE, secret, secure=True, httponly=True, samesite="lax", path="/")


def sign_in_url(target: str) -> str:
    """The page to sign in, from where the browser goes on to `target`."""
    return "/sign-in" if target in ("", "/") else f"/sign-in?next={quote(target)}"


def local_target(text: str) -> str:
    """A path of this console to go on to; `/` for anything else."""
    if not text.startswith("/") or text.startswith(("//", "/\\")) or any(ord(char) < 32 for char in text):
        return "/"
    return text
