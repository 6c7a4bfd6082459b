"""What an agent of Consul is told of virtual hosts. Pure: from records and what is registered to changes.

A domain is a service; each address on each port is an instance of it, at the agent of the site. IDs are stable, so that
what an earlier run registered is taken over or removed.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from isthmus.discovery.record import VipRecord
from isthmus.discovery.service_name import digest, service_name

Json = dict[str, Any]

OWNER = "isthmus-owner"
TTL = 300
"""Seconds after the last refreshment until Consul takes an instance for gone. Longer than an agent needs to restart:
Envoy serves on meanwhile."""
_FORGET = "24h"


@dataclass(slots=True)
class Plan:
    """IDs to register, with what; to keep; to remove. `errors`: per record, what stands against it. `ids`: its own."""

    register: dict[str, Json] = field(default_factory=dict)
    keep: set[str] = field(default_factory=set)
    remove: set[str] = field(default_factory=set)
    errors: dict[VipRecord, str] = field(default_factory=dict)
    ids: dict[VipRecord, frozenset[str]] = field(default_factory=dict)


def plan_registration(owner: str, records: Collection[VipRecord], registered: Mapping[str, Json]) -> Plan:
    """`registered`: what the agent says that this owner has, by ID, as `/v1/agent/services` writes it."""
    plan, wanted = Plan(), {}
    domains: dict[str, str] = {}
    for record in sorted(records):
        try:
            name = service_name(record.domain)
        except ValueError as error:
            plan.errors[record] = str(error)
            continue
        if domains.setdefault(name, record.domain) != record.domain:
            plan.errors[record] = f"service {name} is that of {domains[name]}, too; rename one of the two"
            continue
        instances = {each["ID"]: each for each in (_instance(owner, name, record, at) for at in record.addresses)}
        plan.ids[record] = frozenset(instances)
        wanted.update(instances)
    plan.remove = {key for key in registered if key not in wanted}
    for key, instance in wanted.items():
        if key in registered and _same(registered[key], instance):
            plan.keep.add(key)
        else:
            plan.register[key] = instance
    return plan


def owner_filter(owner: str) -> str:
    """Of `/v1/agent/services`: what this owner has registered."""
    return f'Meta["{OWNER}"] == "{digest(owner)}"'


def check_id(instance: str) -> str:
    """Of the check of an instance."""
    return f"{instance}:ttl"


def _instance(owner: str, name: str, record: VipRecord, address: str) -> Json:
    key = f"isthmus-{digest(owner)}-{name}-{record.transport}-{record.port}-{digest(address)}"
    host = record.virtual_host
    return {
        "ID": key,
        "Name": name,
        "Address": address,
        "Port": record.port,
        "Tags": ["isthmus", f"{record.transport}-{record.port}"],
        "Meta": {
            OWNER: digest(owner),
            "isthmus-site": owner[:512],
            "domain": record.domain,
            "virtual-host": f"{host.namespace}/{host.name}",
        },
        "Check": {
            "CheckID": check_id(key),
            "Name": "The site serves this virtual host",
            "TTL": f"{TTL}s",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": _FORGET,
        },
    }


def _same(said: Json, wanted: Json) -> bool:
    return (
        said.get("Service") == wanted["Name"]
        and said.get("Address") == wanted["Address"]
        and said.get("Port") == wanted["Port"]
        and sorted(said.get("Tags") or ()) == sorted(wanted["Tags"])
        and (said.get("Meta") or {}) == wanted["Meta"]
    )
