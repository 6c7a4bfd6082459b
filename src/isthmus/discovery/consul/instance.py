"""An instance of a Consul service, parsed from an entry of `/v1/health/service`."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from isthmus.discovery.found import MAX_WEIGHT, Found
from isthmus.model.label import check_label_key, check_label_value

_PASSING, _WARNING = "passing", "warning"


def parse_instance(entry: Mapping[str, Any]) -> Found:
    """The server that an entry speaks of.

    An instance is healthy unless one of its or its node's checks is critical (a check of maintenance mode is). It
    weighs what its weights say for its worst check; a weight of 0 means no requests.

    Labels, later ones over earlier ones: a tag `key=value` is such a label, any other tag a label of the value `true`;
    the service's metadata; its locality. What could not be written in a label expression is left out.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is none, or has no IP address or no port.
    """
    service, node = entry["Service"], entry["Node"]
    address = str(ipaddress.ip_address(service.get("Address") or node["Address"]))
    port = int(service["Port"])
    if not 0 < port < 65536:
        raise ValueError("the instance has no port")
    statuses = {check.get("Status") for check in entry.get("Checks") or ()}
    weights = service.get("Weights") or {}
    weight = int(weights.get("Warning" if _WARNING in statuses else "Passing", 1))
    healthy = statuses <= {_PASSING, _WARNING} and weight > 0
    return Found(address, port, min(max(weight, 1), MAX_WEIGHT), _labels(service), healthy)


def _labels(service: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for tag in service.get("Tags") or ():
        key, separator, value = tag.partition("=")
        pairs.append((key, value if separator else "true"))
    pairs.extend((service.get("Meta") or {}).items())
    locality = service.get("Locality") or {}
    for field, key in (("Region", "topology.kubernetes.io/region"), ("Zone", "topology.kubernetes.io/zone")):
        if locality.get(field):
            pairs.append((key, locality[field]))
    return tuple(sorted({key: value for key, value in pairs if _is_label(key, value)}.items()))


def _is_label(key: str, value: str) -> bool:
    try:
        check_label_key(key)
        check_label_value(value)
    except ValueError:
        return False
    return True
