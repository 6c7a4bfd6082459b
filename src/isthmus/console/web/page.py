"""From a template to a response: every page has the same headers, and errors are pages too."""

from collections import defaultdict
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined

from isthmus import __version__
from isthmus.console.database import StoreError
from isthmus.console.error import RequestRefused
from isthmus.console.record import ApiToken
from isthmus.console.web import shape
from isthmus.console.web.asset import asset_url
from isthmus.console.web.navigation import RANGES, SECTIONS
from isthmus.console.web.visit import SignInRequired, Visit, find_session, sign_in_url

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def query_with(query: dict[str, str], **changes: str) -> str:
    """The parameters of an address with some changed; empty ones, the page and the window's end are left out."""
    given = {name: value for name, value in query.items() if name not in ("until", "page", "done")} | changes
    return urlencode({name: value for name, value in given.items() if value})


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("isthmus.console.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= shape.FILTERS
    environment.globals |= {
        "asset": asset_url,
        "release": __version__,
        "sections": SECTIONS,
        "ranges": RANGES,
        "query_with": query_with,
    }
    return environment


_ENVIRONMENT = _environment()


def render(
    template: str, request: Request, caller: ApiToken | None = None, *, status: int = 200, csrf: str = "", **values: Any
) -> Response:
    """A page. `caller` is who looks at it, None before signing in."""
    theme = request.cookies.get("theme", "")
    text = _ENVIRONMENT.get_template(template).render(
        caller=caller,
        may_edit=caller is not None and caller.role == "admin",
        csrf=csrf,
        here=request.url.path,
        query=defaultdict(str, request.query_params),
        address=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        theme=theme if theme in ("dark", "light") else "",
        flash=values.pop("flash", request.query_params.get("done", "")),
        **values,
    )
    return HTMLResponse(text, status, HEADERS)


def show(visit: Visit, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page for somebody who is signed in."""
    return render(template, visit.request, visit.caller, status=status, csrf=visit.csrf, **values)


def go(target: str) -> Response:
    """After a form: look at a page."""
    return RedirectResponse(target, 303, HEADERS)


def error_page(request: Request, error: RequestRefused | StoreError) -> Response:
    """What went wrong, as a page."""
    refused = error if isinstance(error, RequestRefused) else RequestRefused(503, "store-unavailable", str(error))
    found = find_session(request, request.app.state.context)
    return render(
        "error.html",
        request,
        found[1] if found else None,
        status=refused.status,
        title="Not found" if refused.status == 404 else "That did not work",
        error=refused,
    )


class PageRoute(APIRoute):
    """A route whose errors are pages, and that sends to the sign-in whoever is not signed in."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInRequired as required:
                if "hx-request" in request.headers:  # a page that updates itself: the whole of it has to go
                    return Response(status_code=204, headers={**HEADERS, "HX-Refresh": "true"})
                return go(sign_in_url(required.target))
            except (RequestRefused, StoreError) as error:
                return error_page(request, error)

        return handle
