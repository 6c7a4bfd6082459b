"""Objects of the stand-in API server: versions, a log of changes that gets compacted, watches on it."""

from __future__ import annotations

import asyncio
import copy
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class Resource:
    """One resource of the API. `group` is empty for core/v1."""

    group: str
    plural: str
    kind: str
    model: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        return f"{self.group}/v1" if self.group else "v1"


RESOURCES = {
    each.plural: each
    for each in (
        Resource("", "services", "Service", "V1Service", True),
        Resource("", "pods", "Pod", "V1Pod", True),
        Resource("", "nodes", "Node", "V1Node", False),
        Resource("", "namespaces", "Namespace", "V1Namespace", False),
        Resource("discovery.k8s.io", "endpointslices", "EndpointSlice", "V1EndpointSlice", True),
    )
}


@dataclass(frozen=True)
class Change:
    """One entry of the log. `before` is None for what was created, `after` for what was deleted."""

    version: int
    plural: str
    before: Object | None
    after: Object | None


class Store:
    """All objects by resource, namespace and name. Objects are never changed in place."""

    def __init__(self) -> None:
        self.version = 100
        self.compacted = 100
        """A watch or a page token from before this version is refused with 410."""
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._log: list[Change] = []
        self._changed = asyncio.Event()

    def get(self, plural: str, namespace: str, name: str) -> Object | None:
        return self._objects.get((plural, namespace, name))

    def objects(self, plural: str, namespace: str) -> list[Object]:
        """Sorted as etcd sorts keys. All namespaces when `namespace` is empty."""
        return [
            self._objects[key]
            for key in sorted(self._objects)
            if key[0] == plural and (not namespace or key[1] == namespace)
        ]

    def put(self, plural: str, item: Object) -> Object:
        """Create or replace; returns what is stored now."""
        item = copy.deepcopy(item)
        meta = item["metadata"]
        key = (plural, meta.get("namespace") or "", meta["name"])
        before = self._objects.get(key)
        self.version += 1
        meta["uid"] = before["metadata"]["uid"] if before else str(uuid.uuid4())
        meta["creationTimestamp"] = (
            before["metadata"]["creationTimestamp"] if before else datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        )
        if before is not None:
            meta["resourceVersion"] = before["metadata"]["resourceVersion"]
            if "generation" in before["metadata"]:
                meta["generation"] = before["metadata"]["generation"]
            if item == before:
                self.version -= 1
                return before
        meta["resourceVersion"] = str(self.version)
        if plural in ("services", "endpointslices"):
            meta["generation"] = 1 + (before["metadata"].get("generation", 0) if before else 0)
        self._objects[key] = item
        self._append(Change(self.version, plural, before, item))
        return item

    def remove(self, plural: str, namespace: str, name: str) -> Object:
        self.version += 1
        before = self._objects.pop((plural, namespace, name))
        self._append(Change(self.version, plural, before, None))
        return before

    def compact(self) -> None:
        """Forget the log: versions of before are too old from now on."""
        self.version += 1
        self.compacted = self.version
        self._log.clear()

    def since(self, version: int) -> Iterator[Change]:
        """What has happened after a version."""
        first = len(self._log)
        while first and self._log[first - 1].version > version:
            first -= 1
        yield from self._log[first:]

    async def wait(self, seconds: float) -> None:
        """Until something changes, or the time is over."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._changed.wait()
        except TimeoutError:
            return

    def _append(self, change: Change) -> None:
        self._log.append(change)
        self._changed.set()
        self._changed = asyncio.Event()
