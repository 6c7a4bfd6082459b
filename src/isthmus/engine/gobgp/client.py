"""GoBGP's API, as far as it is needed, over a Unix socket."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import grpc

from isthmus.emit.gobgp.policy import ReflectorPolicy
from isthmus.generated import gobgp_pb2 as api
from isthmus.generated import gobgp_pb2_grpc

_BATCH = 500
_TIMEOUT = 30.0
_BULK_TIMEOUT = 300.0
_SETS = (api.PREFIX, api.NEIGHBOR, api.COMMUNITY, api.EXT_COMMUNITY)


class GobgpClient:
    """Calls raise `grpc.aio.AioRpcError`: UNAVAILABLE when gobgpd is gone, UNKNOWN with its words when it refuses."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.aio.insecure_channel(
            f"unix:{socket}",
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.default_authority", "localhost"),
                # A new gobgpd takes over the same path: look again at once.
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 200),
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self._stub = gobgp_pb2_grpc.GobgpApiStub(self._channel)

    async def close(self) -> None:
        await self._channel.close()

    async def start(self, settings: api.Global) -> None:
        """Gives a new gobgpd its identity and its port."""
        await self._stub.StartBgp(api.StartBgpRequest(**{"global": settings}), timeout=_TIMEOUT, wait_for_ready=True)

    async def add_neighbour(self, neighbour: api.Peer) -> None:
        await self._stub.AddPeer(api.AddPeerRequest(peer=neighbour), timeout=_TIMEOUT)

    async def delete_neighbour(self, address: str) -> None:
        await self._stub.DeletePeer(api.DeletePeerRequest(address=address), timeout=_TIMEOUT)

    async def neighbours(self, address: str = "") -> list[api.Peer]:
        """All neighbours with their state, or the one with this address."""
        call = self._stub.ListPeer(api.ListPeerRequest(address=address), timeout=_TIMEOUT, wait_for_ready=True)
        return [response.peer async for response in call]

    async def send_again(self, address: str) -> None:
        """Sends a neighbour all that it may have, as after a change of policy. Its session stays up."""
        request = api.ResetPeerRequest(address=address, soft=True, direction=api.ResetPeerRequest.OUT)
        await self._stub.ResetPeer(request, timeout=_TIMEOUT)

    async def send(self, paths: Iterable[api.Path]) -> None:
        """Announces and withdraws, in order."""

        async def batches() -> AsyncIterator[api.AddPathStreamRequest]:
            iterator = iter(paths)
            while batch := list(itertools.islice(iterator, _BATCH)):
                yield api.AddPathStreamRequest(table_type=api.GLOBAL, paths=batch)
                await asyncio.sleep(0)

        await self._stub.AddPathStream(batches(), timeout=_BULK_TIMEOUT)

    async def paths(self, family: api.Family) -> list[api.Path]:
        """All known paths, best or not, own ones too."""
        request = api.ListPathRequest(table_type=api.GLOBAL, family=family)
        call = self._stub.ListPath(request, timeout=_BULK_TIMEOUT, wait_for_ready=True)
        return [path async for response in call for path in response.destination.paths]

    async def count(self, family: api.Family) -> int:
        """How many destinations there are."""
        request = api.GetTableRequest(table_type=api.GLOBAL, family=family)
        return int((await self._stub.GetTable(request, timeout=_TIMEOUT)).num_destination)

    async def watch(self) -> AsyncIterator[api.WatchEventResponse]:
        """Changes of neighbours' states (the present ones first), and what they announce and policy accepts."""
        post_policy = api.WatchEventRequest.Table.Filter(type=api.WatchEventRequest.Table.Filter.POST_POLICY)
        request = api.WatchEventRequest(
            peer=api.WatchEventRequest.Peer(), table=api.WatchEventRequest.Table(filters=[post_policy])
        )
        async for response in self._stub.WatchEvent(request, wait_for_ready=True):
            yield response

    async def policies(self) -> set[str]:
        """The names of the policies in force."""
        names: set[str] = set()
        for direction in (api.IMPORT, api.EXPORT):
            request = api.ListPolicyAssignmentRequest(name="global", direction=direction)
            async for response in self._stub.ListPolicyAssignment(request, timeout=_TIMEOUT):
                names.update(policy.name for policy in response.assignment.policies)
        return names

    async def add_policy(self, policy: ReflectorPolicy) -> None:
        """Puts a policy into force."""
        for defined_set in policy.defined_sets:
            await self._stub.AddDefinedSet(api.AddDefinedSetRequest(defined_set=defined_set), timeout=_TIMEOUT)
        await self._stub.AddPolicy(api.AddPolicyRequest(policy=policy.policy), timeout=_TIMEOUT)
        request = api.AddPolicyAssignmentRequest(assignment=policy.assignment)
        await self._stub.AddPolicyAssignment(request, timeout=_TIMEOUT)

    async def delete_policy(self, name: str) -> None:
        """Takes a policy out of force and forgets it with the sets that are named like it."""
        for direction in (api.IMPORT, api.EXPORT):
            assignment = api.PolicyAssignment(name="global", direction=direction, policies=[api.Policy(name=name)])
            request = api.DeletePolicyAssignmentRequest(assignment=assignment)
            await self._stub.DeletePolicyAssignment(request, timeout=_TIMEOUT)
        await self._stub.DeletePolicy(api.DeletePolicyRequest(policy=api.Policy(name=name), all=True), timeout=_TIMEOUT)
        for kind in _SETS:
            call = self._stub.ListDefinedSet(api.ListDefinedSetRequest(defined_type=kind, name=name), timeout=_TIMEOUT)
            try:
                found = [response.defined_set async for response in call]
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAVAILABLE:
                    raise
                found = []  # "not found"
            for defined_set in found:
                if defined_set.name == name:
                    await self._stub.DeleteDefinedSet(
                        api.DeleteDefinedSetRequest(defined_set=defined_set, all=True), timeout=_TIMEOUT
                    )
