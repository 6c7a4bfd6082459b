"""What a console is started with."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from isthmus.console.error import ConsoleError
from isthmus.exporter.setting import OtlpSettings
from isthmus.telemetry.retention import Retention


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """Settings of one console process.

    Attributes:
        state: directory of authority, identity and (with SQLite) the database; made with mode 0700 when missing.
        listen: host:port of the API (HTTPS). Port 0 takes a free one.
        stream: host:port of the stream that regions dial (gRPC over mTLS). Port 0 takes a free one.
        database: `postgresql://…` or `sqlite:///PATH`; SQLite in `state` when None.
        advertise: DNS names and addresses under which people and regions reach this console, best first. They are
            in its certificate and in join tokens.
        trust_domain: SPIFFE trust domain of a new deployment; a random one when None.
        secrets_key: file with the key to the private values in the database; `{state}/authority/secrets.key` when
            None. It is made when it is missing and there are no such values yet.
        telemetry: take telemetry from regions, and answer questions about it.
        telemetry_url: `http(s)://[user:password@]host:port[/database]` of a ClickHouse server; an embedded store in
            `state` when None.
        retention: how long telemetry is kept.
        alert_networks: networks besides the public internet to which alerts may be sent, and where ACME servers may
            be: both are declared by people of every namespace, who may not reach what the console can reach.
        metrics: host:port on a loopback address for /healthz and /metrics over plain HTTP; none when None.
        otlp: where the process's own metrics and log are sent; None for nowhere.
    """

    state: Path
    listen: str = "0.0.0.0:7400"
    stream: str = "0.0.0.0:7401"
    database: str | None = None
    advertise: tuple[str, ...] = ()
    trust_domain: str | None = None
    metrics: str | None = None
    secrets_key: Path | None = None
    telemetry: bool = True
    telemetry_url: str | None = None
    retention: Retention = field(default_factory=Retention)
    alert_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    otlp: OtlpSettings | None = None

    @property
    def database_url(self) -> str:
        """SQLAlchemy's form of the database's URL."""
        return database_url(self.state, self.database)


def database_url(state: Path, database: str | None) -> str:
    """SQLAlchemy's form of a database's URL; `{state}/console.db` when None.

    Raises:
        ConsoleError: the URL is of another database.
    """
    if database is None:
        return f"sqlite:///{(state / 'console.db').absolute()}"
    scheme, separator, rest = database.partition("://")
    if scheme in ("postgresql", "postgres", "postgresql+psycopg") and separator:
        return f"postgresql+psycopg://{rest}"
    if scheme == "sqlite" and separator:
        return database
    raise ConsoleError(f"{scheme!r} databases are not supported: use postgresql://… or sqlite:///PATH.")


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port` or `[v6]:port`.

    Raises:
        ConsoleError: the text is of another form.
    """
    host, separator, port = text.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ConsoleError(f"{text!r} is not an address to listen on: write HOST:PORT.")
    return host.removeprefix("[").removesuffix("]"), int(port)


def is_wildcard(host: str) -> bool:
    """Whether a listening address means all addresses of the machine."""
    return host in ("0.0.0.0", "::", "*")  # noqa: S104 - compared, not bound
