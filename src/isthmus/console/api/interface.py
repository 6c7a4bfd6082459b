"""/apis: the endpoints of the APIs that applications offer, learned from requests, and as OpenAPI documents."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query

from isthmus.console.api.answer import ErrorAnswer
from isthmus.console.api.context import ApiContext, Caller, Context
from isthmus.console.api.interface_answer import (
    BinAnswer,
    CredentialAnswer,
    EndpointDetail,
    InterfaceAnswer,
    InterfaceEndpoint,
    InterfaceList,
    InterfaceSummary,
    PeerAnswer,
    SpreadAnswer,
    VariableAnswer,
)
from isthmus.console.error import RequestRefused
from isthmus.interface.endpoint import Endpoint
from isthmus.interface.histogram import Histogram
from isthmus.interface.openapi import emit_openapi, is_open
from isthmus.interface.usage import CREDENTIALS, Tally
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.virtual_host import VirtualHost

router = APIRouter(prefix="/apis", tags=["apis"])
_ERRORS: dict[int | str, dict[str, Any]] = {code: {"model": ErrorAnswer} for code in (404, 422, 503)}
_MILLISECONDS = 1e-3

Client = Annotated[str, Query(description="Only the edge from this client: what it asked for, and how it went.")]
Cluster = Annotated[str, Query(description="Only the edge to this cluster, `NAMESPACE/NAME`.")]


@router.get("", responses=_ERRORS)
async def interfaces(
    context: Context,
    caller: Caller,
    search: Annotated[str, Query(description="Part of the virtual host's name.")] = "",
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> InterfaceList:
    """Virtual hosts of which an API is known."""
    apis = _apis(context)
    names = [name for name in apis.hosts(DEFAULT_TENANT) if search in name]
    items = []
    for name in names[offset : offset + limit]:
        found = await asyncio.to_thread(apis.summary, DEFAULT_TENANT, name)
        items.append(
            InterfaceSummary(
                virtual_host=name,
                endpoints=found.endpoints,
                requests=round(found.requests),
                errors=round(found.errors),
                last_seen=found.last,
            )
        )
    return InterfaceList(items=items, more=max(0, len(names) - offset - limit))


async def host_names(context: ApiContext, search: str) -> list[str]:
    """Names of the virtual hosts of which an API is known, with a text in them."""
    return [name for name in _apis(context).hosts(DEFAULT_TENANT) if search in name]


@router.get("/{namespace}/{name}", responses=_ERRORS)
async def interface(
    context: Context,
    caller: Caller,
    namespace: str,
    name: str,
    client: Client = "",
    cluster: Cluster = "",
    method: Annotated[str, Query(description="Only this method.")] = "",
    search: Annotated[str, Query(description="Part of the path.")] = "",
    limit: Annotated[int, Query(ge=1, le=5000)] = 1000,
) -> InterfaceAnswer:
    """The endpoints of a virtual host, by path; of one edge of the service graph if a client or cluster is given."""
    endpoints, unmatched = await _endpoints(context, namespace, name)
    found = []
    for each in endpoints:
        if (method and each.method != method.upper()) or search.lower() not in each.path.lower():
            continue
        answer = edge_answer(each, client, cluster) if client or cluster else endpoint_answer(each)
        if answer is not None:
            found.append(answer)
    return InterfaceAnswer(
        virtual_host=f"{namespace}/{name}",
        endpoints=found[:limit],
        more=max(0, len(found) - limit),
        unmatched={family: round(weight) for family, weight in sorted(unmatched.items())},
    )


@router.get("/{namespace}/{name}/endpoint", responses=_ERRORS)
async def endpoint(
    context: Context,
    caller: Caller,
    namespace: str,
    name: str,
    method: str,
    path: Annotated[str, Query(description="As the list gives it, with variables: `/users/{userId}`.")],
) -> EndpointDetail:
    """One endpoint, with its distributions."""
    endpoints, _ = await _endpoints(context, namespace, name)
    for each in endpoints:
        if each.method == method.upper() and each.path == path:
            usage = each.usage
            return EndpointDetail(
                **dict(endpoint_answer(each)),
                latency_bins=_bins(usage.tally.latency, _MILLISECONDS),
                received_bins=_bins(usage.received),
                sent_bins=_bins(usage.sent),
            )
    raise RequestRefused(404, "not-found", f"{namespace}/{name} has no endpoint {method} {path}.")


@router.get("/{namespace}/{name}/openapi", responses=_ERRORS)
async def openapi(context: Context, caller: Caller, namespace: str, name: str) -> dict[str, Any]:
    """The endpoints of a virtual host as an OpenAPI 3.1 document."""
    endpoints, _ = await _endpoints(context, namespace, name)
    record = context.deployment.records.get(ObjectKey(DEFAULT_TENANT, "VirtualHost", namespace, name))
    hosts: list[str] = []
    if record is not None and isinstance(record.object, VirtualHost):
        hosts = [host for host in record.object.spec.domains if "*" not in host]
    return emit_openapi(f"{namespace}/{name}", hosts, endpoints)


def _apis(context: ApiContext) -> Any:
    telemetry = context.telemetry
    if telemetry is None:
        raise RequestRefused(503, "no-telemetry", "This console takes no telemetry, so it learns no APIs.")
    if not telemetry.ready:
        raise RequestRefused(503, "telemetry-not-ready", telemetry.error)
    return telemetry.apis


async def _endpoints(context: ApiContext, namespace: str, name: str) -> tuple[list[Endpoint], dict[str, float]]:
    apis = _apis(context)
    host = f"{namespace}/{name}"
    known = ObjectKey(DEFAULT_TENANT, "VirtualHost", namespace, name) in context.deployment.records
    if not known and host not in apis.hosts(DEFAULT_TENANT):
        raise RequestRefused(404, "not-found", f"VirtualHost {host} does not exist.")
    found: tuple[list[Endpoint], dict[str, float]] = await asyncio.to_thread(apis.endpoints, DEFAULT_TENANT, host)
    return found


def endpoint_answer(endpoint: Endpoint) -> InterfaceEndpoint:
    """An endpoint with all that is known but its distributions."""
    usage = endpoint.usage
    tally = usage.tally
    answer = _answer(endpoint, tally)
    answer.received, answer.sent = _spread(usage.received), _spread(usage.sent)
    answer.credentials = CredentialAnswer(**{name: round(usage.credentials.get(name, 0.0)) for name in CREDENTIALS})
    said = usage.credentials.get("header", 0.0) + usage.credentials.get("certificate", 0.0)
    answer.authenticated = ("sometimes" if is_open(endpoint) else "always") if said > 0 else "never"
    answer.query = {
        name: round(min(1.0, weight / tally.requests), 4)
        for name, weight in sorted(usage.query.items(), key=lambda item: -item[1])
    }
    answer.clients, answer.clusters = _peers(usage.clients), _peers(usage.clusters)
    return answer


def edge_answer(endpoint: Endpoint, client: str, cluster: str) -> InterfaceEndpoint | None:
    """An endpoint as one edge uses it; None if it does not. With client and cluster, what both use is told by the
    client's edge."""
    usage = endpoint.usage
    if (client and client not in usage.clients) or (cluster and cluster not in usage.clusters):
        return None
    return _answer(endpoint, usage.clients[client] if client else usage.clusters[cluster])


