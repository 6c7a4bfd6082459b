"""Telemetry beside the stream: the end that takes batches, on the same port and with the same certificates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import grpc

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.name import Identity, Role
from isthmus.protocol.error import PeerRefused, ProtocolError
from isthmus.protocol.shelf import Shelf

METHOD = "/isthmus.stream.v1.Telemetry/Deliver"

Take = Callable[[Identity, str, bytes], Awaitable[str]]
"""Keeps a batch of a subject that came from a peer; returns why it never will, empty when it does. Raises
ProtocolError for one to be sent again."""


def may_deliver(shelf: Shelf, peer: Identity, subject: str) -> bool:
    """Whether a peer may bring a subject's batches: its own, and a region those of the sites that it serves."""
    return subject == peer.subject or (peer.role is Role.REGION and shelf.chain(subject, peer.subject) is not None)


class DeliveryService:
    """The receiving end, for a StreamServer's `services`. `take` is only asked for batches that the peer may bring."""

    def __init__(self, shelf: Shelf, roles: Iterable[Role], take: Take, subject_of: Callable[[bytes], str]) -> None:
        self._shelf = shelf
        self._roles = frozenset(roles)
        self._take = take
        self._subject_of = subject_of

    def handler(self, identify: Callable[[Any], Identity]) -> Any:
        """The generic handler for gRPC; `identify` reads the peer's certificate."""

        async def deliver(body: bytes, context: Any) -> Any:
            try:
                refusal = await self.receive(identify(context), body)
            except PeerRefused as error:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
            except ProtocolError as error:
                await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            return wire.Receipt(refusal=refusal)

        service, method = METHOD.strip("/").rsplit("/", 1)
        rpc = grpc.unary_unary_rpc_method_handler(
            deliver, request_deserializer=None, response_serializer=wire.Receipt.SerializeToString
        )
        return grpc.method_handlers_generic_handler(service, {method: rpc})

    async def receive(self, peer: Identity, body: bytes) -> str:
        """As `Take`. Raises PeerRefused for a peer that has no business here, or a site that brings what is not its
        own; what a region brings of others' sites is refused for good."""
        if peer.role not in self._roles:
            raise PeerRefused("wrong_peer", f"{peer.uri} has no business here.")
        try:
            subject = self._subject_of(body)
        except ValueError as error:
            return str(error)
        if not may_deliver(self._shelf, peer, subject):
            if peer.role is Role.REGION:  # of a site that was deleted: others' batches wait behind this one
                return f"{subject} is no site of {peer.subject}."
            raise PeerRefused("wrong_subject", f"{peer.uri} may not bring batches of {subject}.")
        return await self._take(peer, subject, body)
