"""The gRPC shell around a hub: mTLS, admission, a reader per stream, a writer while there is something to say."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import structlog

from isthmus.generated import stream_pb2 as wire
from isthmus.identity.certificate import parse_leaf
from isthmus.identity.credential import Credential
from isthmus.identity.error import IdentityError
from isthmus.protocol.admission import Admission
from isthmus.protocol.delivery import DeliveryService
from isthmus.protocol.error import PeerRefused
from isthmus.protocol.hub import Hub, Stream

METHOD = "/isthmus.stream.v1.Stream/Connect"
RETRY_AFTER = "isthmus-retry-after"
MAX_MESSAGE_BYTES = 256 << 20

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 4_000),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.max_concurrent_streams", 72),  # of a connection: a stream, and the batches of a region that come abreast
]

_log = structlog.get_logger()


class StreamServer:
    """Serves a hub's streams on one port. `credentials` gives the credential of now, so a renewal needs no restart.

    With `delivery` it takes batches of telemetry too.
    """

    def __init__(
        self,
        hub: Hub,
        credentials: Callable[[], Credential],
        admission: Admission | None = None,
        delivery: DeliveryService | None = None,
    ) -> None:
        self._hub = hub
        self._delivery = delivery
        self._credentials = credentials
        self._admission = admission or Admission()
        self._server: grpc.aio.Server | None = None
        self._open = 0

    async def start(self, listen: str) -> int:
        """Listens on "host:port" (port 0 takes a free one) and returns the port. Raises OSError when it is taken."""
        server = grpc.aio.server(options=_OPTIONS)
        handler = grpc.stream_stream_rpc_method_handler(
            self._connect,
            request_deserializer=wire.Up.FromString,
            response_serializer=wire.Down.SerializeToString,
        )
        service, method = METHOD.strip("/").rsplit("/", 1)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
        if self._delivery is not None:
            server.add_generic_rpc_handlers((self._delivery.handler(_identify),))
        try:
            port = server.add_secure_port(listen, _server_credentials(self._credentials))
        except RuntimeError as error:
            raise OSError(f"The stream cannot listen on {listen}: {error}.") from error
        if port == 0:
            raise OSError(f"The stream cannot listen on {listen}.")
        await server.start()
        self._server = server
        return int(port)

    async def stop(self, grace: float = 1.0) -> None:
        """Takes no new streams, ends the open ones after `grace` seconds at most. The hub stays usable."""
        if self._server is not None:
            await self._server.stop(grace)
            self._server = None

    async def _connect(self, requests: Any, context: Any) -> None:
        wait = self._admission.admit(self._open, time.monotonic())
        if wait:
            context.set_trailing_metadata(((RETRY_AFTER, f"{wait:.3f}"),))
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many new streams at once.")
        self._open += 1
        writer = _Writer(context)
        stream: Stream | None = None
        try:
            stream = self._hub.attach(_identify(context), writer.wake)
            writer.stream = stream
            while (message := await context.read()) is not grpc.aio.EOF:
                self._hub.deliver(stream, message)
        except (PeerRefused, IdentityError) as error:
            _log.warning("stream.refused", peer=context.peer(), reason=str(error))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(error))
        finally:
            self._open -= 1
            writer.close()
            if stream is not None:
                self._hub.detach(stream)


class _Writer:
    """Sends what the session has to say; its task lives only while there is something."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self.stream: Stream | None = None

    def wake(self) -> None:
        if self._task is None and self.stream is not None:
            self._task = asyncio.get_running_loop().create_task(self._drain(self.stream))

    def close(self) -> None:
        self.stream = None
        if self._task is not None:
            self._task.cancel()

    async def _drain(self, stream: Stream) -> None:
        try:
            while (message := stream.session.next_message()) is not None:
                await self._context.write(message)
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            self.stream = None  # the stream has ended; its reader says so
        finally:
            self._task = None


def _identify(context: Any) -> Any:
    pem = context.auth_context().get("x509_pem_cert")
    if not pem:
        raise PeerRefused("no_certificate", "A stream needs a client certificate.")
    return parse_leaf(pem[0]).identity


def _server_credentials(credentials: Callable[[], Credential]) -> Any:
    shown: list[Credential] = []

    def configuration() -> Any:
        credential = credentials()
        shown[:] = [credential]
        return grpc.ssl_server_certificate_configuration(
            [(credential.key_pem, credential.chain_pem)], root_certificates=credential.bundle_pem
        )

    def fetch() -> Any:
        """Called by gRPC for each handshake, from a thread of its own; None keeps what is shown."""
        return configuration() if credentials() is not shown[0] else None

    return grpc.dynamic_ssl_server_credentials(configuration(), fetch, require_client_authentication=True)
