"""TelemetryReceiver: where sites send records of requests, traces and metrics, straight from where they are made."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.key import SHARED_NAMESPACE
from isthmus.model.label import Expression
from isthmus.model.object import Frozen, Name, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.tls import ServerName
from isthmus.model.value import HeaderName, HeaderValue, Percent, Port, PositiveDuration, count_set
from isthmus.model.where import Where

Method = Literal["syslog", "http", "file", "otlp"]
Signal = Literal["LOGS", "METRICS", "TRACES"]
Facility = Literal["USER", "DAEMON", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4", "LOCAL5", "LOCAL6", "LOCAL7"]
OTLP_GRPC_PORT = 4317
_METADATA = re.compile(r"(?!grpc-)[a-z0-9_.-]+")
_FILE = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._]{0,126}")


def _check_file(value: str) -> str:
    if not _FILE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not a file's name: use letters, digits, '-', '_' and '.', starting with a letter or digit; "
            "folders are the site's to choose"
        )
    return value


def _check_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must start with http:// or https:// and name a host")
    if parts.username or parts.password:
        raise ValueError("must hold no user or password; put them into a Secret and refer to it")
    if parts.query or parts.fragment:
        raise ValueError("must end with the path")
    try:
        good = parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ValueError("must have a port from 1 to 65535, or none")
    return value


Url = Annotated[str, Field(max_length=1024), AfterValidator(_check_url)]


def check_headers(url: str, names: list[str], *, secret: bool, trusting: bool) -> None:
    """What a receiver's URL and its headers ask of each other.

    Args:
        url: where bodies go.
        names: of all headers, that of a token included.
        secret: whether one of them holds a secret.
        trusting: whether an authority is named.

    Raises:
        ValueError: it could not work, or would show the secret.
    """
    parts = urlsplit(url)
    if secret and parts.scheme == "http" and not _is_local(parts.hostname or ""):
        raise ValueError(
            "url is http://, where secrets could be read on their way; use https://, or a receiver on this machine"
        )
    if trusting and parts.scheme == "http":
        raise ValueError("trustedAuthority means nothing with http://; use https://")
    if len(set(names)) != len(names):
        raise ValueError("the same header stands twice; a token is the header authorization")


def check_metadata(url: str, names: list[str]) -> None:
    """What gRPC asks of a receiver's URL and the names of its headers. Raises ValueError."""
    if urlsplit(url).path not in ("", "/"):
        raise ValueError("url has a path, and gRPC has none; leave it out, or use protocol HTTP")
    for name in names:
        if not _METADATA.fullmatch(name) or name.endswith("-bin"):
            raise ValueError(
                f"the header {name} cannot go with gRPC; use letters, digits, '-', '_' and '.', without grpc- in front "
                "and without -bin at the end"
            )


class LogSelection(Frozen):
    """Which records are sent. Every condition must hold."""

    namespaces: tuple[Name, ...] = Field(
        (),
        max_length=64,
        description="Namespaces whose requests count; all when empty. Only for a receiver in `shared`: others get "
        "those of their own namespace alone.",
    )
    virtual_hosts: tuple[Expression, ...] = Field(
        (),
        max_length=16,
        description="Label expressions over virtual hosts, of which one must hold; all of them when empty. Only "
        "requests of clients have a virtual host, so with this the records of the fabric are not sent.",
    )
    errors_only: bool = Field(False, description="Only requests that failed, by the service's fault or the client's.")
    sampling: Percent = Field(
        100.0,
        description="Share of the requests that neither failed nor took over a second. All sites choose the same ones.",
    )
    per_second: int = Field(
        1000,
        ge=1,
        le=100_000,
        description="At most about so many of these in a second from one site; beyond that the share becomes smaller.",
    )
    fabric: bool = Field(
        False,
        description="Send the records of requests that come through the fabric too: a second one of each request.",
    )


