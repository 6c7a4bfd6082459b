"""Messages of Envoy's access log service to a frame: one row per request or connection.

Nothing here runs once per record in Python. Whole messages are decoded to Arrow; what few records differ in (names,
upstream addresses, flags, TLS) is parsed once for each distinct value and joined.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
from google.protobuf.message import DecodeError
from ptars import HandlerPool

from isthmus.generated import access_pb2 as wire
from isthmus.telemetry.bucket import STEP
from isthmus.telemetry.flag import USUAL_END, class_of, parse_flags, words_of
from isthmus.telemetry.naming import EXTERNAL, Naming, parse_cluster_name, parse_route_name, site_of_uri

INGRESS = "ingress"
"""Log of requests of clients."""
EGRESS = "egress"
"""Log of requests that come through the fabric, or through the own site's door."""
LOGS = (INGRESS, EGRESS)
CREDENTIAL = "credential"
"""Follows the name of a log of requests that show a credential in a header. Which it is stays in Envoy."""

_METHODS = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
_PROTOCOLS = ("", "HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/3")
_TLS = ("", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_SAMPLED = r"^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f][13579bdf]$"
"""A `traceparent` (W3C Trace Context) of a trace that is recorded."""
_REMEMBERED = 20_000

RECORD_SCHEMA: dict[str, Any] = {
    "time": pl.Datetime("us", "UTC"),
    "log": pl.String,
    "namespace": pl.String,
    "virtual_host": pl.String,
    "route": pl.String,
    "cluster": pl.String,
    "subset": pl.String,
    "peer": pl.String,
    "endpoint": pl.String,
    "client": pl.String,
    "client_address": pl.String,
    "method": pl.String,
    "authority": pl.String,
    "path": pl.String,
    "protocol": pl.String,
    "code": pl.UInt16,
    "error": pl.String,
    "flags": pl.String,
    "details": pl.String,
    "user_agent": pl.String,
    "request_id": pl.String,
    "trace_id": pl.String,
    "tls": pl.String,
    "sni": pl.String,
    "received": pl.UInt64,
    "sent": pl.UInt64,
    "attempts": pl.UInt16,
    "total": pl.UInt32,
    "own": pl.UInt32,
    "upstream": pl.UInt32,
    "credential": pl.Boolean,
    "weight": pl.Float32,
}
"""Columns of a record. `peer`: the other site, for ingress where the request went, for egress where it came from.
`total`, `own` (in this Envoy) and `upstream` (beyond it) are microseconds. `credential`: whether the client showed one
in a header. `weight`: how many requests this one stands for, since not every one is kept."""


class Decoder:
    """Keeps what it has learned of names between batches. Not for use by two threads at once."""

    def __init__(self, naming: Naming) -> None:
        pool = HandlerPool([wire.DESCRIPTOR])
        self._handler = pool.get_for_message(wire.Message.DESCRIPTOR)
        self._naming = naming
        self._routes = _Dictionary(("namespace", "virtual_host", "route"), _route)
        self._clusters = _Dictionary(("cluster_namespace", "cluster", "subset"), _cluster)
        self._tls = _Dictionary(("uri", "caller", "tls", "sni"), _tls)
        self._use(naming)

    def use(self, naming: Naming) -> None:
        """Take another site's knowledge from now on."""
        if naming != self._naming:
            self._use(naming)

    def _use(self, naming: Naming) -> None:
        self._naming = naming
        self._upstreams = _Dictionary(("peer_site", "endpoint"), lambda raw: _upstream(naming, raw))

    def parse(self, name: str, messages: Sequence[bytes]) -> pl.DataFrame:
        """The records of messages of one log, columns as RECORD_SCHEMA.

        The name of a log is one of LOGS; of connections a route's name follows, then TCP or UDP, of requests CREDENTIAL
        may. Raises ValueError for another name, or for bytes that are no messages.
        """
        log, _, rest = name.partition(" ")
        route, _, protocol = rest.partition(" ")
        if log not in LOGS:
            raise ValueError(f"no log of the data path: {name!r}")
        try:
            batch = self._handler.list_to_record_batch(list(messages))
        except Exception as error:  # whatever the decoder says of damaged bytes
            raise ValueError(f"not messages of the access log service: {error}") from error
        frame = pl.DataFrame(batch)
        http = _entries(frame, "http_logs")
        tcp = _entries(frame, "tcp_logs")
        frames = [self._http(log, http, route == CREDENTIAL)] if http.height else []
        if tcp.height:
            frames.append(self._tcp(log, tcp.with_columns(route=pl.lit(route)), protocol or "TCP"))
        return pl.concat(frames) if frames else pl.DataFrame(schema=RECORD_SCHEMA)

    def _http(self, log: str, entries: pl.DataFrame, credential: bool) -> pl.DataFrame:
        flat = entries.select(
            pl.col("common_properties").struct.unnest(),
            pl.col("protocol_version"),
            pl.col("request").struct.unnest(),
            pl.col("response").struct.unnest(),
        )
        return self._finish(
            log,
            flat.with_columns(
                method=_word("request_method", _METHODS),
                path=pl.when(pl.col("original_path") != "").then("original_path").otherwise("path"),
                protocol=_word("protocol_version", _PROTOCOLS),
                code=pl.col("response_code").fill_null(0).cast(pl.UInt16, strict=False).fill_null(0),
                details=_first("upstream_transport_failure_reason", "response_code_details"),
                received=pl.col("request_body_bytes"),
                sent=pl.col("response_body_bytes"),
                credential=pl.lit(credential),
                trace_id=pl.col("request_headers").struct.field("value").str.extract(_SAMPLED).fill_null(""),
            ),
        )

    def _tcp(self, log: str, entries: pl.DataFrame, protocol: str) -> pl.DataFrame:
        flat = entries.select(
            pl.col("common_properties").struct.unnest(), pl.col("connection_properties").struct.unnest(), "route"
        )
        return self._finish(
            log,
            flat.with_columns(
                route_name=pl.when(pl.col("route_name") == "").then("route").otherwise("route_name"),
                method=pl.lit(""),
                path=pl.lit(""),
                authority=pl.lit(""),
                user_agent=pl.lit(""),
                request_id=pl.lit(""),
                trace_id=pl.lit(""),
                protocol=pl.lit(protocol),
                code=pl.lit(0, pl.UInt16),
                details=_first("upstream_transport_failure_reason", "connection_termination_details"),
                received=pl.col("received_bytes"),
                sent=pl.col("sent_bytes"),
                credential=pl.lit(False),
            ).drop("route"),
            USUAL_END if protocol == "UDP" else frozenset(),
        )

    def _finish(self, log: str, flat: pl.DataFrame, usual: frozenset[int] = frozenset()) -> pl.DataFrame:
        """`usual`: flags that say nothing here."""
        address = pl.col("downstream_remote_address").struct.field("socket_address").struct.field("address")
        frame = flat.with_columns(
            client_address=address.fill_null(""), start=pl.col("start_time").dt.cast_time_unit("us")
        )
        frame = self._routes.join(frame, "route_name")
        frame = self._clusters.join(frame, "upstream_cluster")
        frame = self._upstreams.join(frame, "upstream_remote_address")
        frame = self._tls.join(frame, "tls_properties")
        frame = self._flags(frame, usual)
        frame = frame.with_columns(total=_micros("duration")).with_columns(
            upstream=pl.min_horizontal(
                (_micros("time_to_last_upstream_rx_byte") - _micros("time_to_first_upstream_tx_byte")).clip(0), "total"
            )
        )
        frame = frame.with_columns(
            namespace=_first("namespace", "cluster_namespace"),
            subset=self._subset(),
            own=pl.col("total") - pl.col("upstream"),
            weight=pl.lit(1.0),
            attempts=pl.col("upstream_request_attempt_count").cast(pl.UInt16, strict=False).fill_null(0),
            **self._parties(log),
        )
        return frame.select(
            time=pl.col("start"),
            log=pl.lit(log),
            **{name: pl.col(name).cast(kind) for name, kind in RECORD_SCHEMA.items() if name not in ("time", "log")},
        )

    def _subset(self) -> pl.Expr:
        """The subset that was asked for at another site, or the one to which the endpoint at this site belongs."""
        named = pl.col("subset")
        if not self._naming.subsets:
            return named
        place = pl.concat_str("cluster", "endpoint", separator=" ")
        own = place.replace_strict(self._naming.subsets, default="", return_dtype=pl.String)
        return pl.when(named != "").then(named).otherwise(own)

    def _parties(self, log: str) -> dict[str, pl.Expr]:
        """Who is at the other end of the fabric, and who asked."""
        here = pl.lit(self._naming.site)
        reached = pl.col("upstream_remote_address") != b""
        if log == EGRESS:
            caller = pl.when(pl.col("caller") == "").then(here).otherwise("caller")
            return {"peer": caller, "client": pl.lit("")}
        known = pl.lit("", pl.String)
        if self._naming.clients:
            known = pl.col("client_address").replace_strict(self._naming.clients, default="", return_dtype=pl.String)
        return {
            "peer": pl.when(pl.col("peer_site") != "").then("peer_site").when(reached).then(here).otherwise(pl.lit("")),
            "client": pl.when(pl.col("uri") != "")
            .then("uri")
            .when(known != "")
            .then(known)
            .otherwise(pl.lit(EXTERNAL)),
        }

    def _flags(self, frame: pl.DataFrame, usual: frozenset[int]) -> pl.DataFrame:
        """Flags in words and the class of failure: they follow from flags and status, of which there are few pairs."""
        pairs = frame.select("response_flags", "code").unique()
        rows = []
        for raw, code in pairs.iter_rows():
            flags = _flags(raw) - usual
            rows.append((raw, code, words_of(flags), class_of(flags, code)))
        schema = {"response_flags": pl.Binary, "code": pl.UInt16, "flags": pl.String, "error": pl.String}
        table = pl.DataFrame(rows, schema=schema, orient="row")
        return frame.join(table, on=["response_flags", "code"], how="left")


class _Dictionary:
    """Distinct values of a column and what they were parsed to, kept between batches up to a limit."""

    def __init__(self, names: tuple[str, ...], parse: Callable[[Any], tuple[str, ...]]) -> None:
        self._names = names
        self._parse = parse
        self._known: dict[Any, tuple[str, ...]] = {}

    def join(self, frame: pl.DataFrame, column: str) -> pl.DataFrame:
        """The frame with the parsed columns."""
        values = frame.get_column(column).unique()
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        if values.len() == 1:  # the usual case for a log without TLS or with one route
            return frame.with_columns(
                pl.lit(text).alias(name) for name, text in zip(self._names, self._look(values[0]), strict=True)
            )
        rows = [(value, *self._look(value)) for value in values]
        schema: dict[str, Any] = {column: values.dtype, **dict.fromkeys(self._names, pl.String)}
        return frame.join(pl.DataFrame(rows, schema=schema, orient="row"), on=column, how="left")

    def _look(self, value: Any) -> tuple[str, ...]:
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._parse(value)
        return found


def _entries(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    entries = frame.select(pl.col(column).struct.field("log_entry").explode()).drop_nulls()
    return entries.unnest("log_entry")


def _route(text: str) -> tuple[str, ...]:
    name = parse_route_name(text)
    return name.namespace, name.virtual_host, name.route


def _cluster(text: str) -> tuple[str, ...]:
    name = parse_cluster_name(text)
    return name.namespace, name.cluster, name.subset


def _upstream(naming: Naming, raw: bytes) -> tuple[str, ...]:
    """The other site, or the endpoint at this one."""
    try:
        socket = wire.Address.FromString(raw).socket_address
    except DecodeError:
        return "", ""
    if not socket.address:
        return "", ""
    host = f"[{socket.address}]" if ":" in socket.address else socket.address
    text = f"{host}:{socket.port_value}"
    site = naming.sites.get(text, "")
    return site, "" if site else text


def _tls(raw: bytes) -> tuple[str, ...]:
    try:
        tls = wire.Tls.FromString(raw)
    except DecodeError:
        return "", "", "", ""
    uris = [name.uri or name.dns for name in tls.peer_certificate_properties.subject_alt_name]
    version = _TLS[tls.tls_version] if 0 <= tls.tls_version < len(_TLS) else ""
    uri = next((uri for uri in uris if uri), "")
    return uri, site_of_uri(uri), version, tls.tls_sni_hostname


def _flags(raw: bytes) -> frozenset[int]:
    try:
        return parse_flags(raw)
    except IndexError:
        return frozenset()


def _word(column: str, words: Iterable[str]) -> pl.Expr:
    """A small number as its word."""
    return pl.col(column).replace_strict(dict(enumerate(words)), default="", return_dtype=pl.String)


def _first(*columns: str) -> pl.Expr:
    """The first of some texts that is not empty."""
    expression: Any = pl.when(pl.col(columns[0]) != "").then(columns[0])
    for column in columns[1:-1]:
        expression = expression.when(pl.col(column) != "").then(column)
    result: pl.Expr = expression.otherwise(columns[-1])
    return result


def _micros(column: str) -> pl.Expr:
    """A duration in microseconds, 0 to an hour and a bit."""
    return pl.col(column).dt.total_microseconds().fill_null(0).clip(0, 4_000_000_000)


def bucket_expression(column: str) -> pl.Expr:
    """As `bucket.bucket_of`, for a column."""
    value = pl.col(column)
    return pl.when(value > 0).then((value.cast(pl.Float64).log() / STEP).floor() + 1).otherwise(0).cast(pl.UInt16)
