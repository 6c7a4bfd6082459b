"""Intent to all of Envoy's resources but secrets and what health decides.

Every resource is a pure function of a part of the intent, remembered by that part's identity: the compiler gives an
unchanged part as the same object, so one changed route emits one virtual host and joins the others' bytes.
"""

from collections.abc import Iterable
from functools import partial
from itertools import compress
from operator import eq, is_not
from typing import NamedTuple

from isthmus.compile.intent import (
    Cluster,
    Hosted,
    Intent,
    Listener,
    Shape,
    Socket,
    Stream,
    TlsChain,
    Tracing,
    VirtualHost,
)
from isthmus.emit.envoy import name
from isthmus.emit.envoy.cluster import (
    emit_aggregate_cluster,
    emit_hosted_cluster,
    emit_own_cluster,
    emit_probe_cluster,
    emit_sites_cluster,
)
from isthmus.emit.envoy.endpoint import emit_hosted_endpoints, emit_probe_endpoints
from isthmus.emit.envoy.fabric import emit_access
from isthmus.emit.envoy.listener import (
    Frame,
    chain_frame,
    emit_fabric_listener,
    emit_ingress_chain,
    emit_ingress_listener,
    emit_own_listener,
    emit_tunnel_listener,
    frame,
    quic_frame,
)
from isthmus.emit.envoy.memory import Each, Joined, Last
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
        self._sockets: dict[Socket, _Ingress] = {}
        self._ingress: dict[Socket, _IngressListener] = {}
        self._tracing: Tracing | None = None
        self._listeners = Last(self._emit_listeners)
        self._routes = Last(self._emit_routes)
        self._access = Last(emit_access)
        self._streams = Last(partial(_emit_streams, paths))
        self._stream_clusters = Last(_emit_stream_clusters)
        self._extensions: Last[tuple[bytes, dict[str, bytes]], dict[str, bytes]] = Last(
            lambda pair: {name.FABRIC_ACCESS: pair[0], **pair[1]}
        )
        self._hosted = Joined(partial(_emit_hosted, paths))
        self._endpoints = Joined(_emit_endpoints)
        self._clusters = Joined(_emit_cluster)
        self._doors = Last(_emit_doors)
        self._all_clusters: Last[tuple[dict[str, bytes], ...], dict[str, bytes]] = Last(_union)

    def emit(self, intent: Intent) -> Resources:
        """All resources of an intent. Read-only: a type without changes is the same mapping as last time."""
        fabric, known = intent.fabric, self._sockets
        self._sockets = {each.socket: known.get(each.socket) or _Ingress(each.socket) for each in intent.listeners}
        ingress = [self._sockets[each.socket].read(each) for each in intent.listeners]
        frames = tuple(each for each in (*(one.frame for one in ingress), *(one.quic for one in ingress)) if each)
        ends = tuple(end for one in ingress for end in one.streams)
        streams = self._stream_clusters(ends)
        tracing = intent.tracing if self._paths.log_service else None  # nobody would take the spans
        self._emitted = {
            name.LISTENER_TYPE: self._listeners((frames, fabric.sockets, bool(streams), tracing)),
            name.ROUTE_TYPE: self._routes(intent.listeners),
            name.CLUSTER_TYPE: self._all_clusters(
                (
                    self._hosted(intent.hosted),
                    self._clusters(intent.clusters),
                    self._doors(intent.clusters),
                    streams,
                )
            ),
            name.ENDPOINT_TYPE: self._endpoints(intent.hosted),
            name.EXTENSION_TYPE: self._extensions((self._access(fabric.access), self._streams(ends))),
        }
        return self._emitted

    def update(self, intent: Intent) -> Changes:
        """What differs from the last intent's resources."""
        before = self._emitted
        changes = {kind: _difference(before.get(kind, {}), after) for kind, after in self.emit(intent).items()}
        return {kind: changed for kind, changed in changes.items() if changed}

    def _emit_listeners(
        self, sockets: tuple[tuple[Frame, ...], tuple[Socket, ...], bool, Tracing | None]
    ) -> dict[str, bytes]:
        ingress, fabric, tunnels, tracing = sockets
        known = self._ingress if tracing == self._tracing else {}
        self._tracing = tracing
        traced = tracing is not None
        self._ingress = {
            each.socket: known.get(each.socket) or _IngressListener(each.socket, self._paths, tracing)
            for each in ingress
        }
        return {
            **{name.ingress_listener(each.socket): self._ingress[each.socket].emit(each) for each in ingress},
            **{name.fabric_listener(each): emit_fabric_listener(each, self._paths, traced=traced) for each in fabric},
            name.OWN_LISTENER: emit_own_listener(self._paths, traced=traced),
            **({name.TUNNEL_LISTENER: emit_tunnel_listener()} if tunnels else {}),
        }

    def _emit_routes(self, listeners: tuple[Listener, ...]) -> dict[str, bytes]:
        return _union((*(self._sockets[each.socket].routes(each) for each in listeners), self._fabric_routes))


def emit_resources(intent: Intent, paths: EnvoyPaths) -> Resources:
    """All resources of an intent but secrets (`emit_secrets`) and the assignments of clusters of sites
    (`emit_cluster_endpoints`)."""
    return EnvoyEmitter(paths).emit(intent)


