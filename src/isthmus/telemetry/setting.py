"""How to reach a receiver of telemetry, and what it is sent: the intent's form of a TelemetryReceiver.

Secrets are named here by key; whoever sends gets their contents beside. Durations are in milliseconds.
"""

from dataclasses import dataclass

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """A syslog receiver.

    Attributes:
        transport: UDP, TCP or TLS.
        trusted_ca: PEM; the system's when empty.
        facility: its number (RFC 5424, table 1).
    """

    host: str
    port: int
    transport: str
    trusted_ca: str = ""
    facility: int = 16
    application: str = "isthmus"


@dataclass(frozen=True, slots=True)
class FileSettings:
    """A file of the site. `path`: below the directory for such files, with the namespace as its folder."""

    path: str
    max_bytes: int
    keep: int


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What batches are posted to.

    Attributes:
        form: NDJSON or JSON for records; OTLP for OpenTelemetry's protocol, whose paths follow the URL.
        headers: name and value.
        secret_headers: name and the secret that holds the value.
        token: the secret that holds a bearer token.
        trusted_ca: PEM; the system's when empty.
        protocol: HTTP; or GRPC, for OTLP alone: then the URL has no path, and headers are the calls' metadata.
    """

    url: str
    form: str
    gzip: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    secret_headers: tuple[tuple[str, ObjectKey], ...] = ()
    token: ObjectKey | None = None
    trusted_ca: str = ""
    timeout: int = 10_000
    protocol: str = "HTTP"


Settings = SyslogSettings | FileSettings | HttpSettings
"""Of any target."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which records are sent.

    Attributes:
        namespaces: None: of all.
        virtual_hosts: `NAMESPACE/NAME` of those that are meant; None: all.
        share: of the records that neither failed nor were slow, 0 to 1.
        fabric: records of requests that come through the fabric, too.
    """

    namespaces: tuple[str, ...] | None = None
    virtual_hosts: tuple[str, ...] | None = None
    errors_only: bool = False
    share: float = 1.0
    per_second: int = 1000
    fabric: bool = False


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver as one site serves it.

    Attributes:
        logs: which records; None: none.
        traces: whether spans are sent, of the same namespaces and virtual hosts.
        metrics: milliseconds between reports; 0: none.
        buffer: bytes on disk for what it has not taken.
    """

    key: ObjectKey
    settings: Settings
    choice: Choice = Choice()
    logs: bool = True
    traces: bool = False
    metrics: int = 0
    buffer: int = 64 << 20
