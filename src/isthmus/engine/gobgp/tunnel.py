"""BGP sessions inside mutual TLS. The site (or the region whose name comes first) dials; the certificate is the
neighbour.

Both ends do the same once TLS stands: they connect to the gobgpd of their machine, from the loopback address that
stands for the other end, and pass bytes on. A gobgpd that has just lost the session refuses it for five seconds, so
each end holds the TLS connection and tries until gobgpd has said its first word; only then does it pass on the other's.
"""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from isthmus.engine.gobgp.guard import Guard, GuardError
from isthmus.engine.gobgp.process import Door, sign

BACKOFF_FIRST, BACKOFF_LAST, STEADY = 0.2, 5.0, 30.0
"""Seconds: first and longest pause between dials (jittered), and the age after which the first counts again."""

_HANDSHAKE_TIMEOUT = 10.0
_LOCAL_RETRY = 0.2
_LOCAL_PATIENCE = 60.0
_FIRST_WORD = 3.0
_CHUNK = 65536
_MAX_HANDSHAKES = 64

log = structlog.get_logger()

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Doors = Callable[[], Door | None]
"""Asks for the way to the gobgpd of this machine: `Speaker.door` or `Reflector.door`."""


@dataclass(frozen=True, slots=True)
class Target:
    """The other end: where to dial, and the DNS name that its certificate must have."""

    host: str
    port: int
    server_name: str


class TunnelDialler:
    """The dialling end of one tunnel: keeps it up as long as `run` runs.

    `target` and `context` are asked at every dial, so that new addresses and renewed certificates count. The context
    must verify the server: `ssl.create_default_context(cafile=...)` with the own chain loaded. `source`: the loopback
    address that stands for the other end at this machine (`region_address`).
    """

    def __init__(
        self, target: Callable[[], Target], context: Callable[[], ssl.SSLContext], door: Doors, source: str
    ) -> None:
        self._target = target
        self._context = context
        self._door = door
        self._source = source
        self.connected = False
        """Whether TLS to the other end stands."""

    async def run(self) -> None:
        """Dials, serves, dials again; until it is cancelled."""
        pause = BACKOFF_FIRST
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._once()
            except (OSError, EOFError, ssl.SSLError, TimeoutError, GuardError) as error:
                target = self._target()
                log.info("tunnel.failed", host=target.host, port=target.port, name=target.server_name, error=str(error))
            finally:
                self.connected = False
            if asyncio.get_running_loop().time() - began > STEADY:
                pause = BACKOFF_FIRST
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, BACKOFF_LAST)

    async def _once(self) -> None:
        target = self._target()
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
            remote = await asyncio.open_connection(
                target.host, target.port, ssl=self._context(), server_hostname=target.server_name
            )
        self.connected = True
        await _serve(remote, self._door, self._source)