def _answer(endpoint: Endpoint, tally: Tally) -> InterfaceEndpoint:
    return InterfaceEndpoint(
        method=endpoint.method,
        path=endpoint.path,
        variables=[VariableAnswer(name=each.name, kind=each.kind) for each in endpoint.variables],
        requests=round(tally.requests),
        errors=round(tally.errors),
        client_errors=round(tally.refusals),
        codes={str(code): round(weight) for code, weight in sorted(tally.codes.items())},
        latency=_spread(tally.latency, _MILLISECONDS),
        first_seen=endpoint.usage.first,
        last_seen=endpoint.usage.last,
    )


def _peers(peers: dict[str, Tally]) -> list[PeerAnswer]:
    return [
        PeerAnswer(
            name=name,
            requests=round(tally.requests),
            errors=round(tally.errors),
            latency=_spread(tally.latency, _MILLISECONDS),
        )
        for name, tally in sorted(peers.items(), key=lambda item: (-item[1].requests, item[0]))
    ]


def _spread(histogram: Histogram, unit: float = 1.0) -> SpreadAnswer | None:
    if not histogram.total:
        return None
    values = {f"p{round(share * 100)}": histogram.quantile(share) or 0.0 for share in (0.5, 0.9, 0.99)}
    return SpreadAnswer(
        **{name: round(value * unit, 3) for name, value in values.items()},
        mean=round((histogram.mean or 0.0) * unit, 3),
    )


def _bins(histogram: Histogram, unit: float = 1.0) -> list[BinAnswer]:
    return [BinAnswer(middle=round(middle * unit, 3), requests=weight) for middle, weight in histogram.points()]
