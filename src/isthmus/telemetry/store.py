"""The store through ClickHouse's HTTP interface: the embedded one on a Unix socket, or a server by its URL."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import polars as pl

from isthmus.telemetry.batch import SCHEMAS, Batch
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.schema import columns_of, emit_schema

_READ_LIMITS = {"readonly": "1", "max_execution_time": "15", "max_result_rows": "200000"}
_SECONDS = 30.0
Parameter = str | int | float | Sequence[str] | Sequence[int]


class StoreUnavailable(Exception):
    """The store does not answer, or has no room. What was asked may be asked again."""


class QueryRefused(Exception):
    """The store does not answer this question: it takes too long, or is wrong. `status`: of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


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

    async def insert(self, tenant: str, site: str, role: str, batch: Batch) -> None:
        """Keep a batch. The same one again changes nothing.

        Raises StoreUnavailable: try again; QueryRefused: it will never be kept.
        """
        for name, frame in batch.tables.items():
            if frame.height:
                await self._insert(name, tenant, site, frame, f"{batch.subject}/{batch.token}/{name}")
        if batch.losses:
            rows = [
                {"role": role, "time": int(batch.at), "reason": reason, "requests": requests}
                for reason, requests in batch.losses.items()
            ]
            schema = {"role": pl.String, "time": pl.UInt32, "reason": pl.String, "requests": pl.UInt64}
            await self._insert("loss", tenant, site, pl.DataFrame(rows, schema), f"{batch.subject}/{batch.token}/loss")

    async def _insert(self, table: str, tenant: str, site: str, frame: pl.DataFrame, token: str) -> None:
        """Whose rows these are is said here and not by the rows: a site speaks for itself alone."""
        frame = frame.with_columns(tenant=pl.lit(tenant), site=pl.lit(site))
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
            if error.status < 500:
                raise
            raise StoreUnavailable(str(error)) from error  # a server says so of a lack of memory, too

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
            raise StoreUnavailable(text)
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
