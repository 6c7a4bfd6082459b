"""What the API server checks and fills in beyond the schema (pkg/apis/core and pkg/apis/discovery, validation)."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

Object = dict[str, Any]

_DNS1123 = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DNS1035 = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])?")
_KEY_NAME = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]")
_PROTOCOLS = ("TCP", "UDP", "SCTP")


def subdomain(name: str) -> bool:
    return len(name) <= 253 and all(_DNS1123.fullmatch(part) for part in name.split("."))


def metadata(item: Object) -> list[str]:
    """Labels and annotations of any object."""
    found = []
    for key, value in (item["metadata"].get("labels") or {}).items():
        if not _qualified(key):
            found.append(f'metadata.labels: Invalid value: "{key}": name part must consist of alphanumeric characters')
        if not _LABEL.fullmatch(value):
            found.append(f'metadata.labels: Invalid value: "{value}": must be 63 alphanumeric characters at most')
    annotations = item["metadata"].get("annotations") or {}
    found += [f'metadata.annotations: Invalid value: "{key}"' for key in annotations if not _qualified(key.lower())]
    for i, owner in enumerate(item["metadata"].get("ownerReferences") or ()):
        missing = [field for field in ("apiVersion", "kind", "name", "uid") if not owner.get(field)]
        found += [f"metadata.ownerReferences[{i}].{field}: Required value" for field in missing]
    return found


def _qualified(key: str) -> bool:
    prefix, separator, name = key.rpartition("/")
    return bool(_KEY_NAME.fullmatch(name)) and (not separator or subdomain(prefix))


def check(item: Object, *, special_addresses: bool = False) -> list[str]:
    """Violations of a new or changed object that its kind has rules for."""
    found = metadata(item)
    match item["kind"]:
        case "Service":
            found += _service(item)
        case "EndpointSlice":
            found += _slice(item, special_addresses)
        case _:
            if not subdomain(item["metadata"]["name"]):
                found.append(
                    f'metadata.name: Invalid value: "{item["metadata"]["name"]}": a lowercase RFC 1123 subdomain'
                )
    return found


def check_change(before: Object, after: Object) -> list[str]:
    """Violations of what may not change."""
    found = []
    for field in ("uid", "creationTimestamp"):
        given = after["metadata"].get(field)
        if given not in (None, before["metadata"].get(field)):
            found.append(f"metadata.{field}: Invalid value: field is immutable")
    if before["kind"] == "EndpointSlice" and before["addressType"] != after["addressType"]:
        found.append(f'addressType: Invalid value: "{after["addressType"]}": field is immutable')
    if before["kind"] == "Service" and after["spec"].get("clusterIP") not in (None, "", before["spec"]["clusterIP"]):
        found.append("spec.clusterIPs[0]: Invalid value: may not change once set")
    return found


def default(item: Object, address: str = "") -> None:
    """Fill in what the API server fills in. `address`: a free ClusterIP."""
    if item["kind"] == "Service":
        spec = item["spec"]
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("sessionAffinity", "None")
        spec.setdefault("internalTrafficPolicy", "Cluster")
        spec.setdefault("ipFamilies", ["IPv4"])
        headless = spec.get("clusterIP") == "None" and not spec.get("selector")
        spec.setdefault("ipFamilyPolicy", "RequireDualStack" if headless else "SingleStack")
        spec.setdefault("clusterIP", address)
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        if spec["type"] in ("NodePort", "LoadBalancer"):
            spec.setdefault("externalTrafficPolicy", "Cluster")
        for port in spec.get("ports") or ():
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
        item.setdefault("status", {"loadBalancer": {}})
    if item["kind"] == "EndpointSlice":
        for port in item.get("ports") or ():
            port.setdefault("name", "")
            port.setdefault("protocol", "TCP")


def _service(item: Object) -> list[str]:
    found, spec, name = [], item.get("spec") or {}, item["metadata"]["name"]
    if not _DNS1035.fullmatch(name):
        found.append(f'metadata.name: Invalid value: "{name}": a DNS-1035 label must start with a letter')
    ports = spec.get("ports") or ()
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        found.append("spec.ports: Required value")
    names, used = set(), set()
    for i, port in enumerate(ports):
        given = port.get("name") or ""
        if not given and len(ports) > 1:
            found.append(f"spec.ports[{i}].name: Required value")
        if given and not _DNS1123.fullmatch(given):
            found.append(f'spec.ports[{i}].name: Invalid value: "{given}": a lowercase RFC 1123 label')
        if given and given in names:
            found.append(f'spec.ports[{i}].name: Duplicate value: "{given}"')
        names.add(given)
        pair = (port.get("protocol") or "TCP", port.get("port"))
        if pair[0] not in _PROTOCOLS:
            found.append(f'spec.ports[{i}].protocol: Unsupported value: "{pair[0]}"')
        if pair in used:
            found.append(f"spec.ports[{i}]: Duplicate value")
        used.add(pair)
        found += _port(port.get("port"), f"spec.ports[{i}].port")
        if isinstance(port.get("targetPort"), int):
            found += _port(port["targetPort"], f"spec.ports[{i}].targetPort")
        node_port = port.get("nodePort")
        if node_port and not 30000 <= node_port <= 32767:
            found.append(
                f"spec.ports[{i}].nodePort: Invalid value: {node_port}: provided port is not in the valid range"
            )
    if spec.get("type") not in (None, "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"):
        found.append(f'spec.type: Unsupported value: "{spec["type"]}"')
    return found


def _slice(item: Object, special_addresses: bool) -> list[str]:
    found, name, family = [], item["metadata"]["name"], item.get("addressType")
    if not subdomain(name):
        found.append(f'metadata.name: Invalid value: "{name}": a lowercase RFC 1123 subdomain')
    if family not in ("IPv4", "IPv6", "FQDN"):
        found.append(f'addressType: Unsupported value: "{family}": supported values: "FQDN", "IPv4", "IPv6"')
    endpoints = item.get("endpoints") or ()
    if len(endpoints) > 1000:
        found.append(f"endpoints: Too many: {len(endpoints)}: must have at most 1000 items")
    for i, endpoint in enumerate(endpoints):
        path = f"endpoints[{i}]"
        addresses = endpoint.get("addresses") or ()
        if not 1 <= len(addresses) <= 100:
            found.append(f"{path}.addresses: must contain 1 to 100 addresses")
        for j, address in enumerate(addresses):
            found += _address(address, family, f"{path}.addresses[{j}]", special_addresses)
        if endpoint.get("hostname") and not _DNS1123.fullmatch(endpoint["hostname"]):
            found.append(f'{path}.hostname: Invalid value: "{endpoint["hostname"]}": a lowercase RFC 1123 label')
    names = set()
    for i, port in enumerate(item.get("ports") or ()):
        given = port.get("name") or ""
        if given and not _DNS1123.fullmatch(given):
            found.append(f'ports[{i}].name: Invalid value: "{given}": a lowercase RFC 1123 label')
        if given in names:
            found.append(f'ports[{i}].name: Duplicate value: "{given}"')
        names.add(given)
        if port.get("protocol") not in (None, *_PROTOCOLS):
            found.append(f'ports[{i}].protocol: Unsupported value: "{port["protocol"]}"')
        if port.get("port") is not None:
            found += _port(port["port"], f"ports[{i}].port")
    return found


def _address(text: str, family: str | None, path: str, special: bool) -> list[str]:
    if family == "FQDN":
        return [] if subdomain(text) and "." in text else [f'{path}: Invalid value: "{text}"']
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return [f'{path}: Invalid value: "{text}": must be a valid {family} address']
    if f"IPv{address.version}" != family:
        return [f'{path}: Invalid value: "{text}": must be a valid {family} address']
    unusable = address.is_unspecified or address.is_loopback or address.is_link_local
    if unusable and not special:
        return [f'{path}: Invalid value: "{text}": may not be unspecified, loopback or link-local']
    return []


def _port(value: Any, path: str) -> list[str]:
    right = isinstance(value, int) and 1 <= value <= 65535
    return [] if right else [f"{path}: Invalid value: {value}: must be between 1 and 65535, inclusive"]
