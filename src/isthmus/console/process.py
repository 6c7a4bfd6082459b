"""The console as a process: opens what it keeps, serves API and stream, and ends in order.

1. State directory, store, leadership: nothing is read before this console is the one that writes.
2. Keys; on the first start they are made, with the administrator's token.
3. Objects and slices into memory; every manifest is served with the version that it had.
4. Stream and API.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial

import structlog
from fastapi import FastAPI
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import PlainTextResponse, Response

from isthmus import __version__
from isthmus.console.acme import AcmeWorker
from isthmus.console.acme.server import AcmeServer
from isthmus.console.alerting import Alerting
from isthmus.console.api.application import create_application
from isthmus.console.api.context import ApiContext
from isthmus.console.catalog import is_served
from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.error import ConsoleError
from isthmus.console.event_log import EventLog
from isthmus.console.founding import (
    api_urls,
    issue_credential,
    open_credential,
    open_keyring,
    open_vault,
    prepare_state,
)
from isthmus.console.keyring import Keyring
from isthmus.console.leader import Leadership
from isthmus.console.membership import Membership
from isthmus.console.metric import ConsoleMetrics
from isthmus.console.notifier import Notifier
from isthmus.console.observation import Observation
from isthmus.console.relay import ConsoleHandler
from isthmus.console.server import HttpServer, require_loopback
from isthmus.console.session import SessionBook
from isthmus.console.settings import ConsoleSettings, is_wildcard, split_address
from isthmus.console.store import Store
from isthmus.console.telemetry import ConsoleTelemetry
from isthmus.console.token import TokenBook
from isthmus.console.watch import Watch
from isthmus.exporter.export import Exporter
from isthmus.exporter.journal import Journal
from isthmus.identity import Credential, Role
from isthmus.protocol import DeliveryService, Hub, StreamServer, make_trust
from isthmus.telemetry.batch import subject_of
from isthmus.telemetry.otlp import process_resource

_RENEWAL_CHECK_SECONDS = 3600.0
_log = structlog.get_logger()


class Console:
    """A running console. `start`, then `stop`; tests and `run` use it alike.

    Attributes:
        url: the API's first address.
        port: TCP port of the API.
        stream_port: TCP port of the stream.
        metrics_port: TCP port of monitoring; 0 when there is none.
        deployment, membership, keyring, context: its parts, once it has started.
    """

    deployment: Deployment
    membership: Membership
    keyring: Keyring
    context: ApiContext

    def __init__(self, settings: ConsoleSettings, journal: Journal | None = None) -> None:
        self.settings = settings
        self._journal = journal
        self.url = ""
        self.port = 0
        self.stream_port = 0
        self.metrics_port = 0
        self._stack = contextlib.AsyncExitStack()
        self._leadership: Leadership | None = None

    async def start(self) -> None:
        """Serve; returns when API and stream are open.

        Raises:
            ConsoleError: it cannot start. Nothing is left open.
        """
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Finish requests and the edit under way, close streams, store and sockets."""
        await self._stack.aclose()

    async def lost(self) -> None:
        """Return when this console must end, since another may write now."""
        if self._leadership is not None:
            await self._leadership.lost()

    async def _start(self) -> None:
        settings = self.settings
        for listen in (settings.listen, settings.stream):
            split_address(listen)
        if settings.metrics is not None:
            require_loopback(settings.metrics)
        prepare_state(settings.state)
        store = await asyncio.to_thread(Store.open, settings.database_url)
        self._stack.callback(store.close)
        self._leadership = Leadership(settings.state, store)
        self._stack.callback(self._leadership.release)
        await self._leadership.acquire()
        keyring = await asyncio.to_thread(open_keyring, settings, store)
        await asyncio.to_thread(open_credential, settings, keyring, store)
        vault = await asyncio.to_thread(open_vault, settings, store)
        deployment = await asyncio.to_thread(Deployment.load, store, keyring.signer, vault)
        self._stack.push_async_callback(deployment.close)
        await self._serve(store, keyring, deployment)

    async def _serve(self, store: Store, keyring: Keyring, deployment: Deployment) -> None:
        settings = self.settings
        observation, watch = Observation(), Watch()
        events = EventLog(deployment, store, watch)
        await events.load()
        membership = Membership(deployment, store, keyring, await deployment.call(store.last_joins))
        self.deployment, self.membership, self.keyring = deployment, membership, keyring
        hub = Hub(
            deployment.publication,
            ConsoleHandler(deployment.publication, observation, membership, watch),
            trust=make_trust(keyring.signer, keyring.trust),
            release=__version__,
            roles={Role.REGION},
        )
        deployment.changed = _Announcer(deployment, observation, watch, hub)
        credential = await asyncio.to_thread(open_credential, settings, keyring, store)
        holder = [credential]
        telemetry = None
        if settings.telemetry:
            telemetry = ConsoleTelemetry(settings.state / "telemetry", settings.telemetry_url, settings.retention)
            telemetry.apis.is_served = partial(is_served, deployment)
            telemetry.start()
            self._stack.push_async_callback(telemetry.stop)
        delivery = (
            DeliveryService(deployment.publication, [Role.REGION], telemetry.take, subject_of) if telemetry else None
        )
        stream = StreamServer(hub, lambda: holder[0], delivery=delivery)
        try:
            self.stream_port = await stream.start(settings.stream)
        except OSError as error:
            raise ConsoleError(str(error)) from error
        self._stack.push_async_callback(stream.stop)
        host = split_address(settings.stream)[0]
        tokens = TokenBook(await deployment.call(store.api_tokens))
        accounts = await deployment.call(store.accounts)
        notifier = Notifier(deployment, store, settings.alert_networks, lambda: self.url)
        alerting = Alerting(deployment, observation, telemetry, store, notifier)
        await alerting.load()
        context = ApiContext(
            deployment=deployment,
            store=store,
            observation=observation,
            membership=membership,
            tokens=tokens,
            sessions=SessionBook(tokens, accounts, await deployment.call(store.sessions, datetime.now(UTC))),
            watch=watch,
            hub=hub,
            metrics=ConsoleMetrics(deployment, observation, membership, lambda: len(hub.streams)),
            release=__version__,
            started=time.time(),
            telemetry=telemetry,
            alerting=alerting,
            events=events,
            stream_host="" if is_wildcard(host) else host,
            stream_port=self.stream_port,
        )
        context.metrics.telemetry = telemetry
        context.metrics.events = events
        self.context = context
        context.metrics.alerting = alerting
        self._stack.push_async_callback(_keep_last, events)
        context.acme = AcmeWorker(
            deployment,
            observation,
            store,
            settings.state / "acme",
            partial(AcmeServer, release=__version__, allowed=settings.alert_networks),
        )
        for work in (alerting.run(), notifier.run(), context.acme.run(), events.run()):
            self._stack.push_async_callback(_end, asyncio.create_task(work))
        identity = settings.state / "identity" / "identity.pem"
        api = HttpServer(create_application(context), settings.listen, identity)
        self.port = api.port
        membership.urls = api_urls(settings, api.port)
        self.url = membership.urls[0]
        if settings.metrics is not None:
            await self._serve_metrics(context.metrics, settings.metrics)
        api.start()
        self._stack.push_async_callback(api.stop)
        self._export(context)
        renewal = asyncio.create_task(self._renew(store, keyring, deployment, api, holder))
        self._stack.callback(renewal.cancel)
        _log.info(
            "console.started",
            api=list(membership.urls),
            stream=f"{host}:{self.stream_port}",
            database=store.kind,
            trust_domain=keyring.authority.trust_domain,
            objects=len(deployment.records),
            revision=deployment.revision,
            epoch=deployment.epoch,
            admin_token=str(settings.state / "admin.token"),
        )

    async def _serve_metrics(self, metrics: ConsoleMetrics, listen: str) -> None:
        async def healthz() -> Response:
            return PlainTextResponse("ok\n")

        async def text() -> Response:
            return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

        app = FastAPI(openapi_url=None)
        app.add_api_route("/healthz", healthz, methods=["GET"], response_model=None)
        app.add_api_route("/metrics", text, methods=["GET"], response_model=None)
        server = HttpServer(app, listen)
        self.metrics_port = server.port
        server.start()
        self._stack.push_async_callback(server.stop)

    def _export(self, context: ApiContext) -> None:
        """Send the process's own metrics and log, if the settings say where to."""
        if self.settings.otlp is None:
            return

        async def text() -> bytes:
            return context.metrics.text()

        instance = self.url.removeprefix("https://")
        domain = self.keyring.authority.trust_domain
        resource = process_resource("console", instance, context.release, trust_domain=domain)
        context.exporter = exporter = Exporter(self.settings.otlp, resource, text, self._journal)
        context.metrics.registry.register(exporter)
        exporter.start()
        self._stack.push_async_callback(exporter.stop)

    async def _renew(
        self, store: Store, keyring: Keyring, deployment: Deployment, api: HttpServer, holder: list[Credential]
    ) -> None:
        """Renew the console's own certificate when it is due."""
        while True:
            await asyncio.sleep(_RENEWAL_CHECK_SECONDS)
            if holder[0].due(datetime.now(UTC)):
                holder[0] = await deployment.call(issue_credential, self.settings, keyring, store)
                api.reload(self.settings.state / "identity" / "identity.pem")
                _log.info("credential.renewed", valid_until=holder[0].leaf.valid_until.isoformat())


