"""What requests are answered from, and who asks."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, cast

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from isthmus.console.acme import AcmeWorker
from isthmus.console.alerting import Alerting
from isthmus.console.deployment import Deployment
from isthmus.console.error import RequestRefused
from isthmus.console.event_log import EventLog
from isthmus.console.membership import Membership
from isthmus.console.metric import ConsoleMetrics
from isthmus.console.observation import Observation
from isthmus.console.record import ApiToken
from isthmus.console.session import SessionBook
from isthmus.console.store import Store
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.console.token import TokenBook
from isthmus.console.watch import Watch
from isthmus.exporter.export import Exporter
from isthmus.protocol import Hub


@dataclass(slots=True)
class ApiContext:
    """The running console, as the API sees it.

    Attributes:
        alerting: what is wrong.
        acme: what gets certificates.
        events: what happened.
        exporter: what sends the console's own metrics and log to a collector; None when nothing does.
        telemetry: what requests did; None when the console takes no telemetry.
        stream_host: the host of the stream's address; empty when it listens on every address.
        stream_port: TCP port of the stream.
        started: seconds since 1970.
    """

    deployment: Deployment
    store: Store
    observation: Observation
    membership: Membership
    tokens: TokenBook
    sessions: SessionBook
    watch: Watch
    hub: Hub
    metrics: ConsoleMetrics
    release: str
    started: float
    telemetry: ConsoleTelemetry | None = None
    alerting: Alerting | None = None
    acme: AcmeWorker | None = None
    events: EventLog | None = None
    exporter: Exporter | None = None
    stream_host: str = ""
    stream_port: int = 0


def get_context(request: Request) -> ApiContext:
    """The context of the application."""
    return cast(ApiContext, request.app.state.context)


Context = Annotated[ApiContext, Depends(get_context)]
_READING_POSTS = ("/api/v1/explain", "/api/v1/sign-in-codes")
_bearer = HTTPBearer(auto_error=False, description="An API token; the first is in the console's admin.token.")


def authenticate(
    request: Request, context: Context, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> ApiToken:
    """Whose token the request carries. A `read` token may only read; to explain a request is to read."""
    token = context.tokens.find(given.credentials, datetime.now(UTC)) if given is not None else None
    if token is None:
        raise RequestRefused(401, "unauthenticated", "Send a valid token: Authorization: Bearer TOKEN.")
    request.state.who = token.name
    reads = request.method in ("GET", "HEAD") or request.url.path.endswith(_READING_POSTS)
    if token.role != "admin" and not reads:
        raise RequestRefused(403, "forbidden", f"The token {token.name} may only read.")
    return token


Caller = Annotated[ApiToken, Depends(authenticate)]