class TunnelServer:
    """The answering end of all tunnels of a region.

    `context` is asked for every connection; it must require client certificates of the deployment. `neighbour` maps
    the URI of a certificate to the loopback address that stands for its owner (`session_address` of a site's number,
    `region_address` of a region's), None when there is no such neighbour.
    """

    def __init__(
        self, context: Callable[[], ssl.SSLContext], neighbour: Callable[[str], str | None], door: Doors
    ) -> None:
        self._context = context
        self._neighbour = neighbour
        self._door = door
        self._listener: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._handshakes = asyncio.Semaphore(_MAX_HANDSHAKES)

    @property
    def neighbours(self) -> frozenset[str]:
        """The addresses of the neighbours whose tunnels stand."""
        return frozenset(self._serving)

    @property
    def port(self) -> int:
        """The TCP port that it listens on; 0 when it does not."""
        return 0 if self._listener is None else int(self._listener.getsockname()[1])

    async def start(self, host: str, port: int) -> None:
        """Listens. Raises OSError when the address cannot be used."""
        info = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = info[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1024)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        self._listener = listener
        self._spawn(self._accept(listener))

    async def stop(self) -> None:
        """Closes the listener and every tunnel."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def hang_up(self, address: str) -> None:
        """Ends the tunnel of a neighbour, as when its certificate no longer counts."""
        task = self._serving.get(address)
        if task is not None:
            task.cancel()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:  # too many open files, a connection that is gone already
                log.warning("tunnel.accept_failed", error=str(error))
                await asyncio.sleep(0.1)
                continue
            self._spawn(self._answer(connection))

    async def _answer(self, connection: socket.socket) -> None:
        try:
            async with self._handshakes:
                remote = await _accept_tls(connection, self._context())
        except (OSError, ssl.SSLError, TimeoutError) as error:
            log.info("tunnel.refused", error=str(error))
            connection.close()
            return
        uris = _uris(remote[1])
        addresses = {address for uri in uris if (address := self._neighbour(uri)) is not None}
        if len(addresses) != 1:
            log.warning("tunnel.unknown_neighbour", uris=uris)
            await _close(remote[1])
            return
        (address,) = addresses
        await self._replace(address)
        try:
            await _serve(remote, self._door, address)
        except GuardError as error:
            log.error("tunnel.guarded", neighbour=uris[0], error=str(error))
        except (OSError, EOFError, TimeoutError) as error:
            log.info("tunnel.ended", neighbour=uris[0], error=str(error))
        finally:
            if self._serving.get(address) is asyncio.current_task():
                del self._serving[address]

    async def _replace(self, address: str) -> None:
        """The newest tunnel of a neighbour counts: it would not dial if it had another."""
        task = asyncio.current_task()
        before = self._serving.get(address)
        if task is not None:
            self._serving[address] = task
        if before is not None:
            before.cancel()
            await asyncio.gather(before, return_exceptions=True)


async def _accept_tls(connection: socket.socket, context: ssl.SSLContext) -> Streams:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_TIMEOUT
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _uris(writer: asyncio.StreamWriter) -> list[str]:
    certificate = writer.get_extra_info("peercert") or {}
    return [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]


async def _serve(remote: Streams, door: Doors, source: str) -> None:
    """Joins a TLS connection with the gobgpd of this machine until either ends."""
    first = asyncio.create_task(remote[0].read(_CHUNK))
    try:
        local, word = await _open_local(door, source, first)
        try:
            remote[1].write(word)
            pipes = [asyncio.create_task(_pipe(local[0], remote[1])), asyncio.create_task(_join(first, remote, local))]
            try:
                done, _ = await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
                for pipe in done:
                    pipe.result()
            finally:
                for pipe in pipes:
                    pipe.cancel()
                await asyncio.gather(*pipes, return_exceptions=True)
        finally:
            await _close(local[1])
    finally:
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await _close(remote[1])


async def _join(first: "asyncio.Task[bytes]", remote: Streams, local: Streams) -> None:
    guard = Guard()
    data = await first
    with contextlib.suppress(OSError):
        while data:
            local[1].write(guard.pass_on(data))
            await local[1].drain()
            data = await remote[0].read(_CHUNK)


async def _open_local(door: Doors, source: str, remote: "asyncio.Task[bytes]") -> tuple[Streams, bytes]:
    """A connection to gobgpd and its first word. EOFError: the other end gave up. TimeoutError: a minute passed."""
    deadline = asyncio.get_running_loop().time() + _LOCAL_PATIENCE
    while asyncio.get_running_loop().time() < deadline:
        if remote.done() and not remote.result():
            raise EOFError("the other end closed the connection")
        way = door()
        if way is not None:
            with contextlib.suppress(OSError, TimeoutError):
                local = await _connect_local(way, source)
                try:
                    async with asyncio.timeout(_FIRST_WORD):
                        word = await local[0].read(_CHUNK)
                except BaseException:
                    await _close(local[1])
                    raise
                if word:
                    return local, word
                await _close(local[1])
        await asyncio.sleep(_LOCAL_RETRY)
    raise TimeoutError("gobgpd takes no session")


async def _connect_local(door: Door, source: str) -> Streams:
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    try:
        connection.setblocking(False)
        connection.bind((source, 0))
        if door.password:
            sign(connection, door.host, door.password)
        # Not `wait_for`: in Python 3.11 it can swallow a cancellation, and a replaced tunnel would keep its place.
        async with asyncio.timeout(_FIRST_WORD):
            await loop.sock_connect(connection, (door.host, door.port))
        return await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()


async def _close(writer: asyncio.StreamWriter) -> None:
    # Not a polite TLS goodbye: the other end may be gone, and waiting for its answer would hold up the next tunnel.
    writer.transport.abort()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
