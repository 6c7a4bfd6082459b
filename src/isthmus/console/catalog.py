"""Endpoints of APIs in the console: learned from the records that sites tell, kept in the telemetry store.

What was learned is written once a minute, each application's as one row, so that a console that ends without notice
forgets a minute of counts, and one that takes over from another begins with what that one knew.
"""

from __future__ import annotations

import asyncio
import base64
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import structlog

from isthmus.console.deployment import Deployment
from isthmus.interface.catalog import MOST_HOSTS, Catalog
from isthmus.interface.endpoint import Endpoint, list_endpoints
from isthmus.interface.record import parse_calls
from isthmus.interface.snapshot import SnapshotInvalid, emit_tree, parse_tree
from isthmus.model.key import ObjectKey
from isthmus.telemetry.batch import Batch
from isthmus.telemetry.retention import Retention
from isthmus.telemetry.store import QueryRefused, StoreUnavailable, TelemetryStore

INTERVAL = 60.0
FRESH = 5.0
"""Seconds for which a list of endpoints is shown again: it costs milliseconds to make."""
_SHOWN = 16
_SUMMED = 60.0
_EXPIRY = 3600.0
_TOKENS = 10_000
_PAGE = 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Summary:
    """How many endpoints, requests and errors; `last`: when one was asked for last, in seconds since 1970."""

    endpoints: int
    requests: float
    errors: float
    last: float | None


class ApiCatalog:
    """`load`, then `learn` and `run`; questions at any time. May be used by several threads.

    Attributes:
        is_served: whether a tenant has a virtual host (`NAMESPACE/NAME`); what sites tell of others is not learned, so
            that no site can fill the catalogue with names of its own making.
    """

    def __init__(self, store: TelemetryStore, retention: Retention) -> None:
        self.is_served: Callable[[str, str], bool] = lambda tenant, host: True
        self._store = store
        self._kept = retention.endpoints * 86_400
        self._catalog = Catalog()
        self._lock = threading.Lock()
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._expired = 0.0
        self._shown: dict[tuple[str, str], tuple[float, list[Endpoint], dict[str, float]]] = {}
        self._summaries: dict[tuple[str, str], tuple[float, Summary]] = {}
        self._written: dict[tuple[str, str], int] = {}

    async def load(self) -> None:
        """Begin with what is in the store. Raises StoreUnavailable, QueryRefused."""
        names = await self._store.query("SELECT DISTINCT tenant, virtual_host FROM interface", {})
        for row in names:
            sql = (
                "SELECT time, body FROM interface WHERE tenant = {tenant:String} AND virtual_host = {host:String} "
                "ORDER BY time DESC LIMIT 1"
            )
            host = (str(row["tenant"]), str(row["virtual_host"]))
            found = await self._store.query(sql, {"tenant": host[0], "host": host[1]})
            try:
                tree = await asyncio.to_thread(parse_tree, base64.b64decode(found[0]["body"]))
            except (SnapshotInvalid, ValueError, IndexError) as error:
                log.warning("interface.not_loaded", virtual_host=host[1], reason=str(error))
                continue
            with self._lock:
                self._catalog.trees[host] = tree

    def learn(self, tenant: str, batch: Batch) -> None:
        """Take a batch's records in; the same batch once."""
        records = batch.tables.get("record")
        token = f"{batch.subject}/{batch.token}"
        if records is None or token in self._tokens:
            return
        self._tokens[token] = None
        if len(self._tokens) > _TOKENS:
            self._tokens.popitem(last=False)
        calls = {host: some for host, some in parse_calls(records).items() if self.is_served(tenant, host)}
        with self._lock:
            self._catalog.learn(tenant, calls)

    def hosts(self, tenant: str) -> list[str]:
        """Virtual hosts of a tenant of which anything is known, by name."""
        # without the lock, which learning holds for long: to copy the names is one step
        return sorted(name for owner, name in list(self._catalog.trees) if owner == tenant)

    def summary(self, tenant: str, host: str) -> Summary:
        """What a virtual host's endpoints add up to, at most a minute old."""
        key, now = (tenant, host), time.monotonic()
        known = self._summaries.get(key)
        if known is not None and now - known[0] < _SUMMED:
            return known[1]
        endpoints, _ = self.endpoints(tenant, host)
        found = Summary(
            len(endpoints),
            sum(each.usage.tally.requests for each in endpoints),
            sum(each.usage.tally.errors for each in endpoints),
            max((each.usage.last for each in endpoints), default=None),
        )
        if len(self._summaries) >= MOST_HOSTS:
            self._summaries.clear()
        self._summaries[key] = (now, found)
        return found

    def endpoints(self, tenant: str, host: str) -> tuple[list[Endpoint], dict[str, float]]:
        """The endpoints of a virtual host, at most a few seconds old, and requests that belong to none by class of
        status."""
        key, now = (tenant, host), time.monotonic()
        with self._lock:
            known = self._shown.get(key)
            if known is not None and now - known[0] < FRESH:
                return known[1], known[2]
            tree = self._catalog.trees.get(key)
            if tree is None:
                return [], {}
            found = (now, list_endpoints(tree), dict(tree.unmatched))
            self._shown[key] = found
            if len(self._shown) > _SHOWN:
                del self._shown[next(iter(self._shown))]
            return found[1], found[2]

    async def run(self) -> None:
        """Write what was learned, for ever."""
        while True:
            await asyncio.sleep(INTERVAL)
            try:
                await self.write()
            except (StoreUnavailable, QueryRefused) as error:
                log.warning("interface.not_written", reason=str(error))

    async def write(self) -> None:
        """Write what has changed. Raises StoreUnavailable, QueryRefused; what was not written is tried again."""
        now = time.time()
        changed = await asyncio.to_thread(self._changed, now)
        for start in range(0, len(changed), _PAGE):
            page = changed[start : start + _PAGE]
            rows = await asyncio.to_thread(self._rows, page, now)
            try:
                await self._store.keep_interfaces(rows)
            except (StoreUnavailable, QueryRefused):
                with self._lock:
                    self._catalog.changed.update(page)
                raise

    def _changed(self, now: float) -> list[tuple[str, str]]:
        with self._lock:
            if now - self._expired > _EXPIRY:
                self._expired = now
                self._catalog.expire(now - self._kept)
            return sorted(self._catalog.changed)

    def _rows(self, hosts: list[tuple[str, str]], now: float) -> pl.DataFrame:
        rows = []
        for host in hosts:
            with self._lock:
                self._catalog.changed.discard(host)
                body = emit_tree(self._catalog.trees[host])
            # of two rows the later one counts: a second is as fine as the store tells them apart
            moment = max(int(now), self._written.get(host, 0) + 1)
            self._written[host] = moment
            rows.append((host[0], host[1], moment, base64.b64encode(body).decode()))
        schema = {"tenant": pl.String, "virtual_host": pl.String, "time": pl.UInt32, "body": pl.String}
        return pl.DataFrame(rows, schema=schema, orient="row")


def is_served(deployment: Deployment, tenant: str, host: str) -> bool:
    """Whether a tenant has declared a virtual host (`NAMESPACE/NAME`)."""
    namespace, _, name = host.partition("/")
    return ObjectKey(tenant, "VirtualHost", namespace, name) in deployment.records
