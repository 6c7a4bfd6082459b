"""The sockets on which this site answers DNS queries, UDP and TCP, for all of its zones."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from isthmus.discovery.dns.limit import Limit, Verdict
from isthmus.discovery.dns.zone import Zone, answer_query, truncate_query
from isthmus.discovery.setting import Server

MAX_CONNECTIONS = 256
"""TCP connections of one socket; more are closed at once."""
IDLE = 10.0
"""Seconds that a TCP connection may be silent (RFC 7766 wants few, but not none)."""
RETRY = 2.0
"""Seconds between tries to listen on an address that is not there or in use."""
Changed = Callable[[], None]
_Answer = Callable[[Server, bytes, str | None], bytes | None]


class Responder:
    """Shared by the publishers of a site: each brings one zone and the addresses that it is answered on.

    Answers over UDP to one part of the Internet are limited, on all addresses together.
    """

    def __init__(self, limit: Limit | None = None) -> None:
        self._limit = limit or Limit()
        self.verdicts: Counter[Verdict] = Counter()
        """Questions over UDP so far, by what they got."""
        self._zones: dict[Server, dict[object, Zone]] = {}
        self._sockets: dict[Server, _Socket] = {}
        self._watchers: dict[object, Changed] = {}

    def serve(self, owner: object, zone: Zone, listen: Iterable[Server], changed: Changed) -> None:
        """Answer for `owner`'s zone on these addresses from now on, and on no others. `changed` is called when
        `error` may give something else for one of them."""
        wanted = frozenset(listen)
        self._watchers[owner] = changed
        for server in [server for server, zones in self._zones.items() if owner in zones and server not in wanted]:
            self._leave(owner, server)
        for server in wanted:
            self._zones.setdefault(server, {})[owner] = zone
            if server not in self._sockets:
                self._sockets[server] = _Socket(server, self._answer, self._tell)
                self._sockets[server].open()

    def withdraw(self, owner: object) -> None:
        """Answer for `owner` no more. A socket without any zone is closed."""
        self._watchers.pop(owner, None)
        for server in [server for server, zones in self._zones.items() if owner in zones]:
            self._leave(owner, server)

    def error(self, server: Server) -> str | None:
        """Why an address is not answered on; "" when it is, None when that is not known yet."""
        found = self._sockets.get(server)
        return found.error if found is not None else None

    async def stop(self) -> None:
        """Close everything."""
        sockets = list(self._sockets.values())
        self._zones.clear()
        self._sockets.clear()
        self._watchers.clear()
        await asyncio.gather(*(each.close() for each in sockets))

    def _leave(self, owner: object, server: Server) -> None:
        zones = self._zones[server]
        del zones[owner]
        if not zones:
            del self._zones[server]
            self._sockets.pop(server).end()

    def _answer(self, server: Server, wire: bytes, sender: str | None) -> bytes | None:
        """`sender`: over UDP; None over TCP."""
        if sender is not None:
            verdict = self._limit.judge(sender, asyncio.get_running_loop().time())
            self.verdicts[verdict] += 1
            if verdict is not Verdict.ANSWERED:
                return truncate_query(wire) if verdict is Verdict.TRUNCATED else None
        zones: Sequence[Zone] = tuple(self._zones.get(server, {}).values())
        return answer_query(zones, wire, udp=sender is not None)

    def _tell(self) -> None:
        for changed in tuple(self._watchers.values()):
            changed()


class _Socket(asyncio.DatagramProtocol):
    """One address and port."""

    def __init__(self, server: Server, answer: _Answer, changed: Changed) -> None:
        self.error: str | None = None
        self._server = server
        self._answer = answer
        self._changed = changed
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._opening: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Try to listen until it works."""
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        address, port = self._server.address, self._server.port
        while True:
            try:
                self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(address, port))
                self._tcp = await asyncio.start_server(self._serve, address, port)
            except OSError as error:
                self._close_listeners()
                self._set_error(f"{self._server} cannot be listened on: {error.strerror or error}")
                await asyncio.sleep(RETRY)
            else:
                self._set_error("")
                return

    def _set_error(self, error: str) -> None:
        if error != self.error:
            self.error = error
            self._changed()

    def _close_listeners(self) -> None:
        if self._udp is not None:
            self._udp.close()
            self._udp = None
        if self._tcp is not None:
            self._tcp.close()
            self._tcp = None

    def end(self) -> None:
        """Close, without waiting for it."""
        if self._opening is not None:
            self._opening.cancel()
        self._close_listeners()
        for connection in self._connections:
            connection.cancel()

    async def close(self) -> None:
        """Close, and wait for it."""
        self.end()
        tasks = [*self._connections, *([self._opening] if self._opening is not None else [])]
        await asyncio.gather(*tasks, return_exceptions=True)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """See asyncio.DatagramProtocol. An answer to port 0 would not arrive."""
        answer = self._answer(self._server, data, addr[0]) if addr[1] else None
        if answer is not None and self._udp is not None:
            self._udp.sendto(answer, addr)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (OSError, EOFError, TimeoutError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions of one connection, one after the other; it ends with the first that gets no answer."""
        while True:
            async with asyncio.timeout(IDLE):
                length = int.from_bytes(await reader.readexactly(2))
                wire = await reader.readexactly(length)
            answer = self._answer(self._server, wire, None)
            if answer is None:
                return
            writer.write(len(answer).to_bytes(2) + answer)
            async with asyncio.timeout(IDLE):
                await writer.drain()
