"""The route reflector of a region: passes on what sites say, to those that may hear it and want to."""

import asyncio
import contextlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import structlog

from isthmus.emit.gobgp.address import region_address, session_address
from isthmus.emit.gobgp.neighbour import emit_reflector_region, emit_reflector_site, emit_region_global
from isthmus.emit.gobgp.path import MEMBERSHIP, VPN, emit_membership, is_own, parse_membership
from isthmus.emit.gobgp.policy import (
    ReflectorPolicy,
    emit_common_policies,
    emit_region_policies,
    emit_site_policies,
)
from isthmus.engine.gobgp.client import GobgpClient
from isthmus.engine.gobgp.process import Door, GobgpProcess
from isthmus.generated import gobgp_pb2 as api
from isthmus.health.codec import RouteSpace

log = structlog.get_logger()

_LOST = (grpc.aio.AioRpcError, grpc.aio.UsageError)


@dataclass(frozen=True, slots=True)
class ReflectorConfig:
    """Who the neighbours are. `sites`: by number, the numbers of the clusters that the site's manifest imports.

    `regions`: the numbers of the other regions. A site whose manifest is not known does not belong here: it would be
    told, wrongly, that there is nothing for it.
    """

    sites: Mapping[int, Collection[int]] = field(default_factory=dict)
    regions: Collection[int] = ()


@dataclass(frozen=True, slots=True)
class ReflectorStatus:
    """What a reflector holds: endpoint routes, and who is connected (by number)."""

    routes: int
    sites: frozenset[int]
    regions: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Held:
    """What a gobgpd holds of what it was told: names of policies, addresses of neighbours, clusters it asks for."""

    policies: frozenset[str]
    neighbours: frozenset[str]
    members: frozenset[int]


