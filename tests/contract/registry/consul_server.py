"""A strict stand-in for a Consul agent's HTTP API: health and catalogue by blocking queries, registration, TTL checks.

Written from Consul's API documentation (health, catalog, agent/service, agent/check, blocking queries, consistency
modes, filtering). It refuses every query parameter and every field that the documentation does not name.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from .stand_in import StandIn

Object = dict[str, Any]

_READ = {"dc", "ns", "partition", "index", "wait", "stale", "consistent", "cached", "filter", "near", "node-meta"}
_HEALTH = _READ | {"tag", "passing", "peer", "sg", "merge-central-config"}
_SERVICE = {
    "ID": str,
    "Name": str,
    "Tags": list,
    "Address": str,
    "TaggedAddresses": dict,
    "Meta": dict,
    "Namespace": str,
    "Partition": str,
    "Port": int,
    "Kind": str,
    "Check": dict,
    "Checks": list,
    "EnableTagOverride": bool,
    "Weights": dict,
    "Locality": dict,
}
_CHECK = {
    "Name": str,
    "CheckID": str,
    "Notes": str,
    "TTL": str,
    "TCP": str,
    "HTTP": str,
    "Interval": str,
    "Timeout": str,
    "Status": str,
    "DeregisterCriticalServiceAfter": str,
}
_STATUSES = ("passing", "warning", "critical")
_FILTER = re.compile(r'Meta\["?([-\w]+)"?\] == "([^"]*)"')


@dataclass
class Entry:
    """A service instance, with its checks by ID."""

    service: Object
    index: int = 0
    """When the service last changed; checks bear their own."""

    checks: dict[str, Object] = field(default_factory=dict)
    expires: dict[str, float] = field(default_factory=dict)


@dataclass
class ConsulServer(StandIn):
    """One agent. `tokens` say which services a token may read and write; `*` stands for all. "" is without a token."""

    tokens: dict[str, frozenset[str]] = field(default_factory=lambda: {"": frozenset("*")})
    datacenter: str = "dc1"
    enterprise: bool = False
    client_certificate: bool = False
    index: int = 10
    clock: Callable[[], float] | None = None
    """Of the TTL checks; the event loop's when None."""

    requests: list[str] = field(default_factory=list)
    refuse: Callable[[str, str], tuple[int, str] | None] | None = None
    """A fault: gets method and path with query, returns status and text to answer with, or None."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    _versions: dict[str, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _open: set[asyncio.Transport] = field(default_factory=set)

    @property
    def blocked(self) -> int:
        """How many blocking queries are held."""
        return len(self._open)

    def drop(self) -> None:
        """Cut the connections of all blocking queries."""
        for transport in tuple(self._open):
            transport.abort()

    def put(self, service: Object, status: str = "passing") -> None:
        """Register an instance as another agent would, with one check."""
        wrong = _service_violations(service)
        assert not wrong, wrong
        entry = Entry(service, self.index + 1)
        key = service.get("ID") or service["Name"]
        entry.checks["check"] = self._check_of(service, "check", status)
        self._entries[key] = entry
        self._touch(service["Name"])

    def set_status(self, service_id: str, status: str, check: str = "check") -> None:
        """Let a check of an instance change."""
        entry = self._entries[service_id]
        entry.checks[check] = self._check_of(entry.service, check, status)
        self._touch(entry.service["Name"])

    def remove(self, service_id: str) -> None:
        self._touch(self._entries.pop(service_id).service["Name"])

    def restore(self, index: int) -> None:
        """A snapshot with a lower index is restored."""
        self.index = index
        self._versions = dict.fromkeys(self._versions, index)
        self._wake()

    def services(self) -> dict[str, Entry]:
        """All instances, by ID; checks whose TTL is over are critical."""
        self._expire()
        return dict(self._entries)

    def _touch(self, name: str) -> None:
        self.index += 1
        self._versions[name] = self.index
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _now(self) -> float:
        return self.clock() if self.clock is not None else asyncio.get_running_loop().time()

    def _expire(self) -> None:
        for entry in self._entries.values():
            for check, at in entry.expires.items():
                if self._now() > at and entry.checks[check]["Status"] != "critical":
                    entry.checks[check] = {**entry.checks[check], "Status": "critical", "ModifyIndex": self.index + 1}
                    self._touch(entry.service["Name"])

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(f"{request.method} {request.path_qs}")
        fault = self.refuse(request.method, request.path_qs) if self.refuse is not None else None
        if fault is not None:
            return web.Response(status=fault[0], text=fault[1])
        if self.client_certificate and not (request.transport and request.transport.get_extra_info("peercert")):
            return web.Response(status=401, text="a client certificate is required")
        token = request.headers.get("x-consul-token", "")
        if token not in self.tokens:
            return web.Response(status=403, text="ACL not found")
        try:
            return await self._serve(request, self.tokens[token])
        except _Refused as error:
            return web.Response(status=error.status, text=str(error))

    async def _serve(self, request: web.Request, rights: frozenset[str]) -> web.StreamResponse:
        match request.method, request.path.strip("/").split("/"):
            case "GET", ["v1", "health", "service", name]:
                return await self._read(request, _HEALTH, name, lambda: self._health(request, rights, name))
            case "GET", ["v1", "catalog", "services"]:
                return await self._read(request, _READ, "", lambda: self._catalog(rights))
            case "GET", ["v1", "agent", "services"]:
                return self._agent_services(request, rights)
            case "PUT", ["v1", "agent", "service", "register"]:
                return await self._register(request, rights)
            case "PUT", ["v1", "agent", "service", "deregister", service_id]:
                return self._deregister(request, rights, service_id)
            case "PUT", ["v1", "agent", "check", ("pass" | "warn" | "fail") as verb, check]:
                return self._pass(request, rights, verb, check)
        return web.Response(status=404, text="")

    async def _read(
        self, request: web.Request, known: set[str], name: str, content: Callable[[], tuple[Any, bool]]
    ) -> web.Response:
        """A blocking query: held until the index passes the client's, or the time is over."""
        given = self._parameters(request, known)
        if "stale" in given and "consistent" in given:
            raise _Refused(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
        wanted = given.get("index", "0")
        if not wanted.isdigit():
            raise _Refused(400, "Invalid index")
        wait = min(_seconds(given.get("wait", "5m")), 600.0)
        end = asyncio.get_running_loop().time() + wait + wait / 16
        transport = request.transport
        assert transport is not None
        try:
            while int(wanted) > 0 and self._version(name) == int(wanted):
                self._expire()
                self._open.add(transport)
                left = end - asyncio.get_running_loop().time()
                if left <= 0:
                    break
                try:
                    async with asyncio.timeout(left):
                        await self._changed.wait()
                except TimeoutError:
                    break
        finally:
            self._open.discard(transport)
        found, filtered = content()
        headers = {"X-Consul-Index": str(self._version(name)), "X-Consul-Knownleader": "true"}
        headers["X-Consul-Lastcontact"] = "0"
        headers["X-Consul-Effective-Consistency"] = next((e for e in ("stale", "consistent") if e in given), "leader")
        if filtered:
            headers["X-Consul-Results-Filtered-By-Acls"] = "true"
        return web.json_response(found, headers=headers)

    def _version(self, name: str) -> int:
        """Of a service; a service that never was changes with everything, as Consul does."""
        return self._versions.get(name, self.index)

    def _parameters(self, request: web.Request, known: set[str]) -> dict[str, str]:
        for key in request.query:
            if key not in known or (not self.enterprise and key in ("ns", "partition")):
                raise _Refused(400, f'Invalid query parameter: "{key}" - Namespaces are a Consul Enterprise feature')
        if request.query.get("dc", self.datacenter) != self.datacenter:
            raise _Refused(500, "No path to datacenter")
        return dict(request.query)

    def _health(self, request: web.Request, rights: frozenset[str], name: str) -> tuple[list[Object], bool]:
        self._expire()
        tags, passing = request.query.getall("tag", []), "passing" in request.query
        condition = _condition(request.query.get("filter", ""), "Service.")
        found = []
        for key, entry in sorted(self._entries.items()):
            service = entry.service
            if service["Name"] != name or not set(tags) <= set(service.get("Tags") or ()) or not condition(service):
                continue
            if passing and any(check["Status"] != "passing" for check in entry.checks.values()):
                continue
            found.append(
                {
                    "Node": self._node(),
                    "Service": {**_service(key, service), "CreateIndex": entry.index, "ModifyIndex": entry.index},
                    "Checks": list(entry.checks.values()),
                }
            )
        return ([], bool(found)) if not _may(rights, name) else (found, False)

    def _node(self) -> Object:
        return {
            "ID": "n",
            "Node": "node-1",
            "Address": "10.9.0.1",
            "Datacenter": self.datacenter,
            "CreateIndex": 5,
            "ModifyIndex": 5,
        }

    def _catalog(self, rights: frozenset[str]) -> tuple[Object, bool]:
        found: dict[str, set[str]] = {"consul": set()}
        for entry in self._entries.values():
            found.setdefault(entry.service["Name"], set()).update(entry.service.get("Tags") or ())
        seen = {name: sorted(tags) for name, tags in found.items() if _may(rights, name)}
        return seen, len(seen) < len(found)

    def _agent_services(self, request: web.Request, rights: frozenset[str]) -> web.Response:
        condition = _condition(self._parameters(request, {"filter", "ns", "partition"}).get("filter", ""), "")
        found = {
            key: _service(key, entry.service)
            for key, entry in self._entries.items()
            if _may(rights, entry.service["Name"]) and condition(entry.service)
        }
        return web.json_response(found)

    async def _register(self, request: web.Request, rights: frozenset[str]) -> web.Response:
        self._parameters(request, {"replace-existing-checks", "ns", "partition"})
        service = await request.json()
        wrong = _service_violations(service)
        if wrong:
            raise _Refused(400, f"Request decode failed: {'; '.join(wrong)}")
        if not _may(rights, service["Name"]):
            raise _Refused(403, f"Permission denied: token lacks permission 'service:write' on \"{service['Name']}\"")
        key = service.get("ID") or service["Name"]
        entry = self._entries.get(key)
        if entry is None or "replace-existing-checks" in request.query:
            entry = Entry(service)
        entry.index = self.index + 1
        entry.service = {k: v for k, v in service.items() if k not in ("Check", "Checks")}
        for i, check in enumerate(_checks(service)):
            check_id = check.get("CheckID") or f"service:{key}" + (f":{i + 1}" if i else "")
            entry.checks[check_id] = self._check_of(service, check_id, check.get("Status", "critical"))
            if "TTL" in check:
                entry.expires[check_id] = self._now() + _seconds(check["TTL"])
                entry.checks[check_id]["Type"], entry.checks[check_id]["TTL"] = "ttl", check["TTL"]
        self._entries[key] = entry
        self._touch(service["Name"])
        return web.Response()

    def _deregister(self, request: web.Request, rights: frozenset[str], service_id: str) -> web.Response:
        self._parameters(request, {"ns", "partition"})
        entry = self._entries.get(service_id)
        if entry is None:
            raise _Refused(404, f'Unknown service ID "{service_id}". Ensure that the service ID is passed.')
        if not _may(rights, entry.service["Name"]):
            raise _Refused(403, "Permission denied: token lacks permission 'service:write'")
        self.remove(service_id)
        return web.Response()

    def _pass(self, request: web.Request, rights: frozenset[str], verb: str, check: str) -> web.Response:
        self._parameters(request, {"note", "ns", "partition"})
        for entry in self._entries.values():
            if check in entry.expires:
                if not _may(rights, entry.service["Name"]):
                    raise _Refused(403, "Permission denied: token lacks permission 'service:write'")
                entry.expires[check] = self._now() + _seconds(entry.checks[check]["TTL"])
                status = {"pass": "passing", "warn": "warning", "fail": "critical"}[verb]
                if entry.checks[check]["Status"] != status:
                    entry.checks[check] = {**entry.checks[check], "Status": status, "ModifyIndex": self.index + 1}
                    self._touch(entry.service["Name"])
                return web.Response()
        raise _Refused(404, f'Unknown check ID "{check}". Ensure that the check ID is passed, not the check name.')

    def _check_of(self, service: Object, check: str, status: str) -> Object:
        return {
            "Node": "node-1",
            "CheckID": check,
            "Name": f"Service '{service['Name']}' check",
            "Status": status,
            "ServiceID": service.get("ID") or service["Name"],
            "ServiceName": service["Name"],
            "ModifyIndex": self.index + 1,
        }


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _may(rights: frozenset[str], name: str) -> bool:
    return "*" in rights or name in rights


def _service(key: str, service: Object) -> Object:
    return {
        "ID": key,
        "Service": service["Name"],
        "Tags": service.get("Tags") or [],
        "Address": service.get("Address", ""),
        "Meta": service.get("Meta") or {},
        "Port": service.get("Port", 0),
        "Weights": service.get("Weights") or {"Passing": 1, "Warning": 1},
        **({"Locality": service["Locality"]} if "Locality" in service else {}),
    }


def _checks(service: Object) -> list[Object]:
    return [*([service["Check"]] if "Check" in service else []), *(service.get("Checks") or [])]


def _service_violations(service: Object) -> list[str]:
    found = _typed(service, _SERVICE, "")
    if not service.get("Name"):
        found.append("Missing service name")
    for check in _checks(service):
        found += _typed(check, _CHECK, "Check.")
        if check.get("Status", "passing") not in _STATUSES:
            found.append(f"Invalid check status: {check['Status']}")
        if not any(kind in check for kind in ("TTL", "TCP", "HTTP")):
            found.append("Must provide TTL or Script/DockerContainerID/HTTP/TCP/gRPC and Interval")
    for key, value in (service.get("Meta") or {}).items():
        if not re.fullmatch(r"[-a-zA-Z0-9_]{1,128}", key) or not isinstance(value, str) or len(value) > 512:
            found.append(f"Invalid Service Meta: couldn't load metadata pair ('{key}', '{value}')")
    if len(service.get("Meta") or {}) > 64:
        found.append("Invalid Service Meta: Node metadata cannot contain more than 64 key/value pairs")
    address = service.get("Address", "")
    if address in ("0.0.0.0", "::", "[::]"):
        found.append("Invalid service address")
    weights = service.get("Weights") or {}
    found += [f"Invalid Weight {key}" for key in weights if key not in ("Passing", "Warning")]
    if weights.get("Passing", 1) < 1 or weights.get("Warning", 1) < 0 or max(weights.values(), default=1) > 65535:
        found.append("Passing must be greater than 0")
    if not 0 <= service.get("Port", 0) <= 65535:
        found.append("Invalid port")
    return found


def _typed(value: Object, known: dict[str, type], path: str) -> list[str]:
    found = [f'unknown field "{path}{key}"' for key in value if key not in known]
    found += [
        f"{path}{key}: must be of type {known[key].__name__}"
        for key, each in value.items()
        if key in known and not isinstance(each, known[key])
    ]
    return found


def _condition(text: str, prefix: str) -> Callable[[Object], bool]:
    """The part of the filter language that is used here: one comparison of one metadata value."""
    if not text:
        return lambda service: True
    found = _FILTER.fullmatch(text.removeprefix(prefix))
    if not found:
        raise _Refused(400, "Failed to create boolean expression evaluator")
    return lambda service: (service.get("Meta") or {}).get(found[1]) == found[2]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    if not found:
        raise _Refused(400, "Invalid wait time")
    return int(found[1]) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[found[2]]
