"""The laws of compiling and emitting, over any set of objects."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.clusters.aggregate.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.filters.udp.udp_proxy.v3.route_pb2 import Route as UdpRoute
from envoy.extensions.filters.udp.udp_proxy.v3.udp_proxy_pb2 import UdpProxyConfig
from envoy.extensions.transport_sockets.quic.v3.quic_transport_pb2 import QuicDownstreamTransport
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.compile import Compilation, Compiler, FoundInputs, compile_site
from isthmus.compile.intent import Intent, Listener
from isthmus.discovery.found import Found
from isthmus.discovery.query import Query
from isthmus.emit.envoy import (
    EnvoyEmitter,
    EnvoyPaths,
    Resources,
    emit_assignments,
    emit_resources,
    name,
    nominal_choices,
    parse_resources,
)
from isthmus.model import Object, ObjectKey, VirtualHost, parse_envelope
from isthmus.model.object import System
from isthmus.slice import SliceIndex

from .strategy import OWN_SITE, Edit, Objects, edits, make_found, object_sets, objects_of

PATHS = EnvoyPaths("/dev/null", "/dev/null")
ENOUGH = settings(max_examples=80)


@pytest.fixture(scope="module", autouse=True)
def small_pages() -> Iterator[None]:
    """The few virtual hosts here fill several pages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus.compile.listener._PAGE", 2)
        yield


def compile_objects(objects: Objects, found: FoundInputs = MappingProxyType({})) -> Compilation:
    return compile_site(objects, OWN_SITE, "isthmus.test", found)


def lookups(intent: Intent) -> list[tuple[ObjectKey | None, Query]]:
    return [(registry.key, query) for registry in intent.registries for query in registry.queries]


def emit_everything(compilation: Compilation) -> Resources:
    intent = compilation.intent
    resources = {kind: dict(each) for kind, each in emit_resources(intent, PATHS).items()}
    for cluster in intent.clusters:
        choices = partial(nominal_choices, intent, cluster)
        resources[name.ENDPOINT_TYPE].update(emit_assignments(cluster, choices))
    return resources


@ENOUGH
@given(object_sets, st.randoms(use_true_random=False))
def test_law_1_permuted_input_gives_identical_bytes(objects: Objects, random: Any) -> None:
    pairs = list(objects.items())
    random.shuffle(pairs)
    first, second = compile_objects(objects), compile_objects(dict(pairs))
    assert first == second
    assert emit_everything(first) == emit_everything(second)


@ENOUGH
@given(object_sets)
def test_laws_2_and_3_compiling_never_raises_and_every_reference_resolves(objects: Objects) -> None:
    compilation = compile_objects(objects)
    assert all(each.object in objects for each in compilation.diagnostics)
    messages = parse_resources(emit_everything(compilation))
    clusters = {each.name: each for each in messages["clusters"]}
    assignments = {each.cluster_name: each for each in messages["endpoints"]}
    routes = {each.name: each for each in messages["routes"]}
    listeners = {each.name for each in messages["listeners"]}
    extensions = {each.name: each for each in messages["extensions"]}
    assert assignments.keys() == {key for key, each in clusters.items() if each.HasField("eds_cluster_config")}
    for each in clusters.values():
        config = ClusterConfig()
        if each.cluster_type.typed_config.Unpack(config):
            assert set(config.clusters) <= clusters.keys()
    tunnels = [each.load_assignment for each in clusters.values() if each.HasField("load_assignment")]
    for each in (*assignments.values(), *tunnels):
        for host in (host for locality in each.endpoints for host in locality.lb_endpoints):
            internal = host.endpoint.address.envoy_internal_address.server_listener_name
            assert internal in {"", *listeners}
        assert [locality.priority for locality in each.endpoints] == list(range(len(each.endpoints)))
    used = set()
    for listener in messages["listeners"]:
        for each in listener.listener_filters:
            sessions = UdpProxyConfig()
            if each.typed_config.Unpack(sessions):
                action = UdpRoute()
                action.ParseFromString(sessions.matcher.on_no_match.action.typed_config.value)
                assert {action.cluster} - {""} <= clusters.keys()
        for network_filter in (each for chain in listener.filter_chains for each in chain.filters):
            manager = HttpConnectionManager()
            if network_filter.typed_config.Unpack(manager):
                used.add(manager.rds.route_config_name)
                assert {f.name for f in manager.http_filters if f.HasField("config_discovery")} <= extensions.keys()
            elif network_filter.HasField("config_discovery"):
                proxy = TcpProxy()
                extensions[network_filter.name].typed_config.Unpack(proxy)
                named = {proxy.cluster, *(each.name for each in proxy.weighted_clusters.clusters)} - {""}
                assert named <= clusters.keys()
    assert used == routes.keys()
    known = {name.certificate(key) for key in objects if key.kind == "Certificate"}
    known |= {name.trusted_authority(key) for key in objects if key.kind == "TrustedAuthority"}
    chains = (chain for listener in messages["listeners"] for chain in listener.filter_chains)
    for secured in (*chains, *clusters.values()):
        assert secrets_of(secured.transport_socket) <= known | {name.IDENTITY_SECRET, name.TRUST_SECRET}
    for configuration in routes.values():
        domains = [domain for host in configuration.virtual_hosts for domain in host.domains]
        assert len(domains) == len(set(domains))
        for route in (route for host in configuration.virtual_hosts for route in host.routes):
            weighted = (each.name for each in route.route.weighted_clusters.clusters)
            mirrors = (each.cluster for each in route.route.request_mirror_policies)
            named = {route.route.cluster, *weighted, *mirrors} - {""}
            assert named <= clusters.keys()