class _End(NamedTuple):
    """Where a stream that comes in goes. `name`: of the filter that says so to Envoy; none of a UDP socket."""

    name: str
    stream: Stream


class _Read(NamedTuple):
    """What Envoy's listeners of an ingress socket depend on, and the streams behind them."""

    frame: Frame
    quic: Frame | None
    streams: tuple[_End, ...]


class _Ingress:
    """One ingress socket, and its route configurations: one for all of plaintext HTTP, one for each TLS chain."""

    def __init__(self, socket: Socket) -> None:
        self._socket = socket
        self._frames = Each(chain_frame)
        self._quic = Last(quic_frame)
        self._ends = Each(self._end)
        self._virtual_hosts: dict[bool, Each[VirtualHost, bytes]] = {
            pages: Each(partial(emit_virtual_host, port=socket.port, pages=pages)) for pages in (False, True)
        }
        self._chains = Joined(self._emit_chain)
        self.routes = Last(self._emit_routes)

    def read(self, listener: Listener) -> _Read:
        own = frame(listener, self._frames(listener.chains))
        ends = [end for end in self._ends(listener.chains) if end is not None]
        if listener.stream is not None and self._socket.transport == "tcp":
            ends.append(_End(name.ingress_listener(self._socket), listener.stream))
        return _Read(own, self._quic(own), tuple(ends))

    def _end(self, chain: TlsChain) -> _End | None:
        return _End(name.chain(self._socket, chain.to.key), chain.to) if isinstance(chain.to, Stream) else None

    def _emit_routes(self, listener: Listener) -> dict[str, bytes]:
        found = self._chains(listener.chains)
        if not listener.virtual_hosts:
            return found
        routes = name.ingress_listener(self._socket)
        pages = any(host.pages for host in listener.virtual_hosts)
        hosts = self._virtual_hosts[pages](listener.virtual_hosts)
        return {**found, routes: emit_ingress_routes(routes, hosts, pages=pages)}

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


class _IngressListener:
    """The listener of one ingress socket, or of HTTP/3 beside one: of ten thousand chains only new ones are emitted."""

    def __init__(self, socket: Socket, paths: EnvoyPaths, tracing: Tracing | None) -> None:
        self._paths = paths
        self._tracing = tracing
        self._chains = Each(partial(emit_ingress_chain, socket=socket, paths=paths, tracing=tracing))
        self.emit = Last(self._emit)

    def _emit(self, of: Frame) -> bytes:
        return emit_ingress_listener(of, self._chains(of.chains), self._paths, self._tracing)


def _union(parts: Iterable[dict[str, bytes]]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in parts:
        found.update(part)
    return found


def _emit_streams(paths: EnvoyPaths, ends: tuple[_End, ...]) -> dict[str, bytes]:
    return {end.name: emit_stream(end.name, end.stream, paths) for end in ends}


def _emit_stream_clusters(ends: tuple[_End, ...]) -> dict[str, bytes]:
    return {key: body for end in ends for key, body in emit_stream_clusters(end.stream)}


def _emit_hosted(paths: EnvoyPaths, hosted: Hosted) -> dict[str, bytes]:
    local, *probes = name.checked_clusters(hosted.key, len(hosted.health_checks))
    return {
        local: emit_hosted_cluster(hosted, paths),
        **{probe: emit_probe_cluster(hosted, index, paths) for index, probe in _probed(hosted, probes)},
    }


def _emit_endpoints(hosted: Hosted) -> dict[str, bytes]:
    local, *probes = name.checked_clusters(hosted.key, len(hosted.health_checks))
    return {
        local: emit_hosted_endpoints(hosted),
        **{probe: emit_probe_endpoints(hosted, index) for index, probe in _probed(hosted, probes)},
    }


def _probed(hosted: Hosted, probes: list[str]) -> list[tuple[int, str]]:
    """The further health checks that Envoy can do: index and name."""
    return [(index, probe) for index, probe in enumerate(probes, 1) if hosted.health_checks[index].udp is None]


def _emit_cluster(cluster: Cluster) -> dict[str, bytes]:
    found = {}
    for subset in ("", *cluster.subsets):
        sites = name.sites_cluster(cluster.key, cluster.shape, subset)
        if sites is not None:
            found[sites] = emit_sites_cluster(cluster, subset)
    if cluster.shape is Shape.LOCAL_FIRST:
        found[name.path(cluster.key)] = emit_aggregate_cluster(cluster)
    return found


def _emit_doors(clusters: tuple[Cluster, ...]) -> dict[str, bytes]:
    """What copies for a subset of this site's endpoints go through."""
    needed = any(cluster.shape is Shape.LOCAL and cluster.subsets for cluster in clusters)
    return {name.OWN_CLUSTER: emit_own_cluster()} if needed else {}


def _difference(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, bytes | None]:
    if before is after:
        return {}
    if len(before) == len(after) and all(map(eq, before, after)):  # the same names in the same order, mostly
        bodies, known = after.values(), before.values()
        other = compress(zip(after, bodies, known, strict=True), map(is_not, bodies, known))
        return {key: body for key, body, old in other if body != old}
    changed: dict[str, bytes | None] = {
        key: body for key, body in after.items() if before.get(key) is not body and before.get(key) != body
    }
    changed.update((key, None) for key in before if key not in after)
    return changed