async def _keep_last(events: EventLog) -> None:
    with contextlib.suppress(StoreError):
        await events.flush()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


class _Announcer:
    """Tells streams and observation that subjects have new manifests."""

    def __init__(self, deployment: Deployment, observation: Observation, watch: Watch, hub: Hub) -> None:
        self._deployment = deployment
        self._observation = observation
        self._watch = watch
        self._hub = hub

    def __call__(self, subjects: Collection[str]) -> None:
        now = time.time()
        for subject in subjects:
            if self._deployment.publication.version(subject) is None:
                self._observation.forget(subject)
                self._watch.forget(subject)
            else:
                self._observation.published(subject, now)
        self._hub.changed(subjects)


async def run(settings: ConsoleSettings, journal: Journal | None = None) -> None:
    """Run a console until SIGTERM or SIGINT. `journal` has its log, for a collector.

    Raises:
        ConsoleError: it cannot start, or lost the right to write.
    """
    _configure_log()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    console = Console(settings, journal)
    stopping = asyncio.create_task(stop.wait())
    starting = asyncio.create_task(console.start())
    await asyncio.wait({stopping, starting}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():  # a standby that was told to end
        starting.cancel()
        stopping.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        return
    try:
        starting.result()
        lost = asyncio.create_task(console.lost())
        await asyncio.wait({stopping, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done() and not stop.is_set():
            raise ConsoleError("The database ended the connection that holds the right to write; start again.")
        lost.cancel()
    finally:
        stopping.cancel()
        _log.info("console.stopping")
        await console.stop()


def _configure_log() -> None:
    """JSON lines on stderr, unless the program has configured structlog already."""
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # without local variables: tokens and keys are among them
            structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
