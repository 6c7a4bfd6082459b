"""What a site would run, worked out from documents alone, as if every endpoint were healthy.

Steps: 1. parse and validate everything. 2. Number objects in the order of the documents, as a console would that got
them in this order. 3. Slice, so that the site gets what it would get. 4. Compile. 5. Emit, each remote site healthy.
"""

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from google.protobuf import descriptor_pool, json_format, message_factory

from isthmus.compile import compile_site
from isthmus.compile.intent import Cluster, Endpoint, Intent, Member
from isthmus.emit.envoy import name
from isthmus.emit.envoy.emitter import EnvoyEmitter
from isthmus.emit.envoy.endpoint import emit_assignments
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.health.choice import Selection, SiteChoice, SiteInfo, choose_subsets
from isthmus.health.route import EndpointRoute
from isthmus.health.table import Entry
from isthmus.model import Diagnostic, Object, ObjectKey, System, parse_envelope
from isthmus.model.subset import subset_mark
from isthmus.model.validation import validate
from isthmus.slice import SliceIndex, site_subject

_NUMBERED = ("Site", "Region", "Cluster")
_SECTIONS = {
    "listeners": name.LISTENER_TYPE,
    "routes": name.ROUTE_TYPE,
    "clusters": name.CLUSTER_TYPE,
    "endpoints": name.ENDPOINT_TYPE,
    "extensions": name.EXTENSION_TYPE,
}


@dataclass(frozen=True, slots=True)
class Result:
    """What of the documents is valid for the site, and what is wrong with any of them."""

    intent: Intent
    diagnostics: tuple[Diagnostic, ...]


def compile_offline(objects: Iterable[Object], site: ObjectKey, trust_domain: str) -> Result:
    """Compile one site from all objects of a deployment. Diagnostics are of all objects, each reported once."""
    numbered: dict[ObjectKey, Object] = {}
    for order, obj in enumerate(objects, 1):
        numbered[obj.key] = obj.with_system(System(created=order, number=order if obj.kind in _NUMBERED else None))
    found = list(validate(numbered))
    index = SliceIndex(numbered.values())
    needed: dict[ObjectKey, Object] = {}
    for key, digest in index.slice_of(site_subject(site)).items():
        body = index.body(digest)
        assert body is not None, f"the slice names {key} without its body"
        needed[key] = parse_envelope(body)
    compilation = compile_site(needed, site, trust_domain)
    known = {(each.object, each.code) for each in found}
    found.extend(each for each in compilation.diagnostics if (each.object, each.code) not in known)
    return Result(compilation.intent, tuple(found))


def unknown_lookups(intent: Intent) -> list[str]:
    """What the site would ask registries for, in words: its servers are not known without asking."""
    return [
        f"{query} ({registry.key.title if registry.key else 'the resolver of the system'})"
        for registry in intent.registries
        for query in registry.queries
    ]


def emit_offline(intent: Intent) -> dict[str, list[dict[str, Any]]]:
    """The site's Envoy resources as plain values, by section. Certificates are not among them."""
    resources = EnvoyEmitter(EnvoyPaths()).emit(intent)
    endpoints = dict(resources[name.ENDPOINT_TYPE])
    for cluster in intent.clusters:
        endpoints.update(emit_assignments(cluster, _all_healthy(intent, cluster).__getitem__))
    whole = {**resources, name.ENDPOINT_TYPE: endpoints}
    return {
        section: [_message(kind, body) for _, body in sorted(whole.get(kind, {}).items())]
        for section, kind in _SECTIONS.items()
    }


def _all_healthy(intent: Intent, cluster: Cluster) -> dict[str, tuple[SiteChoice, ...]]:
    def info(site: str, number: int, place: Any, drained: bool) -> SiteInfo:
        return SiteInfo(site, number, (place.latitude, place.longitude) if place else None, drained)

    entries = [
        Entry(_route(member, count, cluster, endpoint), 0.0, None, ("offline",))
        for member in cluster.members
        if not member.own
        for count, endpoint in enumerate(member.endpoints, 1)
    ]
    own = [each for member in cluster.members if member.own for each in member.endpoints]
    return choose_subsets(
        info(intent.site, intent.number, intent.place, intent.drained),
        Selection(cluster.selection),
        [info(member.site, member.number, member.place, member.drained) for member in cluster.members],
        entries,
        0.0,
        {subset: subset_mark(subset) for subset in cluster.subsets},
        local_weight=lambda subset: sum(each.weight for each in own if not subset or subset in each.subsets),
        fallback=cluster.fallback,
    )


def _route(member: Member, number: int, cluster: Cluster, endpoint: Endpoint) -> EndpointRoute:
    subsets = frozenset(map(subset_mark, endpoint.subsets))
    return EndpointRoute(member.number, number, cluster.number, endpoint.weight, 0, subsets=subsets)


def _message(type_url: str, body: bytes) -> dict[str, Any]:
    """A resource as its JSON form, as Envoy's own files write it."""
    descriptor = descriptor_pool.Default().FindMessageTypeByName(type_url.rpartition("/")[2])
    message = message_factory.GetMessageClass(descriptor)()
    message.ParseFromString(body)
    document: dict[str, Any] = json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True))
    return document


def plain(value: Any) -> Any:
    """An intent as plain values: keys as text, enumerations by value, what is empty or None left out."""
    if isinstance(value, ObjectKey):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {key: part for key, part in parts.items() if part not in (None, [], {})}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    return value