class SyslogTarget(Frozen):
    """A syslog receiver (RFC 5424). The message is the record as JSON."""

    host: ServerName = Field(description="Host name or IP address.")
    port: Port | None = Field(None, description="514, and 6514 with TLS, when left out.")
    transport: Literal["UDP", "TCP", "TLS"] = Field(
        "TLS",
        description="`TLS`: RFC 5425. `TCP`: the same frames (octet counting, RFC 6587) in the clear. `UDP`: one "
        "datagram per message (RFC 5426), which may be lost unnoticed.",
    )
    trusted_authority: Reference | None = Field(
        None, description="TrustedAuthority that issued the receiver's certificate; the system's when left out."
    )
    facility: Facility = Field("LOCAL0", description="Facility of the messages.")
    application: str = Field("isthmus", pattern=r"^[!-~]{1,48}$", description="APP-NAME of the messages.")

    @check_whole
    def _trusting(self) -> Self:
        if self.trusted_authority is not None and self.transport != "TLS":
            raise ValueError(f"trustedAuthority means nothing with the transport {self.transport}; use TLS")
        return self


class FileTarget(Frozen):
    """A file of each site, one JSON document per line."""

    name: Annotated[str, AfterValidator(_check_file)] = Field(
        description="Name of the file. It lies in the site's directory for such files, in a folder named after the "
        "receiver's namespace."
    )
    max_bytes: int = Field(
        100 << 20, ge=4096, le=10 << 30, description="From this size on the file is renamed and a new one begun."
    )
    keep: int = Field(5, ge=0, le=100, description="Renamed files that are kept: NAME.1 is the newest.")


class HeaderSetting(Frozen):
    """A header of every request to the receiver."""

    name: HeaderName
    value: HeaderValue | None = Field(None, description="The value.")
    secret: Reference | None = Field(None, description="Secret that holds the value.")

    @check_whole
    def _one(self) -> Self:
        if (self.value is None) == (self.secret is None):
            raise ValueError("set exactly one of value and secret")
        return self


class _OverHttp(Frozen):
    """What receivers over HTTP have in common."""

    url: Url = Field(description="Where records are posted to.")
    compression: Literal["GZIP", "NONE"] = Field("GZIP", description="Encoding of bodies.")
    headers: tuple[HeaderSetting, ...] = Field((), max_length=16, description="Headers of every request.")
    token: Reference | None = Field(None, description="Secret that holds a bearer token (RFC 6750).")
    trusted_authority: Reference | None = Field(
        None, description="TrustedAuthority that issued the receiver's certificate; the system's when left out."
    )
    timeout: PositiveDuration = Field("10s", description="For one request.")

    @check_whole
    def _guarded(self) -> Self:
        names = [header.name for header in self.headers]
        check_headers(
            self.url,
            [*names, "authorization"] if self.token is not None else names,
            secret=self.token is not None or any(header.secret is not None for header in self.headers),
            trusting=self.trusted_authority is not None,
        )
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """Secrets, then the authority."""
        for index, header in enumerate(self.headers):
            if header.secret is not None:
                yield Use(f"{field}.headers[{index}].secret", resolve(header.secret, "Secret", tenant, namespace))
        if self.token is not None:
            yield Use(f"{field}.token", resolve(self.token, "Secret", tenant, namespace))
        if self.trusted_authority is not None:
            trusted = resolve(self.trusted_authority, "TrustedAuthority", tenant, namespace)
            yield Use(f"{field}.trustedAuthority", trusted)


class HttpTarget(_OverHttp):
    """A log receiver over HTTP: records are posted in batches."""

    format: Literal["NDJSON", "JSON"] = Field(
        "NDJSON", description="`NDJSON`: one JSON document per line. `JSON`: an array of them."
    )


class TraceSetting(Frozen):
    """Which requests are traced."""

    sampling: Percent = Field(
        1.0,
        description="Share of clients' requests of which traces are begun. Where several receivers take traces of a "
        "virtual host, the largest holds, and each gets all traces.",
    )
    client_context: Literal["HONOR", "RESTART"] = Field(
        "HONOR",
        description="`HONOR`: a request with a `traceparent` belongs to the client's trace, and is traced if that "
        "says so. `RESTART`: what clients say is removed, for every virtual host of the site, and `sampling` alone "
        "decides; only for a receiver in `shared`. Where receivers of a site differ, RESTART holds.",
    )


