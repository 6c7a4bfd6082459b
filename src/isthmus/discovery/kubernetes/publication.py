"""What has to change in a cluster so that it knows virtual hosts. Pure: from objects and records to changes.

A domain is a headless Service without selector, which all sites that serve the domain share. Each site adds
EndpointSlices of its own, one per address family and set of addresses. Then:
1. A Service that is missing is created; its slices follow once it is there, since they name it as their owner.
2. A Service of that name that is not Isthmus's, or is of another domain, is left alone, and is an error.
3. Slices of this owner that are missing, different or not wanted are created, replaced or deleted; others stay.
4. The Service has the ports of all slices, whosever they are; it is deleted when there is no slice left.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from isthmus.discovery.kubernetes.fact import SERVICE_LABEL
from isthmus.discovery.record import VipRecord
from isthmus.discovery.service_name import digest, service_name

Json = dict[str, Any]

MANAGER = "isthmus"
SERVICE_MANAGER_LABEL = "app.kubernetes.io/managed-by"
SLICE_MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
OWNER_LABEL = "isthmus/owner"
DOMAIN_ANNOTATION = "isthmus/domain"
OWNER_ANNOTATION = "isthmus/site"
_MAX_ENDPOINTS = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One request. `service`: whose publication it is part of; `item`: what to create or replace, or what to delete."""

    verb: Literal["create", "replace", "delete"]
    plural: Literal["services", "endpointslices"]
    service: str
    item: Json


@dataclass(slots=True)
class Plan:
    """Changes in the order in which they have to be made, and per record what stands against it."""

    changes: list[Change] = field(default_factory=list)
    errors: dict[VipRecord, str] = field(default_factory=dict)
    services: dict[VipRecord, str] = field(default_factory=dict)
    unclaimed: set[str] = field(default_factory=set)
    """UIDs of Services of Isthmus that no site has a slice of and that this one does not want."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A Service and this owner's slices of it, by name."""

    domain: str
    slices: Mapping[str, Json]


def plan_publication(
    owner: str,
    namespace: str,
    records: Collection[VipRecord],
    services: Mapping[str, Json],
    slices: Mapping[str, Json],
    left: Collection[str] = (),
) -> Plan:
    """See above. `services` and `slices` are all of Isthmus's in the namespace; `left`: UIDs of Services that may be
    deleted when they are empty, because this site has just left them. Others may be about to be filled by another site.
    """
    plan = Plan()
    wanted = _wanted(plan, owner, namespace, records)
    mine = {name: item for name, item in slices.items() if _label(item, OWNER_LABEL) == digest(owner)}
    for name, item in sorted(mine.items()):
        service = _label(item, SERVICE_LABEL)
        if service not in wanted or name not in wanted[service].slices:
            plan.changes.append(Change("delete", "endpointslices", service, item))
    gone = {change.item["metadata"]["name"] for change in plan.changes}
    for service, each in sorted(wanted.items()):
        _plan_service(plan, namespace, service, each, services.get(service), slices, gone)
    for service, item in sorted(services.items()):
        kept = [name for name, part in slices.items() if _label(part, SERVICE_LABEL) == service and name not in gone]
        if service in wanted:
            continue
        if kept:
            ports = _ports(slices[name] for name in kept)
            if gone and _differ(item["spec"].get("ports") or [], ports):
                plan.changes.append(Change("replace", "services", service, _with_ports(item, ports)))
        elif item["metadata"]["uid"] in left or any(change.service == service for change in plan.changes):
            plan.changes.append(Change("delete", "services", service, item))
        else:
            plan.unclaimed.add(item["metadata"]["uid"])
    return plan


def _plan_service(
    plan: Plan,
    namespace: str,
    name: str,
    wanted: _Wanted,
    service: Json | None,
    slices: Mapping[str, Json],
    gone: Collection[str],
) -> None:
    others = [
        part
        for part_name, part in slices.items()
        if _label(part, SERVICE_LABEL) == name and part_name not in gone and part_name not in wanted.slices
    ]
    ports = _ports([*others, *wanted.slices.values()])
    if service is None:
        plan.changes.append(Change("create", "services", name, _service(namespace, name, wanted.domain, ports)))
        return
    if _annotation(service, DOMAIN_ANNOTATION) != wanted.domain:
        text = (
            f"Service {name} is that of {_annotation(service, DOMAIN_ANNOTATION) or 'no domain'}; rename one of the two"
        )
        plan.errors.update({record: text for record, at in plan.services.items() if at == name})
        return
    uid = service["metadata"]["uid"]
    for slice_name, item in sorted(wanted.slices.items()):
        item = _owned(item, name, uid)
        before = slices.get(slice_name)
        if before is None:
            plan.changes.append(Change("create", "endpointslices", name, item))
        elif _matter(before) != _matter(item):
            meta = {**before["metadata"], **item["metadata"]}
            plan.changes.append(Change("replace", "endpointslices", name, {**item, "metadata": meta}))
    if _differ(service["spec"].get("ports") or [], ports):
        plan.changes.append(Change("replace", "services", name, _with_ports(service, ports)))


