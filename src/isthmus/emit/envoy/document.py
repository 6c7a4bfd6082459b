"""Resources as plain data, for people: YAML of `isthmus compile -o envoy` and of the goldens."""

from collections.abc import Mapping
from typing import Any

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.json_format import MessageToDict

from isthmus.emit.envoy import name

_KINDS: dict[str, tuple[str, Any]] = {
    name.LISTENER_TYPE: ("listeners", Listener),
    name.ROUTE_TYPE: ("routes", RouteConfiguration),
    name.CLUSTER_TYPE: ("clusters", Cluster),
    name.ENDPOINT_TYPE: ("endpoints", ClusterLoadAssignment),
    name.SECRET_TYPE: ("secrets", Secret),
    name.EXTENSION_TYPE: ("extensions", TypedExtensionConfig),
}
_MAPS = ("filter_metadata", "json_format", "map", "typed_extension_protocol_options", "typed_per_filter_config")

_STRUCTS = ("filter_metadata", "json_format")


def parse_resources(resources: Mapping[str, Mapping[str, bytes]]) -> dict[str, list[Any]]:
    """Decoded messages, by `listeners`, `routes`, `clusters`, `endpoints`, `secrets` and `extensions`."""
    return {
        _KINDS[kind][0]: [_KINDS[kind][1].FromString(bodies[key]) for key in sorted(bodies)]
        for kind, bodies in resources.items()
    }


def resources_document(resources: Mapping[str, Mapping[str, bytes]]) -> dict[str, list[dict[str, Any]]]:
    """The same as mappings, lists, text, numbers and booleans, with Envoy's own field names. It holds private keys if
    `resources` does."""
    return {
        kind: [_plain(MessageToDict(message, preserving_proto_field_name=True)) for message in messages]
        for kind, messages in parse_resources(resources).items()
    }


def _plain(value: Any, *, ordered: bool = True, struct: bool = False) -> Any:
    """Plain mappings, in the order of the message's fields; maps, which have no order of their own, by key, and so all
    that is in structs."""
    if isinstance(value, Mapping):
        keys = value if ordered else sorted(value)
        return {
            key: _plain(value[key], ordered=not struct and key not in _MAPS, struct=struct or key in _STRUCTS)
            for key in keys
        }
    return [_plain(each) for each in value] if isinstance(value, list) else value
