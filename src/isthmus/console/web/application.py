"""The pages, as part of the console's application."""

from fastapi import FastAPI, Request, Response

from isthmus.console.error import RequestRefused
from isthmus.console.web import (
    alert,
    asset,
    editor,
    event,
    explanation,
    graph,
    history,
    interface,
    object,
    overview,
    record,
    setting,
    sign_in,
    site,
    virtual_host,
    world,
)
from isthmus.console.web.page import HEADERS, error_page
from isthmus.console.web.sign_in import Gate

_ROUTERS = (
    asset.router,
    sign_in.router,
    overview.router,
    world.router,
    site.router,
    alert.router,
    event.router,
    virtual_host.router,
    editor.router,
    history.router,
    object.router,
    explanation.router,
    setting.router,
    graph.router,
    record.router,
    interface.router,
)


def add_pages(app: FastAPI) -> None:
    """Serve the console in the browser beside the API."""
    app.state.gate = Gate()
    for router in _ROUTERS:
        app.include_router(router)
    app.add_api_route("/favicon.ico", _icon, methods=["GET"], include_in_schema=False, response_model=None)


async def _icon() -> Response:
    return Response(asset.asset_body("icon.svg"), media_type="image/svg+xml", headers=HEADERS)


def wants_page(request: Request) -> bool:
    """Whether an error is for a person: a browser asks, and not for the API."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def missing_page(request: Request, status: int, detail: str) -> Response:
    """No such page, or not with this method."""
    return error_page(request, RequestRefused(status, "not-found", f"{detail}: {request.url.path}"))


def bug_page(request: Request, text: str) -> Response:
    """The console's own fault."""
    return error_page(request, RequestRefused(500, "internal", text))
