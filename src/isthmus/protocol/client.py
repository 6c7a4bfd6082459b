"""The gRPC shell around a client session: dials, sends what the session has to say, dials again."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import grpc
import structlog

from isthmus.backoff import Backoff
from isthmus.generated import stream_pb2 as wire
from isthmus.identity.credential import Credential
from isthmus.protocol.client_session import ClientEvent, ClientSession, Welcomed
from isthmus.protocol.error import ProtocolError
from isthmus.protocol.server import MAX_MESSAGE_BYTES, METHOD, RETRY_AFTER

_log = structlog.get_logger()

_HELLO_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where to dial. `dns_name` is the server's `Identity.dns_name`, which its certificate has to carry; `longest_wait`
    the seconds that may pass between two tries."""

    name: str
    address: str
    port: int
    dns_name: str
    longest_wait: float = 15.0

    @property
    def target(self) -> str:
        """The address as gRPC writes it."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """Whether a stream works, since when (seconds since 1970), and the last error when it does not."""

    connected: bool
    since: float
    error: str = ""


class StreamClient:
    """Keeps one stream to `upstream` open until cancelled.

    `session` makes the session of each new stream, `handle` gets its events with it, `changed` hears whether the
    stream works. `linger` seconds pass between messages up, which gathers many reports in one.
    """

    def __init__(
        self,
        upstream: Upstream,
        credentials: Callable[[], Credential],
        session: Callable[[Callable[[], None]], ClientSession],
        handle: Callable[[ClientSession, ClientEvent], None],
        changed: Callable[[bool, str], None],
        linger: float = 0.0,
        random: Random | None = None,
    ) -> None:
        self.upstream = upstream
        self._credentials = credentials
        self._make_session = session
        self._handle = handle
        self._changed = changed
        self._linger = linger
        self._backoff = Backoff(
            random or Random(),  # noqa: S311 - spreads load, keeps no secret
            first=0.25,
            most=upstream.longest_wait,
        )

    async def run(self) -> None:
        """Dials for ever. Ends only by cancellation."""
        while True:
            error, retry_after = await self._once()
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # whatever may swallow a cancellation below, it ends here
                raise asyncio.CancelledError
            self._changed(False, error)
            wait = self._backoff.next_wait(retry_after)
            _log.info("stream.down", upstream=self.upstream.name, reason=error, retry_in=round(wait, 3))
            await asyncio.sleep(wait)

    async def _once(self) -> tuple[str, float]:
        credential = self._credentials()
        channel_credentials = grpc.ssl_channel_credentials(
            root_certificates=credential.bundle_pem,
            private_key=credential.key_pem,
            certificate_chain=credential.chain_pem,
        )
        async with grpc.aio.secure_channel(
            self.upstream.target, channel_credentials, options=channel_options(self.upstream)
        ) as channel:
            call = channel.stream_stream(
                METHOD, request_serializer=wire.Up.SerializeToString, response_deserializer=wire.Down.FromString
            )()
            try:
                return await self._converse(call)
            except grpc.aio.AioRpcError as error:
                return error.details() or str(error.code()), _retry_after(error)
            except (ProtocolError, TimeoutError) as error:
                return str(error) or "The server did not answer the hello.", 0.0
            except Exception as error:  # whatever a message did to us, the answer is another stream
                _log.exception("stream.failed", upstream=self.upstream.name)
                return f"{type(error).__name__}: {error}", 0.0
            finally:
                call.cancel()

    async def _converse(self, call: Any) -> tuple[str, float]:
        something = asyncio.Event()
        session = self._make_session(something.set)
        something.set()
        writer = asyncio.get_running_loop().create_task(self._write(call, session, something))
        try:
            async with asyncio.timeout(_HELLO_SECONDS):  # not wait_for: before Python 3.12 it can lose a cancellation
                message = await call.read()
            while message is not grpc.aio.EOF:
                for event in session.receive(message):
                    if isinstance(event, Welcomed):
                        self._backoff.reset()
                        self._changed(True, "")
                    self._handle(session, event)
                something.set()
                message = await call.read()
            code, details = await call.code(), await call.details()
            if code is grpc.StatusCode.OK:
                return "The server has ended the stream.", 0.0
            return details or str(code), _retry_after(call, await call.trailing_metadata())
        finally:
            session.close()
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def _write(self, call: Any, session: ClientSession, something: asyncio.Event) -> None:
        while True:
            await something.wait()
            something.clear()
            while (message := session.next_message()) is not None:
                await call.write(message)
            if self._linger:
                await asyncio.sleep(self._linger)


def channel_options(upstream: Upstream) -> list[tuple[str, Any]]:
    """How to dial: the name that the certificate has to carry, pings, sizes."""
    return [
        ("grpc.ssl_target_name_override", upstream.dns_name),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.enable_retries", 0),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def _retry_after(error: Any, metadata: Any = None) -> float:
    try:
        trailing = error.trailing_metadata() if metadata is None else metadata
        return max(0.0, min(60.0, float(dict(trailing or ()).get(RETRY_AFTER, "0"))))
    except (TypeError, ValueError):
        return 0.0
