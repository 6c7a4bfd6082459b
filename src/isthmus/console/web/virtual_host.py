"""Virtual hosts: the list, and the page of one, from its domains to the health of its last endpoint."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from isthmus.console.api.context import ApiContext
from isthmus.console.api.status import object_status
from isthmus.console.difference import document_of
from isthmus.console.watch import EndpointState
from isthmus.console.web.certificate import certificate_lines
from isthmus.console.web.gauge import draw_gauges, of_virtual_host
from isthmus.console.web.listing import matching, page_of
from isthmus.console.web.object import record_of, words_of
from isthmus.console.web.page import PageRoute, show
from isthmus.console.web.traffic import hits, measure
from isthmus.console.web.visit import Reader
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.object import Object

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_REFERENCE = {"namespace", "name"}


@dataclass(frozen=True, slots=True)
class RouteLine:
    """A route in match order: which requests, and what happens to them."""

    key: ObjectKey
    exists: bool
    matches: tuple[str, ...] = ()
    action: str = ""
    clusters: tuple[tuple[ObjectKey, float], ...] = ()
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EndpointLine:
    """An endpoint of a cluster, as each of its sites sees it."""

    key: ObjectKey
    exists: bool
    states: tuple[EndpointState, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """A cluster that routes lead to."""

    key: ObjectKey
    exists: bool
    facts: tuple[str, ...]
    endpoints: tuple[EndpointLine, ...]

    @property
    def healthy(self) -> int:
        """Endpoints that are in use somewhere."""
        return sum(any(state.healthy for state in line.states) for line in self.endpoints)


@router.get("/virtualhosts")
async def virtual_hosts(visit: Reader) -> Response:
    """Every virtual host, a page at a time."""
    context = visit.context
    records = list(context.deployment.of_kind("VirtualHost", DEFAULT_TENANT))
    found = matching(records, visit.query("q"), words_of)
    page = page_of(visit, found)
    lines = []
    for record in page.items:
        clusters = [cluster_view(context, key) for key in clusters_of(context, record.object)]
        total = sum(len(cluster.endpoints) for cluster in clusters)
        healthy = sum(cluster.healthy for cluster in clusters)
        errors = context.deployment.validation.of(record.object.key)
        lines.append(
            (record, _level(total, healthy, bool(errors)), total, healthy, len(ingress_of(context, record.object)))
        )
    return show(visit, "virtual_hosts.html", title="Virtual hosts", page=page, lines=lines, total=len(records))


def _level(total: int, healthy: int, wrong: bool) -> tuple[str, str]:
    if wrong:
        return "bad", "has errors"
    if not total:
        return "idle", "no endpoints"
    if not healthy:
        return "bad", "no endpoint in use"
    return ("good", "healthy") if healthy == total else ("warn", "degraded")


@router.get("/virtualhosts/{namespace}/{name}")
async def virtual_host(namespace: str, name: str, visit: Reader) -> Response:
    """One virtual host."""
    context = visit.context
    record = record_of(context, "virtualhosts", namespace, name)
    host = record.object
    clusters = [cluster_view(context, key) for key in clusters_of(context, host)]
    total, healthy = sum(len(each.endpoints) for each in clusters), sum(each.healthy for each in clusters)
    errors = context.deployment.validation.of(host.key)
    status = object_status(context, record)
    ingress = ingress_of(context, host)
    lines = [line for cluster in clusters for line in cluster.endpoints]
    endpoints = sorted({str(line.key) for line in lines})
    concerned = sorted({*ingress, *(state.site for line in lines for state in line.states)})
    others = [use.target for use in host.uses() if use.target.kind not in ("Route", "AdvertisePolicy", "Certificate")]
    return show(
        visit,
        "virtual_host.html",
        title=host.key.path,
        key=host.key,
        record=record,
        spec=host.spec,
        metadata=host.metadata,
        level=_level(total, healthy, bool(errors)),
        total=total,
        healthy=healthy,
        routes=[route_line(context, use.target) for use in host.uses() if use.target.kind == "Route"],
        clusters=clusters,
        advertised=[_policy(context, use.target) for use in host.uses() if use.target.kind == "AdvertisePolicy"],
        others=others,
        certificates=certificate_lines(context, host, datetime.now(UTC)),
        places=status,
        diagnostics=errors,
        ingress=ingress,
        traffic=await measure(visit, [f"virtual_host={host.key.path}"], closely=True),
        gauges=await draw_gauges(visit, of_virtual_host(host.key.path, endpoints), concerned),
        hits=await hits(visit, "route", [f"virtual_host={host.key.path}"]),
    )


def clusters_of(context: ApiContext, host: Object) -> list[ObjectKey]:
    """The clusters that a virtual host's routes lead to, each once, in match order."""
    found: dict[ObjectKey, None] = {}
    direct = [use.target for use in host.uses() if use.target.kind == "Cluster"]
    for route in [use.target for use in host.uses() if use.target.kind == "Route"]:
        record = context.deployment.records.get(route)
        direct += [use.target for use in record.object.uses() if use.target.kind == "Cluster"] if record else []
    found.update(dict.fromkeys(direct))
    return list(found)


