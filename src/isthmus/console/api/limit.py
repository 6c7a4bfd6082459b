"""How much a request may send. A body is read and parsed before its path looks at the token, so the limit is here."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

KNOWN_BYTES = 256 << 20
"""The body of a request with a valid token."""

UNKNOWN_BYTES = 64 << 10
"""The body of any other request; a join has about one kilobyte."""


class BodyLimit:
    """Counts what arrives, with or without a Content-Length.

    `known` says whether a secret is that of a valid token, `answer` makes an error the response. A larger body is an
    error where it is read: 413, or 401 where a token would have made it acceptable.
    """

    def __init__(self, app: ASGIApp, known: Callable[[str], bool], answer: Callable[[HTTPException], Response]) -> None:
        self._app = app
        self._known = known
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        known = scheme.lower() == "bearer" and self._known(secret.strip())
        limit = KNOWN_BYTES if known else UNKNOWN_BYTES
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > limit:
            await self._answer(_refusal(known))(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            if message["type"] == "http.request":
                size += len(message.get("body", b""))
                if size > limit:
                    raise _refusal(known)
            return message

        await self._app(scope, counted, send)


def _refusal(known: bool) -> HTTPException:
    if known:
        return HTTPException(413, f"A request has at most {KNOWN_BYTES >> 20} MB", {"Connection": "close"})
    detail = f"Without a valid token a request has at most {UNKNOWN_BYTES >> 10} kB"
    return HTTPException(401, detail, {"Connection": "close", "WWW-Authenticate": "Bearer"})
