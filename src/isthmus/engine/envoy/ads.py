"""The delta ADS server: the wanted resources of one Envoy, served over an owner-only Unix socket.

Versions are content hashes. An Envoy that reconnects says which versions it holds and is sent only what differs, so
an agent that restarts and loads the same resources sends nothing. Until `set` was called for the first time no
request is answered: an empty answer would remove every listener.

One Envoy is served at a time; a new stream replaces the one before it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
import structlog
from envoy.service.discovery.v3 import discovery_pb2

from isthmus.engine.envoy.resource import Nack, Resource, Resources, parse_resource
from isthmus.engine.envoy.session import Session

_METHOD = "DeltaAggregatedResources"
_SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

log = structlog.get_logger()


class Push:
    """The fate of one change: complete when Envoy has answered for every resource in it.

    A resource that Envoy does not subscribe to counts as answered. While no Envoy is connected a push stays open.
    """

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self.keys = frozenset(keys)
        self._open = set(self.keys)
        self._nacks: list[Nack] = []
        self._done = asyncio.Event()
        if not self._open:
            self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    async def acked(self) -> tuple[Nack, ...]:
        """Wait until Envoy has answered; return its refusals. Bound it with `asyncio.timeout`."""
        await self._done.wait()
        return tuple(self._nacks)

    def settle(self, key: tuple[str, str], nack: Nack | None) -> None:
        if key not in self._open:
            return
        self._open.discard(key)
        if nack is not None:
            self._nacks.append(nack)
        if not self._open:
            self._done.set()


class _Stream:
    """A connected Envoy: its session and the responses on their way out."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.outbox: list[bytes] = []
        self.wake = asyncio.Event()
        self.closed = False

    def flush(self) -> None:
        self.outbox += self.session.flush(time.monotonic())
        if self.outbox or self.session.deadline is not None:
            self.wake.set()

    def close(self) -> None:
        self.closed = True
        self.wake.set()


