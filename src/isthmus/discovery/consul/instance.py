"""An instance of a Consul service, parsed from an entry of `/v1/health/service`."""

import ipaddress
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from isthmus.discovery.found import MAX_WEIGHT, Found
from isthmus.discovery.tally import Tally
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


class Instances:
    """The servers of one query, from one answer to the next.

    Consul sends all instances each time. Those whose service, node and checks bear the same ModifyIndex as before are
    what they were: they are not parsed again.
    """

    def __init__(self) -> None:
        self._tally = Tally()
        self._stamps: dict[Hashable, Hashable] = {}
        self._odd: set[Hashable] = set()

    def take(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take in an answer. Entries that are no instances with an IP address and a port are counted as `odd`."""
        seen = set()
        for number, entry in enumerate(entries):
            key, stamp = _identity(entry, number)
            seen.add(key)
            if stamp is None or self._stamps.get(key) != stamp:
                self._stamps[key] = stamp
                self._parse(key, entry)
        for key in self._stamps.keys() - seen:
            del self._stamps[key]
            self._odd.discard(key)
            self._tally.set(key, ())

    @property
    def found(self) -> tuple[Found, ...]:
        """Sorted and distinct."""
        return self._tally.found()

    @property
    def odd(self) -> int:
        """How many entries are left out."""
        return len(self._odd)

    def _parse(self, key: Hashable, entry: Mapping[str, Any]) -> None:
        try:
            self._tally.set(key, (parse_instance(entry),))
            self._odd.discard(key)
        except (KeyError, TypeError, ValueError, AttributeError):  # a host name, or a service without a port
            self._tally.set(key, ())
            self._odd.add(key)


def _identity(entry: Mapping[str, Any], number: int) -> tuple[Hashable, Hashable]:
    """Whose entry it is, and what changes when it does; None as the latter when Consul does not say."""
    try:
        service, node = entry["Service"], entry["Node"]
        stamp = (
            service["ModifyIndex"],
            node["ModifyIndex"],
            tuple([check["ModifyIndex"] for check in entry["Checks"]]),
        )
        return (node["Node"], service["ID"]), stamp
    except (KeyError, TypeError):
        return number, None


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
