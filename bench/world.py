"""Objects that the cases declare, with the numbers that a console would give them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from isthmus.model import Cluster, ClusterAccess, Metadata, Object, ObjectKey, Region, Route, Site, System
from isthmus.model.cluster_access import ClusterAccessSpec
from isthmus.model.document import parse_documents
from isthmus.model.validation import validate

TRUST_DOMAIN = "bench.isthmus"
Document = dict[str, Any]


def document(kind: str, name: str, namespace: str = "", **spec: Any) -> Document:
    """One object as people write it."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": spec}


def site(name: str, client: str = "127.0.0.1", fabric: tuple[str, int] | None = None) -> Document:
    """A site with one interface, and a fabric address when others may call it."""
    addresses = [{"address": fabric[0], "port": fabric[1]}] if fabric else []
    return document(
        "Site",
        name,
        interfaces=[{"name": "lo", "network": "outside", "addresses": [client]}],
        fabric={"addresses": addresses},
    )


def objects(documents: Iterable[Document]) -> dict[ObjectKey, Object]:
    """Parse, check as an apply would, and number. Raises ValueError when the case itself is wrong."""
    parsed = parse_documents(documents)
    known: dict[ObjectKey, Object] = {}
    for order, obj in enumerate(parsed.objects, start=1):
        number = order if isinstance(obj, Site | Cluster | Region) else None
        known[obj.key] = obj.with_system(System(created=order, number=number))
    wrong = [*parsed.diagnostics, *validate({**known, **_namespaces(known)})]
    if wrong:
        raise ValueError("\n".join(map(str, wrong[:10])))
    return known


def _namespaces(known: Mapping[ObjectKey, Object]) -> dict[ObjectKey, Object]:
    names = {key.namespace for key in known} - {""}
    parsed = parse_documents([document("Namespace", name) for name in sorted(names)])
    return {obj.key: obj for obj in parsed.objects}


def service(
    name: str,
    endpoints: Iterable[tuple[str, str, int]],
    port: int,
    ingress: str,
    selection: str = "DISTRIBUTED",
    **virtual_host: Any,
) -> Iterator[Document]:
    """A virtual host `NAME.example` at one ingress site, one route, one cluster.

    `endpoints` are (site, address, port); `virtual_host` are more fields of it, or others in place of these.
    """
    references = []
    for index, (where, address, endpoint_port) in enumerate(endpoints):
        references.append({"name": f"{name}-{index}"})
        place: dict[str, Any] = {"where": {"site": where}, "address": address, "port": endpoint_port}
        if virtual_host.get("proxy") == "UDP":
            place["protocol"] = "UDP"
        yield document("Endpoint", f"{name}-{index}", "bench", **place)
    yield document("Cluster", name, "bench", endpoints=references, endpointSelection=selection)
    yield document("Route", name, "bench", forward={"clusters": [{"cluster": {"name": name}}]})
    yield document("AdvertisePolicy", name, "bench", where={"site": ingress}, port=port)
    fields: dict[str, Any] = {
        "domains": [f"{name}.example"],
        "routes": [{"name": name}],
        "advertisePolicies": [{"name": name}],
    }
    yield document("VirtualHost", name, "bench", **{**fields, **virtual_host})


def access(cluster: str, callers: Iterable[str]) -> dict[ObjectKey, Object]:
    """What the console derives for the sites that host a cluster: who may call it through the fabric."""
    metadata = Metadata(namespace="bench", name=cluster)
    granted = ClusterAccess(metadata=metadata, spec=ClusterAccessSpec(callers=tuple(callers)))
    return {granted.key: granted}


def many(hosts: int, port: int, own: str = "own", **virtual_host: Any) -> Iterator[Document]:
    """A site that takes in `hosts` virtual hosts with two routes each, for 200 clusters of one endpoint.

    `virtual_host` are more fields of each.
    """
    yield site(own, fabric=("127.0.0.1", 7400))
    yield document("AdvertisePolicy", "all", "bench", where={"site": own}, port=port)
    for number in range(200):
        address = f"127.100.{number // 250}.{number % 250 + 1}"
        yield document("Endpoint", f"e-{number}", "bench", where={"site": own}, address=address, port=9)
        yield document("Cluster", f"c-{number}", "bench", endpoints=[{"name": f"e-{number}"}])
    for host in range(hosts):
        for index, match in enumerate(([{"path": {"prefix": "/api/"}}], [])):
            forward = {"clusters": [{"cluster": {"name": f"c-{host % 200}"}}]}
            yield document("Route", f"r-{host}-{index}", "bench", match=match, forward=forward)
        fields: dict[str, Any] = {
            "domains": [f"h-{host}.example"],
            "routes": [{"name": f"r-{host}-{index}"} for index in range(2)],
            "advertisePolicies": [{"name": "all"}],
        }
        yield document("VirtualHost", f"h-{host}", "bench", **{**fields, **virtual_host})


def large(hosts: int, routes: int, endpoints: int, port: int, own: str = "own") -> Iterator[Document]:
    """A site that takes in `hosts` virtual hosts with `routes` routes and `endpoints` endpoints in all.

    One cluster for each virtual host; a fifth of its endpoints are at the site itself, the rest at four others.
    The first route of each matches methods, too.
    """
    others = [f"other-{index}" for index in range(4)]
    yield site(own, fabric=("127.0.0.1", 7400))
    for index, name in enumerate(others):
        yield site(name, client=f"127.0.1.{index + 1}", fabric=(f"127.0.1.{index + 1}", 7400))
    yield document("AdvertisePolicy", "all", "bench", where={"site": own}, port=port)
    for index in range(5):
        yield document("HealthCheck", f"check-{index}", "bench", http={"path": f"/healthy/{index}"}, interval="60s")
    for host in range(hosts):
        yield from _large_host(host, routes // hosts, endpoints // hosts, [own, *others])


def _large_host(host: int, routes: int, endpoints: int, places: list[str]) -> Iterator[Document]:
    references = [{"name": f"e-{host}-{index}"} for index in range(endpoints)]
    for index, reference in enumerate(references):
        number = host * endpoints + index
        yield document(
            "Endpoint",
            reference["name"],
            "bench",
            where={"site": places[index % len(places)]},
            address=f"127.{100 + number // 62_500}.{number // 250 % 250}.{number % 250 + 1}",
            port=9,
        )
    check = [{"name": f"check-{host % 5}"}]
    yield document("Cluster", f"c-{host}", "bench", endpoints=references, healthChecks=check)
    for index in range(routes):
        yield document(
            "Route",
            f"r-{host}-{index}",
            "bench",
            match=[{"path": {"prefix": f"/part-{index}/"}, "methods": ["GET", "POST"] if index == 0 else []}],
            forward={"clusters": [{"cluster": {"name": f"c-{host}"}}], "timeout": "10s"},
        )
    yield document(
        "VirtualHost",
        f"h-{host}",
        "bench",
        domains=[f"h-{host}.example", f"*.h-{host}.example"],
        routes=[{"name": f"r-{host}-{index}"} for index in range(routes)],
        advertisePolicies=[{"name": "all"}],
    )


def changed_route(route: Object, prefix: str) -> Object:
    """The route with another prefix to match."""
    body = route.model_dump(mode="json", by_alias=True)
    body["spec"]["match"] = [{"path": {"prefix": prefix}}]
    return Route.model_validate_json(json.dumps(body))
