"""The BGP speaker of a site: tells its regions which endpoints are healthy, and hears of the others'.

What is wanted (regions, clusters, announcements) is kept here and told to every gobgpd that comes: a new one gets the
announcements *before* it gets neighbours. With neighbours first, it would tell them at once that there is nothing, and
they would believe it.
"""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path

import grpc
import structlog

from isthmus.emit.gobgp.address import MARKER_ADDRESS, region_address
from isthmus.emit.gobgp.neighbour import emit_marker, emit_site_global, emit_site_neighbour
from isthmus.emit.gobgp.path import (
    MEMBERSHIP,
    VPN,
    emit_announcement,
    emit_membership,
    emit_withdrawal,
    is_endpoint_family,
    is_origin_stale,
    is_own,
    parse_key,
    parse_membership,
    parse_route,
)
from isthmus.engine.gobgp.client import GobgpClient
from isthmus.engine.gobgp.process import Door, GobgpProcess
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.announcer import AnnouncementPlan
from isthmus.health.codec import RouteError, RouteSpace
from isthmus.health.event import Announced, EndOfRib, Event, SessionDown, SessionUp, Withdrawn
from isthmus.health.route import EndpointKey, EndpointRoute

_WATCH_TIMEOUT = 30.0
_POLL_FIRST, _POLL_LAST = 0.02, 0.5
_LOST = (grpc.aio.AioRpcError, grpc.aio.UsageError)

log = structlog.get_logger()


