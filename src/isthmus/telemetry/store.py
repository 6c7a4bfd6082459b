"""The store through ClickHouse's HTTP interface: the embedded one on a Unix socket, or a server by its URL."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from isthmus.telemetry.batch import SCHEMAS, Batch
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.schema import REMEMBERED, columns_of, emit_schema

_READ_LIMITS = {"readonly": "1", "max_execution_time": "15", "max_result_rows": "200000"}
_SECONDS = 30.0
Parameter = str | int | float | Sequence[str] | Sequence[int]


class StoreUnavailable(Exception):
    """The store does not answer, or has no room. What was asked may be asked again.

    `answered`: it did answer, so that the reason may be what it was asked.
    """

    def __init__(self, message: str, *, answered: bool = False) -> None:
        super().__init__(message)
        self.answered = answered


class QueryRefused(Exception):
    """The store does not answer this question: it takes too long, or is wrong. `status`: of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Told:
    """A batch, and whose it is: that is said by the console and not by its rows, for a site speaks for itself alone."""

    tenant: str
    site: str
    role: str
    batch: Batch

    @property
    def name(self) -> str:
        """Names the batch among all."""
        return f"{self.tenant}/{self.role}/{self.site}/{self.batch.token}"

    @property
    def hours(self) -> frozenset[int]:
        """The hours that its rows are of, since 1970: of many of them one insert cannot be."""
        found: set[int] = set()
        for name, frame in self.batch.tables.items():
            if name in ("signal", "latency"):
                found.update((frame["time"].dt.epoch("s") // 3600).unique().to_list())
        return frozenset(found)

    @property
    def size(self) -> int:
        """Bytes that its rows take in memory, about."""
        return sum(int(frame.estimated_size()) for frame in self.batch.tables.values())

    @property
    def frames(self) -> dict[str, pl.DataFrame]:
        """Rows by table, with whose they are."""
        tables = {name: frame for name, frame in self.batch.tables.items() if frame.height}
        if self.batch.losses:
            lost = list(self.batch.losses.items())
            frame = pl.DataFrame(lost, schema={"reason": pl.String, "requests": pl.UInt64}, orient="row")
            moment = pl.lit(int(self.batch.at)).cast(pl.UInt32)
            tables["loss"] = frame.with_columns(role=pl.lit(self.role), time=moment)
        return {
            name: frame.with_columns(tenant=pl.lit(self.tenant), site=pl.lit(self.site))
            for name, frame in tables.items()
        }


class TelemetryStore:
    """`url` is `http(s)://[user:password@]host:port[/database]`, or a Path: the Unix socket of the embedded store."""

    def __init__(self, url: str | Path) -> None:
        self.database = "isthmus"
        if isinstance(url, Path):
            self._client = httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(uds=str(url)), base_url="http://store", timeout=_SECONDS
            )
        else:
            parsed = httpx.URL(url)
            self.database = parsed.path.strip("/") or self.database
            headers = {}
            if parsed.username:  # not in the URL, which proxies and errors may show
                headers = {"X-ClickHouse-User": parsed.username, "X-ClickHouse-Key": parsed.password}
            base = parsed.copy_with(path="/", username="", password="")
            self._client = httpx.AsyncClient(base_url=base, headers=headers, timeout=_SECONDS)

    async def close(self) -> None:
        """Ends all connections."""
        await self._client.aclose()

    async def prepare(self, retention: Retention) -> None:
        """Make the tables that are missing. Raises StoreUnavailable, QueryRefused."""
        await self._post({"query": f"CREATE DATABASE IF NOT EXISTS {self.database}", "database": "default"})
        for statement in emit_schema(retention):
            await self.execute(statement)

    async def execute(self, sql: str) -> None:
        """Run a statement of ours. Raises StoreUnavailable, QueryRefused."""
        await self._post({"query": sql})

    async def keep(
        self, group: str, told: Sequence[Told], apart: set[str] | None = None, *, patient: bool = True
    ) -> dict[str, str]:
        """Keep batches. The same group again, with the same `apart`, changes nothing.

        Args:
            group: a name that no other group has.
            told: the batches.
            apart: tables into which the batches go one by one; those are added for which the store refuses them all,
                because of one of them: the others are not to suffer for it.
            patient: whether a batch that the store has no room for may be tried again; otherwise it is refused.

        Returns why some were refused, by their names; raises StoreUnavailable: try the same group again.
        """
        apart = apart if apart is not None else set()
        refused: dict[str, str] = {}
        for table in dict.fromkeys(table for each in told for table in each.frames):
            parts = [(each.name, each.frames[table]) for each in told if table in each.frames]
            token = f"{group}/{table}"
            if table not in apart:
                try:
                    await self._insert(table, pl.concat([frame for _, frame in parts]), token)
                    continue
                except QueryRefused:
                    apart.add(table)
            for number, (name, frame) in enumerate(parts):
                try:
                    await self._insert(table, frame, f"{token}/{number}")
                except QueryRefused as error:
                    refused[name] = str(error)
                except StoreUnavailable as error:
                    if patient or not error.answered:
                        raise
                    refused[name] = str(error)
        names = [(each.tenant, each.site, each.name) for each in told if each.name not in refused]
        if names:
            frame = pl.DataFrame(names, schema=["tenant", "site", "name"], orient="row")
            frame = frame.with_columns(time=pl.lit(int(time.time())).cast(pl.UInt32))
            try:
                await self._insert("taken", frame, f"{group}/taken")
            except QueryRefused as error:  # they are in, so none may be told that it is not
                raise StoreUnavailable(str(error)) from error
        return refused

    async def remembered(self) -> list[str]:
        """The names of the newest batches that are kept, the newest first. Raises StoreUnavailable, QueryRefused."""
        rows = await self.query(f"SELECT name FROM taken ORDER BY time DESC LIMIT {REMEMBERED}", {})  # noqa: S608
        return [row["name"] for row in rows]

    async def _insert(self, table: str, frame: pl.DataFrame, token: str) -> None:
        if table in SCHEMAS and table != "record":
            frame = frame.with_columns(pl.col("time").dt.epoch("s").cast(pl.UInt32))
        names = list(columns_of(table)) if table in SCHEMAS else frame.columns
        body = io.BytesIO()
        frame.select(names).write_ipc_stream(body)
        columns = ", ".join(f"`{name}`" for name in names)
        query = {
            "query": f"INSERT INTO {table} ({columns}) FORMAT ArrowStream",
            "insert_deduplication_token": token,
            "deduplicate_blocks_in_dependent_materialized_views": "1",
        }
        try:
            await self._post(query, body.getvalue())
        except QueryRefused as error:
            if error.status in (400, 413):
                raise
            # a server says so of a lack of memory, of a password that was changed, and of a table that is not there yet
            raise StoreUnavailable(str(error), answered=error.status >= 500) from error

    async def keep_interfaces(self, rows: pl.DataFrame) -> None:
        """Keep what was learned of applications: tenant, virtual_host, time (UInt32), body.

        Raises StoreUnavailable, QueryRefused.
        """
        body = io.BytesIO()
        rows.write_ipc_stream(body)
        columns = ", ".join(f"`{name}`" for name in rows.columns)
        await self._post({"query": f"INSERT INTO interface ({columns}) FORMAT ArrowStream"}, body.getvalue())

    async def query(self, sql: str, parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
        """Rows of a question, by column name. `{name:Type}` in it stands for a parameter.

        Raises StoreUnavailable, QueryRefused.
        """
        given = {f"param_{name}": _emit_parameter(value) for name, value in parameters.items()}
        query = {
            **_READ_LIMITS,
            **given,
            "default_format": "JSONEachRow",
            "output_format_json_quote_64bit_integers": "0",
        }
        response = await self._post(query, sql.encode())
        return [json.loads(line) for line in response.content.splitlines() if line]

    async def _post(self, query: Mapping[str, str], body: bytes = b"") -> httpx.Response:
        try:
            response = await self._client.post("/", params={"database": self.database, **query}, content=body)
        except httpx.HTTPError as error:
            raise StoreUnavailable(f"The telemetry store does not answer: {type(error).__name__}.") from error
        if response.status_code == 200:
            return response
        text = response.text.strip().split("\n")[0][:500]
        if response.status_code in (502, 503, 504):
            raise StoreUnavailable(text, answered=response.status_code == 503)
        raise QueryRefused(text, response.status_code)


def _emit_parameter(value: Parameter) -> str:
    """As ClickHouse reads query parameters: arrays in brackets, texts in them quoted and escaped."""
    if isinstance(value, str):
        return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
    if isinstance(value, int | float):
        return str(value)
    return "[" + ",".join(_emit_element(each) for each in value) + "]"


def _emit_element(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
