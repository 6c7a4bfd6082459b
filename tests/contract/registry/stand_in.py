"""A registry's server, of which only the answers are a stand-in's: real HTTP on a real socket."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from dataclasses import dataclass

from aiohttp import web


@dataclass
class StandIn(ABC):
    """Serves what `_handle` answers, with TLS when it has a `context`; started again, on the same port."""

    context: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    port: int = 0
    _runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.host, self.port, ssl_context=self.context, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        self.drop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        return f"http{'s' if self.context else ''}://{self.host}:{self.port}"

    @abstractmethod
    def drop(self) -> None:
        """Cut the connections of all requests that are held."""

    @abstractmethod
    async def _handle(self, request: web.Request) -> web.StreamResponse: ...