class OtlpTarget(_OverHttp):
    """An OpenTelemetry collector, or anything else that takes OTLP over HTTP (protobuf) or gRPC."""

    url: Url = Field(
        description="Address of the receiver without `/v1/…`, for example `https://collector.internal:4318`. By gRPC "
        "it has no path, and its port is 4317 when left out; by HTTP that of the scheme."
    )
    protocol: Literal["HTTP", "GRPC"] = Field(
        "HTTP",
        description="`HTTP`: OTLP/HTTP, `/v1/logs`, `/v1/metrics` and `/v1/traces` below `url`. `GRPC`: OTLP/gRPC, "
        "over TLS with `https://` and in the clear with `http://`; headers and token are the calls' metadata.",
    )
    signals: tuple[Signal, ...] = Field(
        ("LOGS", "METRICS", "TRACES"), min_length=1, max_length=3, description="What is sent."
    )
    traces: TraceSetting = Field(TraceSetting(), description="Which requests are traced.")
    metrics_interval: PositiveDuration = Field("30s", description="Time between two reports of metrics.")

    @check_whole
    def _distinct(self) -> Self:
        if len(set(self.signals)) != len(self.signals):
            raise ValueError("the same signal stands twice in signals")
        return self

    @check_whole
    def _callable(self) -> Self:
        if self.protocol == "GRPC":
            check_metadata(self.url, [header.name for header in self.headers])
        return self


class TelemetryReceiverSpec(Spec):
    """Sites, exactly one target, and what it is sent."""

    alternatives: ClassVar[tuple[str, ...]] = ("syslog", "http", "file", "otlp")

    where: Where = Field(description="The site, or the virtual site, that sends.")
    syslog: SyslogTarget | None = Field(None, description="Records by syslog.")
    http: HttpTarget | None = Field(None, description="Records by HTTP.")
    file: FileTarget | None = Field(None, description="Records in a file of the site.")
    otlp: OtlpTarget | None = Field(None, description="Records, traces and metrics by OpenTelemetry's protocol.")
    logs: LogSelection = Field(LogSelection(), description="Which records are sent.")
    buffer_mib: int = Field(
        64,
        alias="bufferMiB",
        ge=1,
        le=10_240,
        description="MiB on each site's disk for what the receiver has not taken; beyond that the oldest is dropped, "
        "and counted.",
    )

    @check_whole
    def _one(self) -> Self:
        if count_set(self, self.alternatives) != 1:
            raise ValueError("set exactly one of syslog, http, file and otlp")
        return self

    @property
    def method(self) -> Method:
        """Which of the targets it is."""
        if self.syslog is not None:
            return "syslog"
        if self.http is not None:
            return "http"
        return "file" if self.file is not None else "otlp"

    @property
    def signals(self) -> tuple[Signal, ...]:
        """What is sent."""
        return self.otlp.signals if self.otlp is not None else ("LOGS",)

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The site or virtual site, then what the target needs."""
        yield from self.where.uses(tenant, "spec.where")
        if self.syslog is not None and self.syslog.trusted_authority is not None:
            trusted = resolve(self.syslog.trusted_authority, "TrustedAuthority", tenant, namespace)
            yield Use("spec.syslog.trustedAuthority", trusted)
        if self.http is not None:
            yield from self.http.uses(tenant, namespace, "spec.http")
        if self.otlp is not None:
            yield from self.otlp.uses(tenant, namespace, "spec.otlp")


class TelemetryReceiver(Object):
    """A log receiver or a collector of some sites. It gets what concerns its own namespace; in `shared`, everything."""

    plural: ClassVar[str] = "telemetryreceivers"

    kind: Literal["TelemetryReceiver"] = "TelemetryReceiver"
    spec: TelemetryReceiverSpec

    @check_whole
    def _own_namespace(self) -> Self:
        own = self.metadata.namespace
        others = [each for each in self.spec.logs.namespaces if each != own]
        if others and own != SHARED_NAMESPACE:
            raise ValueError(
                f"a receiver in the namespace {own} gets records of that alone; remove logs.namespaces, or put the "
                "receiver into shared"
            )
        return self

    @check_whole
    def _own_traces(self) -> Self:
        otlp, own = self.spec.otlp, self.metadata.namespace
        if otlp is not None and otlp.traces.client_context == "RESTART" and own != SHARED_NAMESPACE:
            raise ValueError(
                f"spec.otlp.traces.clientContext RESTART removes the traces of every namespace's clients, which the "
                f"namespace {own} cannot decide; leave it out, or put the receiver into shared"
            )
        return self


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
