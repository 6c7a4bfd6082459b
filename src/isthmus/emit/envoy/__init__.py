"""Intent to Envoy resources. Names are in `name.py`, one kind of resource per file."""

from isthmus.emit.envoy.document import parse_resources, resources_document
from isthmus.emit.envoy.emitter import Changes, EnvoyEmitter, Resources, emit_resources
from isthmus.emit.envoy.endpoint import emit_assignments, emit_cluster_endpoints, emit_hosted_endpoints
from isthmus.emit.envoy.nominal import nominal_choices
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.tls import emit_secrets

__all__ = [
    "Changes",
    "EnvoyEmitter",
    "EnvoyPaths",
    "Resources",
    "emit_assignments",
    "emit_cluster_endpoints",
    "emit_hosted_endpoints",
    "emit_resources",
    "emit_secrets",
    "nominal_choices",
    "parse_resources",
    "resources_document",
]