class Speaker:
    """See above. Names of regions are the names of the sessions in the events.

    Before or after `start`: `set_regions`, `set_clusters`. The first `apply` once the health of the site's own
    endpoints is known: only then does a new gobgpd get its sessions. `receive` at any time.
    """

    def __init__(self, directory: Path, space: RouteSpace, site: int) -> None:
        self._space = space
        self._site = site
        self._process = GobgpProcess(directory, f"site {space} {site}", self._on_ready, self._on_down)
        self._client: GobgpClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._lock = asyncio.Lock()
        self._regions: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._clusters: frozenset[int] | None = None
        self._routes: dict[EndpointKey, EndpointRoute] = {}
        self._speaking = False
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._up: dict[str, int] = {}
        self._ups = 0
        self._synced: dict[str, int] = {}
        self._marker = asyncio.Event()
        self._marker_lock = asyncio.Lock()
        self.refused = 0
        """Routes heard that were no endpoint routes."""

    @property
    def door(self) -> Door | None:
        """Where the site's ends of the tunnels connect; None while there is no gobgpd."""
        return self._process.door

    @property
    def pid(self) -> int | None:
        """The gobgpd process."""
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often gobgpd had to be restarted."""
        return self._process.restarts

    async def start(self) -> tuple[EndpointRoute, ...]:
        """Starts or adopts gobgpd. Returns what it announces already, for `Announcer.adopt`: nothing, if it is new.

        Raises GobgpError when gobgpd cannot be started.
        """
        await self._process.start()
        return tuple(self._routes[key] for key in sorted(self._routes))

    async def detach(self) -> None:
        """Lets go of gobgpd, which keeps what it announces."""
        await self._process.detach()
        await self._disconnect()

    async def stop(self) -> None:
        """Ends gobgpd. The regions remember what it announced; withdraw first what should go."""
        await self._process.stop()
        await self._disconnect()

    async def set_regions(self, regions: Mapping[str, int]) -> None:
        """The regions to hold sessions with: numbers by name."""
        async with self._lock:
            before, self._regions = self._regions, dict(regions)
            self._names = {region_address(number): name for name, number in regions.items()}
            changed = {name for name in before.keys() | regions.keys() if before.get(name) != regions.get(name)}
            for name in sorted(changed):
                self._session_down(name)
            await self._reconcile_neighbours()
            if changed & regions.keys() and self._client is not None:
                with contextlib.suppress(*_LOST):
                    await self._hear_snapshot(self._client)

    async def set_clusters(self, clusters: Collection[int]) -> None:
        """The clusters whose endpoints to hear of, by number."""
        async with self._lock:
            before, self._clusters = self._clusters or frozenset(), frozenset(clusters)
            paths = [emit_membership(self._space, c, leave=True) for c in sorted(before - self._clusters)]
            paths += [emit_membership(self._space, c) for c in sorted(self._clusters - before)]
            await self._send(paths)

    async def apply(self, plan: AnnouncementPlan) -> None:
        """Announces and withdraws. If gobgpd is away, it is told when it is back."""
        async with self._lock:
            paths = []
            for route in plan.announce:
                self._routes[route.key] = route
                paths.append(emit_announcement(self._space, route))
            for key in plan.withdraw:
                self._routes.pop(key, None)
                paths.append(emit_withdrawal(self._space, key))
            await self._send(paths)
            if not self._speaking:
                self._speaking = True
                await self._reconcile_neighbours()

    async def receive(self) -> tuple[Event, ...]:
        """Waits until something is heard; returns all that has been heard since, in order."""
        events = [await self._events.get()]
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return tuple(events)

    async def _send(self, paths: list[api.Path]) -> None:
        if self._client is not None and paths:
            try:
                await self._client.send(paths)
            except _LOST as error:  # the next gobgpd is told everything
                log.warning("gobgp.lost", error=str(error))

    async def _on_ready(self, adopted: bool) -> None:
        await self._disconnect()
        async with self._lock:
            client = GobgpClient(self._process.socket)
            if adopted:
                await self._take_over(client)
            else:
                await client.start(emit_site_global(self._site, self._process.endpoint.port))
                await client.send(emit_membership(self._space, cluster) for cluster in sorted(self._clusters or ()))
                await client.send(emit_announcement(self._space, self._routes[key]) for key in sorted(self._routes))
            self._client = client
            watching = asyncio.Event()
            self._spawn(self._watch(client, watching))
            async with asyncio.timeout(_WATCH_TIMEOUT):
                await watching.wait()
            await self._reconcile_neighbours()

    def _on_down(self) -> None:
        for name in self._regions:
            self._session_down(name)

    async def _disconnect(self) -> None:
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _spawn(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_over(self, client: GobgpClient) -> None:
        for path in await client.paths(VPN):
            if is_own(path):
                with contextlib.suppress(RouteError):
                    known = parse_route(self._space, path)
                    self._routes[known.key] = known
        members = set()
        for path in await client.paths(MEMBERSHIP):
            if is_own(path):
                members.add(parse_membership(path))
        wanted = frozenset(members) if self._clusters is None else self._clusters
        await client.send(emit_membership(self._space, cluster, leave=True) for cluster in sorted(members - wanted))
        await client.send(emit_membership(self._space, cluster) for cluster in sorted(wanted - members))
        self._clusters = wanted

    async def _reconcile_neighbours(self) -> None:
        client = self._client
        if client is None:
            return
        password = self._process.endpoint.password
        try:
            present = {p.conf.neighbor_address for p in await client.neighbours()} - {MARKER_ADDRESS}
            # Before the first `apply`, a gobgpd that was adopted keeps its neighbours, and a new one has none.
            wanted = {region_address(number): number for number in self._regions.values()}
            for address in sorted(present - wanted.keys()) if self._speaking else ():
                await client.delete_neighbour(address)
            for address in sorted(wanted.keys() - present) if self._speaking else ():
                await client.add_neighbour(emit_site_neighbour(wanted[address], password))
        except _LOST as error:
            log.warning("gobgp.lost", error=str(error))

    async def _watch(self, client: GobgpClient, watching: asyncio.Event) -> None:
        with contextlib.suppress(*_LOST):  # gobgpd ended: whoever supervises it brings another one
            async for response in client.watch():
                if response.HasField("table"):
                    for path in response.table.paths:
                        self._hear(path)
                elif response.peer.type == api.WatchEventResponse.PeerEvent.END_OF_INIT:
                    await self._hear_snapshot(client)
                    watching.set()
                elif response.peer.type != api.WatchEventResponse.PeerEvent.INIT:
                    self._hear_state(client, response.peer.peer)

    async def _hear_snapshot(self, client: GobgpClient) -> None:
        """What an adopted gobgpd knows. What has changed since the watch began follows: the last word is the newest."""
        for peer in await client.neighbours():
            name = self._names.get(peer.conf.neighbor_address)
            if name is not None and name not in self._up and peer.state.session_state == api.PeerState.ESTABLISHED:
                self._session_up(client, name)
        for path in await client.paths(VPN):
            self._hear(path)

    def _hear(self, path: api.Path) -> None:
        name = self._names.get(path.neighbor_ip)
        if name is None or not is_endpoint_family(path):
            return
        try:
            if path.is_withdraw:
                self._events.put_nowait(Withdrawn(name, parse_key(self._space, path)))
            else:
                route = parse_route(self._space, path)
                if route.site != self._site:
                    self._events.put_nowait(Announced(name, route, path.stale, is_origin_stale(path)))
        except RouteError as error:
            self.refused += 1
            log.warning("gobgp.route_refused", session=name, error=str(error))

    def _hear_state(self, client: GobgpClient, peer: api.Peer) -> None:
        if peer.state.neighbor_address == MARKER_ADDRESS:
            for session, generation in self._synced.items():
                if self._up.get(session) == generation:
                    self._events.put_nowait(EndOfRib(session))
            self._synced = {}
            self._marker.set()
            return
        name = self._names.get(peer.state.neighbor_address)
        if name is None:
            return
        if peer.state.session_state == api.PeerState.ESTABLISHED:
            if name not in self._up:
                self._session_up(client, name)
        elif name in self._up:
            self._session_down(name)

    def _session_up(self, client: GobgpClient, name: str) -> None:
        self._ups += 1
        self._up[name] = self._ups
        self._events.put_nowait(SessionUp(name))
        log.info("gobgp.session_up", session=name)
        self._spawn(self._await_end_of_rib(client, name, self._ups))

    def _session_down(self, name: str) -> None:
        if self._up.pop(name, None) is not None:
            log.warning("gobgp.session_down", session=name)
        self._events.put_nowait(SessionDown(name))

    async def _await_end_of_rib(self, client: GobgpClient, name: str, generation: int) -> None:
        """GoBGP tells of End-of-RIB only when asked; then a marker makes sure that all before it has been heard."""
        pause = _POLL_FIRST
        with contextlib.suppress(*_LOST):
            while self._up.get(name) == generation:
                if await self._has_ended(client, region_address(self._regions[name])):
                    await self._mark(client, name, generation)
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, _POLL_LAST)

    async def _has_ended(self, client: GobgpClient, address: str) -> bool:
        for peer in await client.neighbours(address):
            for family in peer.afi_safis:
                if family.config.family == VPN:
                    return bool(family.mp_graceful_restart.state.end_of_rib_received)
        return False

    async def _mark(self, client: GobgpClient, name: str, generation: int) -> None:
        async with self._marker_lock:
            with contextlib.suppress(*_LOST):
                await client.delete_neighbour(MARKER_ADDRESS)
            self._synced[name] = generation
            self._marker.clear()
            await client.add_neighbour(emit_marker())
            await self._marker.wait()
            await client.delete_neighbour(MARKER_ADDRESS)
