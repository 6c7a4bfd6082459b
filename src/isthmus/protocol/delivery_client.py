"""Telemetry beside the stream: the end that sends batches, over connections of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import grpc

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.credential import Credential
from isthmus.protocol.client import Upstream, channel_options
from isthmus.protocol.delivery import METHOD
from isthmus.protocol.error import ProtocolError

_SECONDS = 20.0


class DeliveryClient:
    """Sends batches to the first upstream that takes them. `upstreams` gives those that are connected, best first."""

    def __init__(self, upstreams: Callable[[], Iterable[Upstream]], credential: Callable[[], Credential]) -> None:
        self._upstreams = upstreams
        self._credential = credential
        self._channels: dict[Upstream, tuple[Credential, Any]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def deliver(self, body: bytes) -> str:
        """Why the batch will never be taken; empty when it was. Raises ProtocolError when nobody could take it now."""
        reason = "No region is connected."
        for upstream in list(self._upstreams()):
            call = self._channel(upstream).unary_unary(
                METHOD, request_serializer=None, response_deserializer=wire.Receipt.FromString
            )
            try:
                return str((await call(body, timeout=_SECONDS)).refusal)
            except grpc.aio.AioRpcError as error:
                reason = f"{upstream.name}: {error.details() or error.code().name}"
        raise ProtocolError("not_delivered", reason)

    async def close(self) -> None:
        """Ends all connections."""
        for _, channel in self._channels.values():
            await channel.close()
        self._channels.clear()
        for task in list(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _end(self, channel: Any) -> None:
        """Close a connection once what is under way on it has its answer."""
        task = asyncio.get_running_loop().create_task(channel.close(_SECONDS))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def _channel(self, upstream: Upstream) -> Any:
        credential = self._credential()
        known = self._channels.get(upstream)
        if known is not None and known[0] is credential:
            return known[1]
        wanted = set(self._upstreams())
        for each in [each for each in self._channels if each not in wanted or each == upstream]:
            self._end(self._channels.pop(each)[1])
        channel = grpc.aio.secure_channel(
            upstream.target,
            grpc.ssl_channel_credentials(
                root_certificates=credential.bundle_pem,
                private_key=credential.key_pem,
                certificate_chain=credential.chain_pem,
            ),
            options=channel_options(upstream),
            compression=grpc.Compression.NoCompression,
        )
        self._channels[upstream] = (credential, channel)
        return channel
