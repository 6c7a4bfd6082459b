"""The status of a site as JSON: what goes up to the console, and what `isthmus status --local` shows.

Times are Unix seconds. Nothing in it changes by the passing of time alone, so that equal states are equal bytes and are
sent once; who shows an age computes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from isthmus.discovery.ledger import Entry, Lookup
from isthmus.health.choice import SiteChoice
from isthmus.model.key import ObjectKey
from isthmus.protocol import ConnectionState
from isthmus.site.discovery import PublishedRecord
from isthmus.site.egress import LocalEndpoint
from isthmus.site.ingress import RemoteEndpoint
from isthmus.site.inventory import Refusal

MANY = 200
"""Remote endpoints above which the status that goes up leaves out those that are fresh."""


@dataclass(slots=True)
class EngineState:
    """A supervised process: "starting", "running" or "down"."""

    state: str = "starting"
    pid: int | None = None
    restarts: int = 0
    adopted: bool = False
    error: str = ""


@dataclass(slots=True)
class SiteState:
    """Everything that a report is made of; its owner keeps it current."""

    site: str
    tenant: str
    release: str
    started: float
    received: tuple[int, int] | None = None
    applied: tuple[int, int] | None = None
    applied_at: float | None = None
    drained: bool = False
    refusals: Mapping[ObjectKey, Refusal] = field(default_factory=dict)
    diagnostics: tuple[Refusal, ...] = ()
    envoy: EngineState = field(default_factory=EngineState)
    envoy_connected: bool = False
    bgp: EngineState = field(default_factory=EngineState)
    certificate_until: float | None = None

    @property
    def rejections(self) -> list[Refusal]:
        """Every object that is not in use as it was asked for, by key."""
        found = {*self.refusals.values(), *self.diagnostics}
        return sorted(found, key=lambda refusal: (refusal.key, refusal.code, refusal.field, refusal.message))


def emit_report(
    state: SiteState,
    *,
    endpoints: Iterable[LocalEndpoint],
    remote: Iterable[RemoteEndpoint],
    choices: Mapping[tuple[ObjectKey, str], tuple[SiteChoice, ...]],
    streams: Mapping[str, ConnectionState],
    sessions: Mapping[str, str],
    discovered: Mapping[Lookup, Entry] = MappingProxyType({}),
    published: Iterable[PublishedRecord] = (),
    telemetry: Mapping[str, object] | None = None,
    exceptions_only: bool = False,
) -> bytes:
    """Canonical JSON. `exceptions_only`: of many remote endpoints and clusters, only what is not as it should be."""
    remote = list(remote)
    stale = sum(each.entry.stale_since is not None for each in remote)
    total = len(remote)
    if exceptions_only and total > MANY:
        remote = [each for each in remote if each.entry.stale_since is not None or each.entry.route.draining][:MANY]
        choices = {}
    document = {
        "site": state.site,
        "tenant": state.tenant,
        "release": state.release,
        "started": state.started,
        "drained": state.drained,
        "manifest": {
            "received": _version(state.received),
            "applied": _version(state.applied),
            "appliedAt": state.applied_at,
        },
        "rejections": [
            {"object": each.key, "code": each.code, "field": each.field, "message": each.message}
            for each in state.rejections
        ],
        "endpoints": [_endpoint(each) for each in endpoints],
        "discovery": [
            _lookup(lookup, entry, exceptions_only) for lookup, entry in sorted(discovered.items(), key=repr)
        ],
        "published": [_published(each) for each in published],
        "remote": {"total": total, "stale": stale},
        "remoteEndpoints": [_remote(each) for each in remote],
        "clusters": [
            {"cluster": str(key), "subset": subset, "sites": [_choice(each) for each in choices[key, subset]]}
            for key, subset in sorted(choices)
        ],
        "envoy": {**_engine(state.envoy), "connected": state.envoy_connected},
        "bgp": {
            **_engine(state.bgp),
            "sessions": [{"region": name, "state": session} for name, session in sorted(sessions.items())],
        },
        "streams": [
            {"region": name, "connected": each.connected, "since": each.since, "error": each.error}
            for name, each in sorted(streams.items())
        ],
        "certificate": {"validUntil": state.certificate_until},
        "telemetry": telemetry,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _version(version: tuple[int, int] | None) -> dict[str, int] | None:
    return None if version is None else {"epoch": version[0], "revision": version[1]}


def _engine(engine: EngineState) -> dict[str, Any]:
    return {
        "state": engine.state,
        "pid": engine.pid,
        "restarts": engine.restarts,
        "adopted": engine.adopted,
        "error": engine.error,
    }


def _endpoint(each: LocalEndpoint) -> dict[str, Any]:
    return {
        "cluster": str(each.cluster),
        "endpoint": str(each.endpoint),
        "address": each.address,
        "port": each.port,
        "weight": each.weight,
        "healthy": each.healthy,
        "reason": each.reason,
        "since": each.since,
        "announced": each.announced,
        "drained": each.drained,
        "transitions": [
            {"at": transition.at, "healthy": transition.healthy, "reason": transition.reason}
            for transition in each.transitions
        ],
    }


def _lookup(lookup: Lookup, entry: Entry, exceptions_only: bool) -> dict[str, Any]:
    """The time of an answer that is as it should be changes all the time, and is told on this machine only."""
    return {
        "registry": str(lookup.registry) if lookup.registry else "",
        "query": str(lookup.query),
        "servers": len(entry.found),
        "notReady": sum(not each.healthy for each in entry.found),
        "changedAt": entry.changed_at,
        "answeredAt": entry.answered_at if entry.error or not exceptions_only else None,
        "error": entry.error,
        "errorSince": entry.error_since,
    }


def _published(each: PublishedRecord) -> dict[str, Any]:
    return {
        "registry": str(each.registry) if each.registry else "",
        "domain": each.record.domain,
        "port": each.record.port,
        "addresses": list(each.record.addresses),
        "virtualHost": str(each.record.virtual_host),
        "published": each.error == "",
        "error": each.error or "",
    }


def _remote(each: RemoteEndpoint) -> dict[str, Any]:
    route = each.entry.route
    return {
        "cluster": str(each.cluster),
        "site": each.site,
        "number": route.endpoint,
        "weight": route.weight,
        "draining": route.draining,
        "changedAt": route.changed_at / 1000,
        "heardAt": each.entry.heard_at,
        "stale": each.entry.stale_since is not None,
        "staleSince": each.entry.stale_since,
        "regions": list(each.entry.sessions),
    }


def _choice(each: SiteChoice) -> dict[str, Any]:
    return {
        "site": each.site,
        "priority": each.priority,
        "weight": each.weight,
        "state": str(each.state),
        "endpoints": each.endpoints,
        "staleSince": each.stale_since,
        "distance": each.distance,
        "roundTrip": each.round_trip,
    }
