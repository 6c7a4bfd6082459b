"""How much a request may send. A body is read and parsed before its path looks at the token, so the limit is here."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KNOWN_BYTES = 256 << 20
"""The body of a request with a valid token."""

FORM_BYTES = 16 << 20
"""The form of a browser that is signed in and may edit: any object as YAML, escaped; its check reads it in the loop."""

UNKNOWN_BYTES = 64 << 10
"""The body of any other request; a join has about one kilobyte."""

FORM_TYPE = "application/x-www-form-urlencoded"


class BodyLimit:
    """Counts what arrives, with or without a Content-Length.

    `known` says whether a secret is that of a valid token, `editing` whether a request is of a browser whose session
    may edit, `answer` makes an error the response. A larger body is an error where it is read: 413, or 401 where a
    token would have made it acceptable.
    """

    def __init__(
        self,
        app: ASGIApp,
        known: Callable[[str], bool],
        editing: Callable[[HTTPConnection], bool],
        answer: Callable[[HTTPException], Response],
    ) -> None:
        self._app = app
        self._known = known
        self._editing = editing
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        limit = self._limit(scope, headers)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await self._answer(_refusal(limit))(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > limit:
                    raise _refusal(limit)
            return message

        await self._app(scope, counted, send)

    def _limit(self, scope: Scope, headers: Headers) -> int:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._known(secret.strip()):
            return KNOWN_BYTES
        form = scope["method"] == "POST" and headers.get("content-type", "").startswith(FORM_TYPE)
        return FORM_BYTES if form and self._editing(HTTPConnection(scope)) else UNKNOWN_BYTES


def _refusal(limit: int) -> HTTPException:
    if limit == UNKNOWN_BYTES:
        detail = f"Without a valid token a request has at most {UNKNOWN_BYTES >> 10} kB"
        return HTTPException(401, detail, {"Connection": "close", "WWW-Authenticate": "Bearer"})
    what = "request" if limit == KNOWN_BYTES else "form"
    return HTTPException(413, f"A {what} has at most {limit >> 20} MB", {"Connection": "close"})
