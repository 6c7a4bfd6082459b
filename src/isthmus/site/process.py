"""The process of a site: joins if it has not, runs the agent, ends it when told.

SIGTERM ends the agent alone: Envoy and GoBGP serve on, and the next agent adopts them. So `systemctl restart` loses no
request. SIGINT, and SIGTERM with `stop_engines`, end them too.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

import structlog

from isthmus.identity import CredentialDirectory, Membership, join, load_membership, parse_token
from isthmus.site.agent import SiteAgent
from isthmus.site.directory import SiteDirectory
from isthmus.site.gauge import Gauges
from isthmus.site.metric import Metrics
from isthmus.site.privilege import keep_from_children
from isthmus.site.query import answer
from isthmus.site.settings import SiteSettings
from isthmus.site.telling import Telling
from isthmus.site.web import WebServer, listen_loopback, listen_unix, local_app, monitor_app

log = structlog.get_logger()


class TokenMissing(Exception):
    """The site has not joined, and was given no token to join with."""


@dataclass(slots=True)
class _End:
    """How the process was told to end."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    engines: bool = False

    def ask(self, engines: bool) -> None:
        self.engines = self.engines or engines
        self.asked.set()


async def run(settings: SiteSettings) -> None:
    """Run a site until it is told to end.

    Raises TokenMissing, StateInUse, StateUnusable, IdentityError (joining failed), ValueError (bad metrics address),
    OSError.
    """
    directory = SiteDirectory(settings.state)
    try:
        membership = await _join(settings, directory)
        end = _End()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, end.ask, settings.stop_engines)
        loop.add_signal_handler(signal.SIGINT, end.ask, True)
        agent = SiteAgent(settings, directory, membership, answer)
        if agent.telemetry is not None:
            agent.telemetry.measure = Gauges(agent).take
            agent.telemetry.told = agent.changed.set
        servers = [WebServer(local_app(agent.ask, end.ask, agent.envoy.healthy), listen_unix(directory.socket))]
        metrics = Metrics(agent)
        if agent.telemetry is not None:
            agent.telemetry.receivers.report_metrics(metrics.collect)
        if settings.metrics is not None:
            servers.append(
                WebServer(monitor_app(agent.envoy.healthy, metrics.collect), listen_loopback(*settings.metrics))
            )
        telling = Telling(agent)
        try:
            keep_from_children()
            await agent.start()
            for server in servers:
                await server.start()
            telling.start()
            log.info("site.started", site=agent.state.site, state=str(directory.root))
            await end.asked.wait()
        finally:
            await telling.stop()
            for server in servers:
                await server.stop()
            await agent.stop(engines=end.engines)
            log.info("site.ended", engines="stopped" if end.engines else "left running")
    finally:
        directory.release()


async def _join(settings: SiteSettings, directory: SiteDirectory) -> Membership:
    if CredentialDirectory(directory.identity).exists:
        return load_membership(directory.identity)
    if settings.token is None:
        raise TokenMissing(f"{directory.root} belongs to no site yet: start once with a join token")
    return await join(parse_token(settings.token), directory.identity)