def _wanted(plan: Plan, owner: str, namespace: str, records: Collection[VipRecord]) -> dict[str, _Wanted]:
    """By Service; what cannot be published becomes an error."""
    found: dict[str, list[VipRecord]] = defaultdict(list)
    domains: dict[str, str] = {}
    for record in sorted(records):
        try:
            name = service_name(record.domain)
        except ValueError as error:
            plan.errors[record] = str(error)
            continue
        plan.services[record] = name
        if domains.setdefault(name, record.domain) != record.domain:
            plan.errors[record] = f"Service {name} is that of {domains[name]}, too; rename one of the two"
            continue
        special = [each for each in record.addresses if _is_special(each)]
        if special:
            plan.errors[record] = (
                f"{special[0]} cannot be published: Kubernetes takes no loopback or link-local address"
            )
        if len(record.addresses) > len(special):
            found[name].append(record)
    return {name: _Wanted(domains[name], _slices(owner, namespace, name, each)) for name, each in found.items()}


def _slices(owner: str, namespace: str, service: str, records: list[VipRecord]) -> dict[str, Json]:
    groups: dict[tuple[int, tuple[str, ...]], set[tuple[str, int]]] = defaultdict(set)
    for record in records:
        for version in (4, 6):
            usable = [each for each in record.addresses if not _is_special(each)]
            addresses = tuple(each for each in usable if ipaddress.ip_address(each).version == version)[:_MAX_ENDPOINTS]
            if addresses:
                groups[version, addresses].add((record.transport, record.port))
    found: dict[str, Json] = {}
    for (version, addresses), ports in sorted(groups.items(), key=lambda group: (group[0][0], sorted(group[1]))):
        stem = f"{service}-{digest(owner)}-ipv{version}"
        name = next(each for each in (stem, *(f"{stem}-{i}" for i in range(2, len(groups) + 2))) if each not in found)
        found[name] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {SERVICE_LABEL: service, SLICE_MANAGER_LABEL: MANAGER, OWNER_LABEL: digest(owner)},
                "annotations": {OWNER_ANNOTATION: owner},
            },
            "addressType": f"IPv{version}",
            "endpoints": [
                {"addresses": [each], "conditions": {"ready": True, "serving": True, "terminating": False}}
                for each in addresses
            ],
            "ports": [
                {"name": f"{transport}-{port}", "protocol": transport.upper(), "port": port}
                for transport, port in sorted(ports)
            ],
        }
    return found


def _service(namespace: str, name: str, domain: str, ports: list[Json]) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {SERVICE_MANAGER_LABEL: MANAGER},
            "annotations": {DOMAIN_ANNOTATION: domain},
        },
        "spec": {"clusterIP": "None", "ports": ports},
    }


def _owned(item: Json, service: str, uid: str) -> Json:
    owner = {"apiVersion": "v1", "kind": "Service", "name": service, "uid": uid}
    return {**item, "metadata": {**item["metadata"], "ownerReferences": [owner]}}


def _with_ports(service: Json, ports: list[Json]) -> Json:
    return {**service, "spec": {**service["spec"], "ports": ports}}


def _ports(slices: Iterable[Json]) -> list[Json]:
    """Those of all slices, as a Service writes them."""
    found = {(port["port"], port.get("protocol") or "TCP") for item in slices for port in item.get("ports") or ()}
    return [
        {"name": f"{protocol.lower()}-{port}", "protocol": protocol, "port": port, "targetPort": port}
        for port, protocol in sorted(found)
    ]


def _differ(one: list[Json], other: list[Json]) -> bool:
    return {(p["port"], p.get("protocol") or "TCP") for p in one} != {(p["port"], p["protocol"]) for p in other}


def _matter(item: Json) -> Any:
    """What of a slice is this site's to say."""
    labels = {key: _label(item, key) for key in (SERVICE_LABEL, SLICE_MANAGER_LABEL, OWNER_LABEL)}
    owners = [each.get("uid") for each in item["metadata"].get("ownerReferences") or ()]
    ports = [(each.get("name"), each.get("protocol"), each.get("port")) for each in item.get("ports") or ()]
    endpoints = [
        (each["addresses"], (each.get("conditions") or {}).get("ready")) for each in item.get("endpoints") or ()
    ]
    return labels, owners, ports, endpoints


def _label(item: Json, key: str) -> str:
    return str((item["metadata"].get("labels") or {}).get(key, ""))


def _annotation(item: Json, key: str) -> str:
    return str((item["metadata"].get("annotations") or {}).get(key, ""))


def _is_special(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
