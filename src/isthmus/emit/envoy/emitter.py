"""Intent to all of Envoy's resources but secrets and what health decides.

Every resource is a pure function of a part of the intent, remembered by that part's identity: the compiler gives an
unchanged part as the same object, so one changed route emits one virtual host and joins the others' bytes.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from isthmus.compile.intent import Cluster, Hosted, Intent, Listener, Shape, Socket, Stream, TlsChain, VirtualHost
from isthmus.emit.envoy import name
from isthmus.emit.envoy.cluster import (
    emit_aggregate_cluster,
    emit_hosted_cluster,
    emit_probe_cluster,
    emit_sites_cluster,
)
from isthmus.emit.envoy.endpoint import emit_hosted_endpoints, emit_probe_endpoints
from isthmus.emit.envoy.fabric import emit_access
from isthmus.emit.envoy.listener import (
    Frame,
    emit_fabric_listener,
    emit_ingress_listener,
    emit_own_listener,
    emit_tunnel_listener,
    frame,
    quic_frame,
)
from isthmus.emit.envoy.memory import Each, Last
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.stream import emit_stream, emit_stream_clusters
from isthmus.emit.envoy.virtual_host import (
    emit_fabric_routes,
    emit_ingress_routes,
    emit_misdirected,
    emit_virtual_host,
)

Resources = dict[str, dict[str, bytes]]
"""Type URL -> resource name -> serialized message."""
Changes = dict[str, dict[str, bytes | None]]
"""Type URL -> resource name -> serialized message, or None for a resource that is no more."""


class EnvoyEmitter:
    """Emits intents one after the other, remembering between them."""

    def __init__(self, paths: EnvoyPaths) -> None:
        self._paths = paths
        self._emitted: Resources = {}
        self._fabric_routes = {name.FABRIC_ROUTES: emit_fabric_routes()}
        self._sockets: dict[Socket, _IngressRoutes] = {}
        self._listeners = Last(self._emit_listeners)
        self._routes = Last(self._emit_routes)
        self._access = Last(emit_access)
        self._streams = Last(_Named(partial(_emit_streams, paths)))
        self._stream_clusters = Last(_Named(_emit_stream_clusters))
        self._extensions: Last[tuple[bytes, dict[str, bytes]], dict[str, bytes]] = Last(
            lambda pair: {name.FABRIC_ACCESS: pair[0], **pair[1]}
        )
        self._hosted = Last(_Named(partial(_emit_hosted, paths)))
        self._endpoints = Last(_Named(_emit_endpoints))
        self._clusters = Last(_Named(_emit_cluster))
        self._all_clusters: Last[tuple[dict[str, bytes], ...], dict[str, bytes]] = Last(
            lambda parts: {key: body for part in parts for key, body in part.items()}
        )

    def emit(self, intent: Intent) -> Resources:
        """All resources of an intent. Read-only: a type without changes is the same mapping as last time."""
        fabric = intent.fabric
        quic = (quic_frame(listener) for listener in intent.listeners)
        frames = (*map(frame, intent.listeners), *(each for each in quic if each is not None))
        streams = self._stream_clusters(intent.listeners)
        self._emitted = {
            name.LISTENER_TYPE: self._listeners((frames, fabric.sockets, bool(streams))),
            name.ROUTE_TYPE: self._routes(intent.listeners),
            name.CLUSTER_TYPE: self._all_clusters(
                (self._hosted(intent.hosted), self._clusters(intent.clusters), streams)
            ),
            name.ENDPOINT_TYPE: self._endpoints(intent.hosted),
            name.EXTENSION_TYPE: self._extensions((self._access(fabric.access), self._streams(intent.listeners))),
        }
        return self._emitted

    def update(self, intent: Intent) -> Changes:
        """What differs from the last intent's resources."""
        before = self._emitted
        changes = {kind: _difference(before.get(kind, {}), after) for kind, after in self.emit(intent).items()}
        return {kind: changed for kind, changed in changes.items() if changed}

    def _emit_listeners(self, sockets: tuple[tuple[Frame, ...], tuple[Socket, ...], bool]) -> dict[str, bytes]:
        ingress, fabric, tunnels = sockets
        return {
            **{name.ingress_listener(each.socket): emit_ingress_listener(each, self._paths) for each in ingress},
            **{name.fabric_listener(each): emit_fabric_listener(each, self._paths) for each in fabric},
            name.OWN_LISTENER: emit_own_listener(self._paths),
            **({name.TUNNEL_LISTENER: emit_tunnel_listener()} if tunnels else {}),
        }

    def _emit_routes(self, listeners: tuple[Listener, ...]) -> dict[str, bytes]:
        known = self._sockets
        self._sockets = {each.socket: known.get(each.socket) or _IngressRoutes(each.socket) for each in listeners}
        emitted = (self._sockets[each.socket](each) for each in listeners)
        return {**{key: body for routes in emitted for key, body in routes.items()}, **self._fabric_routes}