def cluster_view(context: ApiContext, key: ObjectKey) -> ClusterView:
    """A cluster with its endpoints."""
    record = context.deployment.records.get(key)
    if record is None:
        return ClusterView(key, False, (), ())
    spec = document_of(record.object)["spec"]
    facts = tuple(f"{name} {_short(value)}" for name, value in spec.items() if name != "endpoints")
    lines = tuple(
        EndpointLine(
            use.target,
            use.target in context.deployment.records,
            tuple(each for each in context.watch.endpoint(str(use.target)) if each.cluster == str(key)),
        )
        for use in record.object.uses()
        if use.target.kind == "Endpoint"
    )
    return ClusterView(key, True, facts, lines)


def ingress_of(context: ApiContext, host: Object) -> list[str]:
    """The sites where clients reach a virtual host: those that its policies name or select."""
    found: set[str] = set()
    for use in host.uses():
        if use.target.kind == "AdvertisePolicy" and use.target in context.deployment.records:
            found |= {site.name for site in context.deployment.index.sites_of(use.target)}
    return sorted(found)


def _policy(context: ApiContext, key: ObjectKey) -> tuple[ObjectKey, str, list[str]]:
    record = context.deployment.records.get(key)
    if record is None:
        return key, "does not exist", []
    spec = document_of(record.object)["spec"]
    facts = ", ".join(f"{name} {_short(value)}" for name, value in spec.items()) or "with its defaults"
    return key, facts, sorted(site.name for site in context.deployment.index.sites_of(key))


def route_line(context: ApiContext, key: ObjectKey) -> RouteLine:
    """A route as the table shows it."""
    record = context.deployment.records.get(key)
    if record is None:
        return RouteLine(key, False)
    spec = document_of(record.object)["spec"]
    matches = tuple(describe_match(each) for each in spec.get("match", ())) or ("every request",)
    action, rest = _describe_action(spec)
    shares: list[tuple[ObjectKey, float]] = []
    forward = spec.get("forward")
    if isinstance(forward, dict):
        weighted = forward.get("clusters", [])
        total = sum(each.get("weight", 1) for each in weighted) or 1
        targets = [use.target for use in record.object.uses() if use.target.kind == "Cluster"]
        shares = [
            (target, 100.0 * each.get("weight", 1) / total) for target, each in zip(targets, weighted, strict=False)
        ]
    return RouteLine(key, True, matches, action, tuple(shares), tuple(rest))


def describe_match(match: Mapping[str, Any]) -> str:
    """`GET /api/… with header x-user`, for the conditions of one match."""
    parts = [" or ".join(match["methods"])] if match.get("methods") else []
    path = match.get("path")
    if isinstance(path, dict):
        parts += [_describe_path(path)]
    for name, word in (("headers", "header"), ("queryParameters", "parameter")):
        parts += [f"{word} {_condition(each)}" for each in match.get(name, ())]
    known = ("methods", "path", "headers", "queryParameters")
    parts += [f"{name} {_short(value)}" for name, value in match.items() if name not in known]
    return ", ".join(parts) or "every request"


def _describe_path(path: Mapping[str, Any]) -> str:
    if "prefix" in path:
        return f"{path['prefix']}…"
    if "regex" in path:
        return f"path ~ {path['regex']}"
    return str(path.get("exact") or _short(path))


def _condition(condition: Mapping[str, Any]) -> str:
    signs = {"exact": "=", "prefix": "^=", "regex": "~"}
    name = condition.get("name", "")
    inverted = "not " if condition.get("invert") else ""
    for kind, sign in signs.items():
        if kind in condition:
            return f"{inverted}{name} {sign} {condition[kind]}"
    if "present" in condition:
        return f"{inverted}{name} {'present' if condition['present'] else 'absent'}"
    return _short(condition)


def _describe_action(spec: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What a route does, in words, and its other settings."""
    rest = [
        f"{name} {_short(value)}"
        for name, value in spec.items()
        if name not in ("match", "forward", "redirect", "directResponse")
    ]
    forward, redirect, direct = spec.get("forward"), spec.get("redirect"), spec.get("directResponse")
    if forward is not None:
        return "forward", [f"{name} {_short(value)}" for name, value in forward.items() if name != "clusters"] + rest
    if redirect is not None:
        target = ", ".join(f"{name} {_short(value)}" for name, value in redirect.items() if name != "code")
        return f"redirect {redirect.get('code', 301)} to {target}", rest
    if direct is not None:
        return f"answer {direct.get('status')} here", rest
    return "–", rest


def _short(value: Any) -> str:
    return ", ".join(_parts(value))


def _parts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if set(value) <= _REFERENCE:
            yield "/".join(str(value[part]) for part in ("namespace", "name") if part in value)
            return
        for name, part in value.items():
            text = _short(part)
            yield f"{name} {text}" if text else str(name)
    elif isinstance(value, list):
        for part in value:
            yield _short(part)
    else:
        yield value if isinstance(value, str) else json.dumps(value)