class AdsServer:
    """Serves LDS, RDS, CDS, EDS, SDS and ECDS on `path`.

    `on_nack` hears of every resource that Envoy refuses, `on_held` of every resource whose current version it
    accepted or dropped: (type URL, name, version or None).
    """

    def __init__(
        self,
        path: Path,
        *,
        on_nack: Callable[[Nack], None] | None = None,
        on_held: Callable[[str, str, str | None], None] | None = None,
        on_connection: Callable[[bool], None] | None = None,
    ) -> None:
        self._path = path
        self._on_nack = on_nack
        self._on_held = on_held
        self._on_connection = on_connection
        self._store: dict[str, dict[str, Resource]] = {}
        self._last: dict[str, Mapping[str, bytes]] = {}
        self._held: dict[tuple[str, str], str] = {}
        self._waiting: dict[tuple[str, str], list[tuple[str | None, Push]]] = {}
        self._loaded = asyncio.Event()
        self._stream: _Stream | None = None
        self._server: Any = None

    @property
    def connected(self) -> bool:
        return self._stream is not None

    def held(self, type_url: str, name: str) -> str | None:
        """The version that the connected Envoy is known to hold."""
        return self._held.get((type_url, name))

    def holds_current(self, type_url: str, name: str) -> bool:
        """True if Envoy has accepted exactly the wanted version of the resource."""
        wanted = self._store.get(type_url, {}).get(name)
        return wanted is not None and self._held.get((type_url, name)) == wanted.version

    def audit(self, type_url: str) -> Push:
        """A push that is done once Envoy holds, or has refused, all that is wanted now of a type that it subscribes to
        as a whole (listeners, clusters). Clusters are answered when they are warm, so endpoints are in place then too.
        """
        wanted = self._store.get(type_url, {})
        missing = self._missing(type_url)
        push = Push((type_url, name) for name in missing)
        for name in missing:
            self._waiting.setdefault((type_url, name), []).append((wanted[name].version, push))
        return push

    def retry(self, type_url: str) -> None:
        """Send all that Envoy should hold of a type and does not once more."""
        if self._stream is not None:
            self._stream.session.again(type_url, self._missing(type_url))
            self._stream.flush()

    def _missing(self, type_url: str) -> list[str]:
        wanted = self._store.get(type_url, {})
        return [name for name, item in wanted.items() if self._held.get((type_url, name)) != item.version]

    def resources(self) -> dict[str, dict[str, bytes]]:
        """What is wanted now."""
        return {url: {name: item.body for name, item in items.items()} for url, items in self._store.items()}

    async def start(self) -> None:
        """Listen. The directory must exist; it is made accessible to its owner only, like the socket."""
        self._path.parent.chmod(0o700)
        handler = grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                _METHOD: grpc.stream_stream_rpc_method_handler(
                    self._serve, request_deserializer=discovery_pb2.DeltaDiscoveryRequest.FromString
                )
            },
        )
        self._server = grpc.aio.server(
            options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        self._server.add_generic_rpc_handlers((handler,))
        self._server.add_insecure_port(f"unix:{self._path}")
        await self._server.start()
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Close the stream. Envoy keeps all it has and reconnects when a server listens again."""
        if self._stream is not None:
            self._stream.close()
        if self._server is not None:
            await self._server.stop(0.2)
            self._server = None

    def set(self, resources: Resources) -> Push:
        """Make `resources` all that is wanted, and push the difference.

        A mapping that is the same object as the last time is taken as unchanged without looking into it.
        """
        changes: dict[str, dict[str, bytes | None]] = {}
        for type_url in {*resources, *self._store}:
            wanted, present = resources.get(type_url, {}), self._store.get(type_url, {})
            if self._last.get(type_url) is wanted:
                continue
            changed: dict[str, bytes | None] = {
                name: body for name, body in wanted.items() if name not in present or present[name].body != body
            }
            changed.update((name, None) for name in present if name not in wanted)
            changes[type_url] = changed
        push = self.update(changes)
        self._last = dict(resources)
        self._loaded.set()
        return push

    def update(self, changes: Mapping[str, Mapping[str, bytes | None]]) -> Push:
        """Change some resources (None removes one) and push them. Costs nothing for the others."""
        changed: dict[str, list[str]] = {}
        for type_url, bodies in changes.items():
            present = self._store.setdefault(type_url, {})
            for name, body in bodies.items():
                before = present.get(name)
                if body is None:
                    if before is None:
                        continue
                    del present[name]
                elif before is not None and before.body == body:
                    continue
                else:
                    present[name] = parse_resource(name, body)
                changed.setdefault(type_url, []).append(name)
                self._last.pop(type_url, None)
        push = Push((type_url, name) for type_url, names in changed.items() for name in names)
        for type_url, name in push.keys:
            resource = self._store[type_url].get(name)
            waiting = (resource.version if resource else None, push)
            self._waiting.setdefault((type_url, name), []).append(waiting)
        if self._stream is not None and changed:
            for type_url, names in changed.items():
                self._stream.session.change(type_url, names)
            self._stream.flush()
        return push

    def _settle(self, type_url: str, name: str, version: str | None, nack: Nack | None) -> None:
        key = (type_url, name)
        wanted = self._store.get(type_url, {}).get(name)
        current = version == (wanted.version if wanted else None)
        if nack is None:
            if version is None:
                self._held.pop(key, None)
            else:
                self._held[key] = version
            if current and self._on_held is not None:
                self._on_held(type_url, name, version)
        elif current:
            log.warning("envoy.refused", type=type_url.rpartition(".")[2], name=name, message=nack.message)
            if self._on_nack is not None:
                self._on_nack(nack)
        waiting = self._waiting.get(key)
        if waiting is None:
            return
        left = []
        for expected, push in waiting:
            if current or expected == version:
                push.settle(key, nack)
            else:
                left.append((expected, push))
        if left:
            self._waiting[key] = left
        else:
            del self._waiting[key]

    async def _serve(self, requests: AsyncIterator[Any], context: Any) -> None:
        await self._loaded.wait()
        if self._stream is not None:
            self._stream.close()
        self._held.clear()
        stream = self._stream = _Stream(Session(self._store, self._settle))
        log.info("envoy.connected")
        if self._on_connection is not None:
            self._on_connection(True)
        reader = asyncio.create_task(self._read(stream, requests))
        try:
            while not stream.closed:
                await self._wait(stream)
                outbox, stream.outbox = stream.outbox, []
                for response in outbox:
                    await context.write(response)
        finally:
            reader.cancel()
            if self._stream is stream:
                self._stream = None
                self._held.clear()
                log.info("envoy.disconnected")
                if self._on_connection is not None:
                    self._on_connection(False)

    async def _read(self, stream: _Stream, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                if stream.closed:
                    return
                stream.session.receive(request)
                stream.flush()
        finally:
            stream.close()

    async def _wait(self, stream: _Stream) -> None:
        """Until there is something to write, the stream closes, or a gate of the session expires."""
        deadline = stream.session.deadline
        timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            async with asyncio.timeout(timeout):
                await stream.wake.wait()
            stream.wake.clear()
        except TimeoutError:
            stream.flush()