def emit_resources(intent: Intent, paths: EnvoyPaths) -> Resources:
    """All resources of an intent but secrets (`emit_secrets`) and the assignments of clusters of sites
    (`emit_cluster_endpoints`)."""
    return EnvoyEmitter(paths).emit(intent)


class _IngressRoutes:
    """The route configurations of one socket: one for all of plaintext HTTP, one for each TLS chain."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._virtual_hosts: dict[bool, Each[VirtualHost, bytes]] = {
            pages: Each(partial(emit_virtual_host, port=socket.port, pages=pages)) for pages in (False, True)
        }
        self._chains: Each[TlsChain, dict[str, bytes]] = Each(self._emit_chain)
        self._routes = Last(self._emit)

    def __call__(self, listener: Listener) -> dict[str, bytes]:
        return self._routes(listener)

    def _emit(self, listener: Listener) -> dict[str, bytes]:
        found = {key: body for routes in self._chains(listener.chains) for key, body in routes.items()}
        if listener.virtual_hosts:
            routes = name.ingress_listener(self._socket)
            pages = any(host.pages for host in listener.virtual_hosts)
            hosts = self._virtual_hosts[pages](listener.virtual_hosts)
            found[routes] = emit_ingress_routes(routes, hosts, pages=pages)
        return found

    def _emit_chain(self, chain: TlsChain) -> dict[str, bytes]:
        host = chain.to
        if not isinstance(host, VirtualHost):
            return {}
        routes = name.chain(self._socket, host.key)
        hosts = [emit_virtual_host(host, self._socket.port, pages=host.pages)]
        if "*" not in host.domains:
            hosts.append(emit_misdirected())
        http3 = self._socket.port if chain.terminate is not None and chain.terminate.http3 else None
        return {routes: emit_ingress_routes(routes, hosts, pages=host.pages, http3=http3)}


class _Named:
    """From parts to resources by name."""

    def __init__(self, function: Callable[[Any], list[tuple[str, bytes]]]) -> None:
        self._each: Each[Any, list[tuple[str, bytes]]] = Each(function)

    def __call__(self, parts: tuple[Any, ...]) -> dict[str, bytes]:
        return dict(pair for pairs in self._each(parts) for pair in pairs)


def _emit_streams(paths: EnvoyPaths, listener: Listener) -> list[tuple[str, bytes]]:
    socket, ends = listener.socket, (chain.to for chain in listener.chains)
    found = {name.chain(socket, end.key): end for end in ends if isinstance(end, Stream)}
    if listener.stream is not None and socket.transport == "tcp":
        found[name.ingress_listener(socket)] = listener.stream
    return [(key, emit_stream(key, stream, paths)) for key, stream in found.items()]


def _emit_stream_clusters(listener: Listener) -> list[tuple[str, bytes]]:
    if listener.socket.transport == "udp":
        return []
    ends = (listener.stream, *(chain.to for chain in listener.chains))
    return [pair for end in ends if isinstance(end, Stream) for pair in emit_stream_clusters(end)]


def _emit_hosted(paths: EnvoyPaths, hosted: Hosted) -> list[tuple[str, bytes]]:
    local, *probes = name.checked_clusters(hosted.key, len(hosted.health_checks))
    return [
        (local, emit_hosted_cluster(hosted, paths)),
        *((probe, emit_probe_cluster(hosted, index, paths)) for index, probe in _probed(hosted, probes)),
    ]


def _emit_endpoints(hosted: Hosted) -> list[tuple[str, bytes]]:
    local, *probes = name.checked_clusters(hosted.key, len(hosted.health_checks))
    return [
        (local, emit_hosted_endpoints(hosted)),
        *((probe, emit_probe_endpoints(hosted, index)) for index, probe in _probed(hosted, probes)),
    ]


def _probed(hosted: Hosted, probes: list[str]) -> list[tuple[int, str]]:
    """The further health checks that Envoy can do: index and name."""
    return [(index, probe) for index, probe in enumerate(probes, 1) if hosted.health_checks[index].udp is None]


def _emit_cluster(cluster: Cluster) -> list[tuple[str, bytes]]:
    found = []
    for subset in ("", *cluster.subsets):
        sites = name.sites_cluster(cluster.key, cluster.shape, subset)
        if sites is not None:
            found.append((sites, emit_sites_cluster(cluster, subset)))
    if cluster.shape is Shape.LOCAL_FIRST:
        found.append((name.path(cluster.key), emit_aggregate_cluster(cluster)))
    return found


def _difference(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes | None]:
    if before is after:
        return {}
    changed: dict[str, bytes | None] = {
        key: body for key, body in after.items() if before.get(key) is not body and before.get(key) != body
    }
    changed.update((key, None) for key in before if key not in after)
    return changed