class Reflector:
    """Keeps a gobgpd in accord with the configuration that was applied last.

    Apply all that is known before `start`: neighbours that a gobgpd which has lost its routes gets from the start are
    waited for, before any of them is told that this was all (RFC 4724). Neighbours that come later are not.
    """

    def __init__(self, directory: Path, space: RouteSpace, region: int) -> None:
        self._directory = directory
        self._space = space
        self._region = region
        self._process = GobgpProcess(directory, f"region {space} {region}", self._on_ready, lambda: None)
        self._client: GobgpClient | None = None
        self._config = ReflectorConfig()
        self._held: _Held | None = None
        self._lock = asyncio.Lock()

    @property
    def door(self) -> Door | None:
        """Where the region's ends of the tunnels connect; None while there is no gobgpd."""
        return self._process.door

    @property
    def pid(self) -> int | None:
        """The gobgpd process."""
        return self._process.pid

    @property
    def restarts(self) -> int:
        """How often gobgpd had to be restarted."""
        return self._process.restarts

    async def start(self) -> bool:
        """Starts or adopts gobgpd. Returns whether it was adopted. Raises GobgpError when it cannot be started."""
        return await self._process.start()

    async def detach(self) -> None:
        """Lets go of gobgpd. Its sessions end with the tunnels, and its neighbours remember what it said."""
        await self._process.detach()
        await self._close()

    async def stop(self) -> None:
        """Ends gobgpd. Its neighbours remember what it said."""
        await self._process.stop()
        await self._close()

    async def apply(self, config: ReflectorConfig) -> None:
        """Makes this the configuration, now if there is a gobgpd, and whenever there is one."""
        async with self._lock:
            self._config = config
            if self._client is not None:
                try:
                    await self._reconcile(self._client, frozenset())
                except _LOST as error:  # the next gobgpd is told everything
                    log.warning("gobgp.lost", error=str(error))

    async def status(self) -> ReflectorStatus:
        """What it holds and who is connected; nothing while there is no gobgpd."""
        up: set[str] = set()
        routes = 0
        if self._client is not None:
            with contextlib.suppress(*_LOST):
                for peer in await self._client.neighbours():
                    if peer.state.session_state == api.PeerState.ESTABLISHED:
                        up.add(peer.conf.neighbor_address)
                routes = await self._client.count(VPN)
        return ReflectorStatus(
            routes,
            frozenset(site for site in self._config.sites if session_address(site) in up),
            frozenset(region for region in self._config.regions if region_address(region) in up),
        )

    async def _on_ready(self, adopted: bool) -> None:
        async with self._lock:
            await self._close()
            client = GobgpClient(self._process.socket)
            if not adopted:
                await client.start(emit_region_global(self._region, self._process.endpoint.port))
            self._held = None
            await self._reconcile(client, frozenset() if adopted else self._read_known())
            self._client = client

    async def _close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _reconcile(self, client: GobgpClient, awaited: frozenset[str]) -> None:
        """Policies first, so that no neighbour is ever without. `awaited`: addresses that knew an earlier gobgpd.

        The reflector asks for all clusters that any site may hear. One membership for all would do (the default route
        target of RFC 4684), but GoBGP 3.10 stops with a panic when it loses a session that had announced it.
        """
        wanted: dict[str, ReflectorPolicy] = {policy.name: policy for policy in emit_common_policies()}
        again: dict[str, str] = {}
        for site, clusters in self._config.sites.items():
            for policy in emit_site_policies(self._space, site, clusters):
                wanted[policy.name] = policy
                if policy.direction == api.EXPORT:
                    again[policy.name] = session_address(site)
        for region in self._config.regions:
            wanted |= {policy.name: policy for policy in emit_region_policies(region)}
        neighbours = self._neighbours(awaited)
        held, self._held = self._held or await _ask(client), None
        for address in sorted(held.neighbours - neighbours.keys()):
            await client.delete_neighbour(address)
        fresh = wanted.keys() - held.policies
        for name in sorted(fresh):
            await client.add_policy(wanted[name])
        for name in sorted(held.policies - wanted.keys()):
            await client.delete_policy(name)
        members = frozenset(cluster for clusters in self._config.sites.values() for cluster in clusters)
        await client.send(emit_membership(self._space, cluster) for cluster in sorted(members - held.members))
        await client.send(
            emit_membership(self._space, cluster, leave=True) for cluster in sorted(held.members - members)
        )
        for address in sorted(neighbours.keys() - held.neighbours):
            await client.add_neighbour(neighbours[address])
        for name in sorted(fresh & again.keys()):
            if again[name] in held.neighbours:
                await client.send_again(again[name])
        self._held = _Held(frozenset(wanted), frozenset(neighbours), members)
        if neighbours.keys() != held.neighbours:
            self._write_known(neighbours)

    def _neighbours(self, awaited: frozenset[str]) -> dict[str, api.Peer]:
        password = self._process.endpoint.password
        found = {}
        for site in self._config.sites:
            address = session_address(site)
            found[address] = emit_reflector_site(site, password, restarting=address in awaited)
        for region in self._config.regions:
            address = region_address(region)
            found[address] = emit_reflector_region(region, password, restarting=address in awaited)
        return found

    @property
    def _known_path(self) -> Path:
        return self._directory / "neighbours.json"

    def _read_known(self) -> frozenset[str]:
        try:
            return frozenset(map(str, json.loads(self._known_path.read_bytes())))
        except (OSError, ValueError, TypeError):
            return frozenset()

    def _write_known(self, neighbours: Collection[str]) -> None:
        new = self._known_path.with_suffix(".new")
        new.write_text(json.dumps(sorted(neighbours)))
        new.replace(self._known_path)


async def _ask(client: GobgpClient) -> _Held:
    """What an adopted gobgpd holds, or one that failed half-way. Asked rarely: a full one takes long."""
    return _Held(
        frozenset(await client.policies()),
        frozenset(peer.conf.neighbor_address for peer in await client.neighbours()),
        frozenset(parse_membership(path) for path in await client.paths(MEMBERSHIP) if is_own(path)),
    )
