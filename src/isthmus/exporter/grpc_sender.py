"""OTLP over gRPC: the same messages as over HTTP, as unary calls of OpenTelemetry's collector services."""

import gzip
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import grpc

from isthmus.discovery.http import short
from isthmus.discovery.tls import make_context
from isthmus.exporter.delivery import GZIP, BodyRefused, SecretHeaders, Unsent, rejected_items, unspoken
from isthmus.model.telemetry_receiver import OTLP_GRPC_PORT
from isthmus.telemetry.setting import HttpSettings

METHODS = {
    kind: f"/opentelemetry.proto.collector.{name}.v1.{name.capitalize()}Service/Export"
    for kind, name in ((b"L", "logs"), (b"M", "metrics"), (b"T", "trace"))
}
"""First byte of an OTLP body on the spool, and what is called with the rest."""
_HOPELESS = frozenset((grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED))
"""Codes that say that this body will never be taken. Others may end, as a wrong token."""
_TRY_LATER = b"google.rpc.RetryInfo"
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # the spool does that
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 10_000),
    ("grpc.keepalive_time_ms", 300_000),  # collectors end connections that ask more often
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.use_local_subchannel_pool", 1),  # two receivers at one address share neither trust nor pauses
)
_SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


class GrpcSender:
    """Calls one collector, over a channel that connects when it is used. Raises SettingError: what is trusted is not
    PEM."""

    def __init__(self, settings: HttpSettings, secrets: SecretHeaders) -> None:
        parts = urlsplit(settings.url)
        self._settings = settings
        self._secrets = secrets
        self._host = parts.hostname or ""
        host = f"[{self._host}]" if ":" in self._host else self._host
        target = f"dns:///{host}:{parts.port or OTLP_GRPC_PORT}"
        if parts.scheme == "https":
            make_context(settings.trusted_ca.encode())  # gRPC itself says nothing about roots that are none
            credentials = grpc.ssl_channel_credentials(settings.trusted_ca.encode() or _system_roots())
            self._channel = grpc.aio.secure_channel(target, credentials, _OPTIONS)
        else:
            self._channel = grpc.aio.insecure_channel(target, _OPTIONS)
        self._calls = {kind: self._channel.unary_unary(method) for kind, method in METHODS.items()}

    async def send(self, body: bytes) -> int:
        """See Sender."""
        settings = self._settings
        secrets = self._secrets()
        kind, message = body[:1], body[1:]
        if message.startswith(GZIP):  # of gRPC, compression is a matter of frames
            message = gzip.decompress(message)
        try:
            answer = await self._calls[kind](
                message,
                metadata=(*settings.headers, *secrets.items()),
                timeout=settings.timeout / 1000,
                compression=grpc.Compression.Gzip if settings.gzip else grpc.Compression.NoCompression,
            )
        except grpc.aio.AioRpcError as error:
            raise self._refusal(error, unspoken(secrets, settings.headers)) from error
        return rejected_items(answer)

    async def close(self) -> None:
        """End the connection."""
        await self._channel.close()

    def _refusal(self, error: grpc.aio.AioRpcError, secrets: list[str]) -> Exception:
        code, details = error.code(), error.details() or ""
        if "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details:
            return Unsent(f"{self._host} shows a certificate that is not trusted; check the trusted CA")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Unsent(f"{self._host} does not answer")
        if "failed to connect" in details.lower() or "resolution" in details.lower():
            return Unsent(f"{self._host} cannot be reached ({short(details, secrets)})")
        text = f"{self._host} answered {code.name}: {short(details, secrets)}"
        later = any(_TRY_LATER in _bytes(value) for _, value in error.trailing_metadata() or ())
        if code in _HOPELESS or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and not later):
            return BodyRefused(text)
        return Unsent(text)


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _system_roots() -> bytes | None:
    """The system's, as everywhere else; None: gRPC's own."""
    for path in (ssl.get_default_verify_paths().cafile, _SYSTEM_ROOTS):
        try:
            if path:
                return Path(path).read_bytes()
        except OSError:
            continue
    return None