@ENOUGH
@given(object_sets, objects_of(ObjectKey("default", "VirtualHost", "shop", "added")))
def test_law_4_an_added_object_takes_nothing_from_the_others(objects: Objects, added: Object) -> None:
    added = added.with_system(System(created=99))
    before = compile_objects(objects).intent
    compilation = compile_objects({**objects, added.key: added})
    after = compilation.intent
    kept = {each.socket: each for each in after.listeners}
    for listener in before.listeners:
        now = kept[listener.socket]
        assert tuple(host for host in now.virtual_hosts if host.key != added.key) == listener.virtual_hosts
        assert tuple(chain for chain in now.chains if chain.to.key != added.key) == listener.chains
        assert now.stream == listener.stream
    assert set(before.clusters) <= set(after.clusters)
    assert isinstance(added, VirtualHost)
    overlapping = {each.field for each in compilation.diagnostics if each.object == added.key}
    there = {end.key for each in after.listeners for end in (*each.virtual_hosts, *(c.to for c in each.chains))}
    there.update(each.stream.key for each in after.listeners if each.stream)
    if added.key not in there and after.listeners:
        assert overlapping or after == before


@ENOUGH
@given(object_sets, st.lists(edits, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_law_5_incremental_equals_rebuild(objects: Objects, changes: list[Edit], random: Any) -> None:
    compiler, emitter = Compiler(OWN_SITE, "isthmus.test"), EnvoyEmitter(PATHS)
    held: Resources = {}
    current: Objects = {}
    found: dict[tuple[ObjectKey | None, Query], tuple[Found, ...]] = {}
    for edit in (objects, *changes):
        for key, obj in edit.items():
            if obj is None:
                current.pop(key, None)
            else:
                current[key] = obj
        for registry, query in lookups(compiler.update({}).intent):
            found[registry, query] = make_found(random)
            compiler.discover(registry, query, found[registry, query])
        compilation = compiler.update(edit)
        rebuilt = compile_objects(current, found)
        assert compilation == rebuilt
        for kind, changed in emitter.update(compilation.intent).items():
            for resource, body in changed.items():
                bodies = held.setdefault(kind, {})
                if body is None:
                    del bodies[resource]
                else:
                    assert bodies.get(resource) != body
                    bodies[resource] = body
        assert {kind: each for kind, each in held.items() if each} == {
            kind: each for kind, each in emit_resources(rebuilt.intent, PATHS).items() if each
        }


@ENOUGH
@given(object_sets)
def test_law_7_a_slice_holds_all_that_its_site_needs(objects: Objects) -> None:
    public = {key: obj for key, obj in objects.items() if key.kind != "ClusterAccess"}
    index = SliceIndex(public.values())
    bodies = (index.body(digest) for digest in index.slice_of("default/site/ams").values())
    sliced = [parse_envelope(body) for body in bodies if body is not None]
    access = {obj.key: obj for obj in sliced if obj.kind == "ClusterAccess"}
    from_slice = compile_objects({obj.key: obj for obj in sliced})
    from_all = compile_objects({**public, **access})
    assert from_slice.intent == from_all.intent


@ENOUGH
@given(object_sets, edits)
def test_law_8_only_addresses_ports_and_tls_chains_change_a_listener(objects: Objects, edit: Edit) -> None:
    """UDP is the exception: Envoy takes its filter from nowhere but the listener."""
    first = compile_objects(objects)
    second = compile_objects({key: obj for key, obj in {**objects, **edit}.items() if obj is not None})
    before, after = (emit_everything(each)[name.LISTENER_TYPE] for each in (first, second))
    kinds = [{str(each.socket): _kind(each) for each in compiled.intent.listeners} for compiled in (first, second)]
    for listener in before.keys() & after.keys():
        socket = listener.removeprefix("ingress/")
        if not socket.endswith("/udp") and kinds[0].get(socket) == kinds[1].get(socket):
            assert before[listener] == after[listener]
    # Whether a certificate exists may make a chain come or go; what it says is in secrets.
    placing = ("Site", "VirtualSite", "AdvertisePolicy", "VirtualHost", "Certificate", "TrustedAuthority")
    if not any(key.kind in placing for key in edit):
        assert before.keys() - {name.TUNNEL_LISTENER} == after.keys() - {name.TUNNEL_LISTENER}


def secrets_of(socket: TransportSocket) -> set[str]:
    """The names of the secrets that a TLS or QUIC socket asks for."""
    downstream, upstream, quic = DownstreamTlsContext(), UpstreamTlsContext(), QuicDownstreamTransport()
    if socket.typed_config.Unpack(quic):
        common = quic.downstream_tls_context.common_tls_context
    elif socket.typed_config.Unpack(downstream):
        common = downstream.common_tls_context
    elif socket.typed_config.Unpack(upstream):
        common = upstream.common_tls_context
    else:
        return set()
    trusted = common.combined_validation_context.validation_context_sds_secret_config.name
    named = {each.name for each in common.tls_certificate_sds_secret_configs}
    return (named | {common.validation_context_sds_secret_config.name, trusted}) - {""}


def _kind(listener: Listener) -> tuple[object, ...]:
    chains = tuple((chain.to.key, chain.server_names, chain.terminate) for chain in listener.chains)
    return bool(listener.virtual_hosts), bool(listener.stream), chains
