"""What discovery keeps of Kubernetes' objects (core/v1 and discovery.k8s.io/v1), parsed from their JSON."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Labels = tuple[tuple[str, str], ...]
"""Sorted by key."""

SERVICE_LABEL = "kubernetes.io/service-name"
ZONE_LABEL = "topology.kubernetes.io/zone"
REGION_LABEL = "topology.kubernetes.io/region"
EXCLUDE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service; `node_port` is 0 when it has none."""

    name: str
    port: int
    node_port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Service:
    """A Service. `local`: its node ports lead only to pods of the same node (`externalTrafficPolicy: Local`)."""

    labels: Labels
    ports: tuple[ServicePort, ...]
    type: str
    local: bool
    families: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SliceEndpoint:
    """One endpoint of a slice. `pod` and `node` are names, empty when not given."""

    address: str
    ready: bool
    serving: bool
    terminating: bool
    node: str
    zone: str
    pod: str


@dataclass(frozen=True, slots=True)
class SlicePort:
    """A port of a slice; `port` is 0 when it is not restricted."""

    name: str
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice: a part of a Service's endpoints, all of one address family (`IPv4`, `IPv6`)."""

    service: str
    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[SliceEndpoint, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A node. `addresses`: by family, the one to use."""

    ready: bool
    addresses: tuple[tuple[str, str], ...]
    labels: Labels


@dataclass(frozen=True, slots=True)
class Pod:
    """Of a pod, only its labels."""

    labels: Labels


def parse_service(item: Mapping[str, Any]) -> Service:
    """A core/v1 Service. This and the next raise KeyError, TypeError, ValueError or AttributeError when it is none."""
    spec = item["spec"]
    ports = tuple(
        ServicePort(each.get("name") or "", int(each["port"]), int(each.get("nodePort") or 0), _protocol(each))
        for each in spec.get("ports") or ()
    )
    families = tuple(spec.get("ipFamilies") or ())
    local = spec.get("externalTrafficPolicy") == "Local"
    return Service(_labels(item), ports, spec.get("type") or "ClusterIP", local, families)


def parse_slice(item: Mapping[str, Any]) -> Slice:
    """A discovery.k8s.io/v1 EndpointSlice.

    Only the first address of an endpoint has a meaning ("kube-proxy does not look at" others). An absent `ready` means
    ready, an absent `serving` means the same as `ready`, an absent `terminating` means no.
    """
    family = item["addressType"]
    ports = tuple(
        SlicePort(each.get("name") or "", int(each.get("port") or 0), _protocol(each))
        for each in item.get("ports") or ()
    )
    service = (item["metadata"].get("labels") or {}).get(SERVICE_LABEL, "")
    if family not in ("IPv4", "IPv6"):  # FQDN has no addresses that a data path could use
        return Slice(service, family, ports, ())
    return Slice(service, family, ports, tuple(_endpoint(each) for each in item.get("endpoints") or ()))


def parse_node(item: Mapping[str, Any]) -> Node:
    """A core/v1 Node: internal addresses are preferred to external ones, and host names not used."""
    status, labels = item.get("status") or {}, item["metadata"].get("labels") or {}
    ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions") or ())
    found: dict[str, str] = {}
    for kind in ("ExternalIP", "InternalIP"):
        for each in reversed(status.get("addresses") or ()):
            if each["type"] == kind:
                address = ipaddress.ip_address(each["address"])
                found[f"IPv{address.version}"] = str(address)
    if EXCLUDE_LABEL in labels:
        found = {}
    kept = tuple(sorted((key, value) for key, value in labels.items() if key in (ZONE_LABEL, REGION_LABEL)))
    return Node(ready, tuple(sorted(found.items())), kept)


def parse_pod(item: Mapping[str, Any]) -> Pod:
    """A core/v1 Pod."""
    return Pod(_labels(item))


def _endpoint(each: Mapping[str, Any]) -> SliceEndpoint:
    conditions, target = each.get("conditions") or {}, each.get("targetRef") or {}
    ready = conditions.get("ready")
    ready = True if ready is None else bool(ready)
    serving = conditions.get("serving")
    return SliceEndpoint(
        _canonical(each["addresses"][0]),
        ready,
        ready if serving is None else bool(serving),
        bool(conditions.get("terminating")),
        each.get("nodeName") or "",
        each.get("zone") or "",
        (target.get("name") or "") if target.get("kind") == "Pod" else "",
    )


@lru_cache(maxsize=32_768)
def _canonical(address: str) -> str:
    """Every event of a slice holds all of its addresses again, and parsing them was half of its cost."""
    return str(ipaddress.ip_address(address))


def _labels(item: Mapping[str, Any]) -> Labels:
    return tuple(sorted((str(key), str(value)) for key, value in (item["metadata"].get("labels") or {}).items()))


def _protocol(port: Mapping[str, Any]) -> str:
    return port.get("protocol") or "TCP"
