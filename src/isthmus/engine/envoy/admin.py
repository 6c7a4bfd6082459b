"""Envoy's admin interface over its owner-only Unix socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class HostHealth:
    """One host of one cluster, as Envoy sees it now."""

    cluster: str
    address: str
    port: int
    healthy: bool
    """Passed its last active health check; False while the first is pending. True when the cluster has none."""
    pending: bool
    """No active health check has finished yet."""


class Admin:
    """Every method raises httpx.HTTPError when Envoy does not answer."""

    def __init__(self, socket: Path, timeout: float = 5.0) -> None:
        self._client = httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=str(socket)), base_url="http://envoy", timeout=timeout
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ready(self) -> bool:
        """True if Envoy is live: initialized and not draining. False also while it cannot be reached."""
        try:
            response = await self._client.get("/ready")
        except httpx.HTTPError:
            return False
        return response.status_code == 200

    async def hosts(self) -> list[HostHealth]:
        """The health of every host with an IP address in every cluster."""
        document = (await self._get("/clusters", format="json")).json()
        return parse_hosts(document)

    async def statistics(self) -> bytes:
        """All used statistics in Prometheus' text format."""
        return (await self._get("/stats/prometheus", usedonly="")).content

    async def counters(self, pattern: str) -> dict[str, int]:
        """Counters and gauges whose names match a regular expression."""
        document = (await self._get("/stats", format="json", filter=pattern)).json()
        return {each["name"]: int(each["value"]) for each in document.get("stats", ()) if "value" in each}

    async def config_dump(self) -> dict[str, Any]:
        """The configuration as Envoy holds it, endpoints included. Private keys are redacted by Envoy."""
        document: dict[str, Any] = (await self._get("/config_dump", include_eds="")).json()
        return document

    async def server_info(self) -> dict[str, Any]:
        document: dict[str, Any] = (await self._get("/server_info")).json()
        return document

    async def reopen_logs(self) -> None:
        """Have Envoy open its log files anew, after they were renamed."""
        await self._post("/reopen_logs")

    async def drain(self) -> None:
        """Ask clients to go: connections are closed gracefully over the drain time, the listeners stay open."""
        await self._post("/drain_listeners?graceful&skip_exit")

    async def _get(self, path: str, **query: str) -> httpx.Response:
        response = await self._client.get(path, params=query)
        return response.raise_for_status()

    async def _post(self, path: str) -> None:
        (await self._client.post(path)).raise_for_status()


def parse_hosts(document: dict[str, Any]) -> list[HostHealth]:
    """Read the answer of /clusters?format=json (envoy.admin.v3.Clusters)."""
    hosts = []
    for cluster in document.get("cluster_statuses", ()):
        for host in cluster.get("host_statuses", ()):
            address = host.get("address", {}).get("socket_address")
            if address is None:
                continue
            health = host.get("health_status", {})
            pending = bool(health.get("pending_active_hc"))
            failed = bool(health.get("failed_active_health_check"))
            hosts.append(
                HostHealth(
                    cluster["name"],
                    address["address"],
                    int(address["port_value"]),
                    not failed and not pending,
                    pending,
                )
            )
    return hosts
