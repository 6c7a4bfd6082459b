"""Resources as one static bootstrap, so that `envoy --mode validate` looks at all of them without a server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.extensions.bootstrap.internal_listener.v3.internal_listener_pb2 import InternalListener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext

from isthmus.emit.envoy import Resources, emit_secrets, name, parse_resources
from isthmus.emit.envoy.bootstrap import LOG_CLUSTER
from isthmus.emit.envoy.tls import emit_certificate, emit_challenge_certificate, emit_trusted_authority
from isthmus.identity import Authority, Identity, Role, emit_key, generate_key, make_csr
from isthmus.model import Certificate, Object, ObjectKey
from isthmus.site.challenge import make_challenge


def static_bootstrap(resources: Resources, objects: Mapping[ObjectKey, Object] = MappingProxyType({})) -> Bootstrap:
    """Every reference to the stream is replaced with what it refers to, so each must resolve (else KeyError)."""
    messages = parse_resources(resources | {name.SECRET_TYPE: _secrets(objects)})
    routes = {each.name: each for each in messages["routes"]}
    extensions = {each.name: each for each in messages["extensions"]}
    assignments = {each.cluster_name: each for each in messages["endpoints"]}
    bootstrap = Bootstrap()
    bootstrap.node.id = bootstrap.node.cluster = "golden"
    extension = bootstrap.bootstrap_extensions.add(name="envoy.bootstrap.internal_listener")
    extension.typed_config.Pack(InternalListener())
    static = bootstrap.static_resources
    static.clusters.add(name=LOG_CLUSTER)  # of the real bootstrap
    static.secrets.extend(messages["secrets"])
    for listener in messages["listeners"]:
        for chain in listener.filter_chains:
            for each in chain.filters:
                if each.HasField("config_discovery"):
                    each.typed_config.CopyFrom(extensions[each.name].typed_config)
                elif each.typed_config.Is(HttpConnectionManager.DESCRIPTOR):
                    _inline_manager(each.typed_config, routes, extensions)
            _inline_secrets(chain, DownstreamTlsContext)
        static.listeners.append(listener)
    for cluster in messages["clusters"]:
        if cluster.HasField("eds_cluster_config"):
            cluster.load_assignment.CopyFrom(assignments.pop(cluster.name))
            cluster.type = cluster.STATIC
            cluster.ClearField("eds_cluster_config")
        _inline_secrets(cluster, UpstreamTlsContext)
        static.clusters.append(cluster)
    assert not assignments, "assignments of clusters that do not exist"
    return bootstrap


def _inline_manager(config: Any, routes: dict[str, Any], extensions: dict[str, Any]) -> None:
    manager = HttpConnectionManager()
    assert config.Unpack(manager)
    if manager.HasField("rds"):
        manager.route_config.CopyFrom(routes[manager.rds.route_config_name])
    manager.route_config.validate_clusters.value = True
    for http_filter in manager.http_filters:
        if http_filter.HasField("config_discovery"):
            http_filter.typed_config.CopyFrom(extensions[http_filter.name].typed_config)
    config.Pack(manager)


def _inline_secrets(holder: Any, context_type: Any) -> None:
    context = context_type()
    if not holder.transport_socket.typed_config.Unpack(context):
        return
    common = context.common_tls_context
    combined = common.combined_validation_context.validation_context_sds_secret_config
    for secret in (
        *common.tls_certificate_sds_secret_configs,
        *(each for each in (common.validation_context_sds_secret_config, combined) if each.name),
    ):
        secret.ClearField("sds_config")
    holder.transport_socket.typed_config.Pack(context)


def _challenged(obj: Object) -> list[str]:
    state = obj.system.acme if isinstance(obj, Certificate) else None
    return [each.domain for each in state.challenges] if state is not None else []


def _secrets(objects: Mapping[ObjectKey, Object]) -> dict[str, bytes]:
    """The site's own, and in the place of every certificate and authority of the objects one that Envoy takes."""
    now = datetime.now(UTC)
    authority = Authority.create("isthmus.example", now)
    key = generate_key()
    identity = Identity(trust_domain="isthmus.example", role=Role.SITE, tenant="default", name="golden")
    chain = authority.issue(make_csr(key), identity, now)
    found = emit_secrets(chain, emit_key(key), authority.bundle_pem)
    for each in objects:
        if each.kind == "Certificate":
            for domain in _challenged(objects[each]):
                found |= emit_challenge_certificate(each, domain, *make_challenge(domain, "answer", now))
            found |= emit_certificate(each, chain.decode(), emit_key(key).decode())
        elif each.kind == "TrustedAuthority":
            found |= emit_trusted_authority(each, authority.bundle_pem.decode())
    return found
