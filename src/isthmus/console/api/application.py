"""The application: routes, errors in one shape, one log line and one measurement per request."""

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from isthmus.console.api import (
    account,
    alert,
    apply,
    event,
    gauge,
    interface,
    membership,
    objects,
    receiver,
    silence,
    status,
    telemetry,
)
from isthmus.console.api.answer import answer_diagnostic
from isthmus.console.api.context import ApiContext, Caller, Context, authenticate
from isthmus.console.api.limit import BodyLimit
from isthmus.console.database import StoreError
from isthmus.console.error import RequestRefused
from isthmus.console.web.application import add_pages, bug_page, missing_page, wants_page
from isthmus.console.web.visit import may_edit
from isthmus.model.diagnostic import Diagnostic

_log = structlog.get_logger()
_PREFIX = "/api/v1"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CODES = {401: "unauthenticated", 404: "not-found", 405: "method-not-allowed", 413: "too-large"}


def create_application(context: ApiContext) -> FastAPI:
    """The API of a running console."""
    app = FastAPI(
        title="Isthmus console",
        version=context.release,
        description="Declare objects; every site runs what it needs.",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    # /status/objects/… and /sites/…/drain come before the objects' own paths
    routers = (
        account.router,
        alert.router,
        silence.router,
        receiver.router,
        event.router,
        membership.router,
        apply.router,
        status.router,
        telemetry.router,
        gauge.router,
        interface.router,
        objects.router,
    )
    for router in routers:
        app.include_router(router, prefix=_PREFIX)
    add_pages(app)
    app.add_api_route("/healthz", _healthz, methods=["GET"], tags=["process"])
    app.add_api_route(
        "/metrics",
        _metrics,
        methods=["GET"],
        tags=["process"],
        dependencies=[Depends(authenticate)],
        response_model=None,
    )
    app.add_exception_handler(RequestRefused, _on_refused)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(StoreError, _on_store)
    app.add_exception_handler(Exception, _on_bug)
    # the first is the innermost: what it raises while a body is read has to reach the reader as it is
    app.add_middleware(
        BodyLimit,
        known=lambda secret: context.tokens.find(secret, datetime.now(UTC)) is not None,
        editing=lambda request: may_edit(request, context),
        answer=_http_response,
    )
    app.middleware("http")(_observe)
    app.openapi()  # routes are compiled when they are first needed: now, and not in somebody's request
    return app


async def _healthz() -> dict[str, str]:
    """Whether the console serves."""
    return {"status": "ok"}


async def _metrics(context: Context, caller: Caller) -> Response:
    """Prometheus' text format."""
    return Response(context.metrics.text(), media_type=CONTENT_TYPE_LATEST)


async def _observe(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    started = time.perf_counter()
    response = await call_next(request)
    seconds = time.perf_counter() - started
    route = _route_of(request)
    method = request.method if request.method in _METHODS else "other"  # clients may invent any number of them
    metrics = request.app.state.context.metrics
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    metrics.seconds.labels(method, route).observe(seconds)
    _log.info(
        "api.request",
        method=request.method,
        path=request.url.path,
        status=response.status_code,
        milliseconds=round(seconds * 1000, 2),
        who=getattr(request.state, "who", None),
        peer=request.client.host if request.client else None,
    )
    return response


def _route_of(request: Request) -> str:
    """The path with its parameters' names, so that measurements have few labels."""
    path = getattr(request.scope.get("route"), "path", None)
    if path is None:
        return "other"
    inside = request.url.path.startswith(f"{_PREFIX}/") and not path.startswith(_PREFIX)
    return f"{_PREFIX}{path}" if inside else str(path)


def error_response(status_code: int, code: str, message: str, diagnostics: tuple[Diagnostic, ...] = ()) -> JSONResponse:
    """An error in the API's one shape."""
    body: dict[str, Any] = {
        "error": {"code": code, "message": message},
        "diagnostics": [answer_diagnostic(each).model_dump(by_alias=True) for each in diagnostics],
    }
    headers = {"WWW-Authenticate": "Bearer"} if status_code == 401 else None
    return JSONResponse(body, status_code, headers)


async def _on_refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestRefused)
    response = error_response(error.status, error.code, error.message, error.diagnostics)
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = []
    for each in error.errors():
        place = ".".join(str(part) for part in each["loc"] if part != "body")
        found.append(Diagnostic("invalid-request", None, place, str(each["msg"])))
    return error_response(422, "invalid-request", "The request is not of the API's form.", tuple(found))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if wants_page(request):
        return missing_page(request, error.status_code, str(error.detail))
    return _http_response(error)


def _http_response(error: HTTPException) -> Response:
    response = error_response(error.status_code, _CODES.get(error.status_code, "http"), f"{error.detail}.")
    response.headers.update(error.headers or {})
    return response


async def _on_store(_request: Request, error: Exception) -> Response:
    return error_response(503, "store-unavailable", str(error))


async def _on_bug(request: Request, error: Exception) -> Response:
    _log.error("api.bug", path=request.url.path, exc_info=error)
    text = "The console has a defect here; its log says more."
    return bug_page(request, text) if wants_page(request) else error_response(500, "internal", text)
