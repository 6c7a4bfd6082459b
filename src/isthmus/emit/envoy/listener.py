"""Listeners. They hold no object but addresses, ports and TLS chains: a change to one of these drains its connections,
so what else objects say is in routes, clusters, endpoints, secrets and extension configurations."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import NamedTuple

from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.udp_socket_config_pb2 import UdpSocketConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener as EnvoyListener
from envoy.config.listener.v3.quic_config_pb2 import QuicProtocolOptions
from envoy.config.listener.v3.udp_listener_config_pb2 import UdpListenerConfig
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from isthmus.compile.intent import ChallengeChain, DownstreamTls, Listener, Socket, Stream, TlsChain, Tracing
from isthmus.emit.envoy import name
from isthmus.emit.envoy.acme import emit_challenge_chains
from isthmus.emit.envoy.http import emit_fabric_manager, emit_ingress_manager, emit_own_manager
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.source import ADS
from isthmus.emit.envoy.stream import (
    LARGEST_DATAGRAM,
    STREAM_TYPES,
    emit_client_state,
    emit_tunnel_filters,
    emit_udp_filter,
)
from isthmus.emit.envoy.tls import emit_accepting_socket, emit_client_socket, emit_quic_socket
from isthmus.emit.envoy.wire import field, pack, serialize
from isthmus.model.key import ObjectKey

_BACKLOG = 4096
_INGRESS_BUFFER = 256 * 1024
"""Bytes buffered per client connection. Also the largest request body that can be tried again."""
_ANY = "*"
_FILTER_CHAINS = EnvoyListener.FILTER_CHAINS_FIELD_NUMBER


class ChainFrame(NamedTuple):
    """What of a TLS chain its listener depends on."""

    key: ObjectKey
    server_names: tuple[str, ...]
    terminate: DownstreamTls | None


class Frame(NamedTuple):
    """What of an ingress listener Envoy's listener depends on. `sessions`: of a UDP socket, whose filter Envoy takes
    from nowhere else."""

    socket: Socket
    streams: bool
    chains: tuple[ChainFrame, ...]
    sessions: Stream | None = None
    challenges: tuple[ChallengeChain, ...] = ()


def chain_frame(chain: TlsChain) -> ChainFrame:
    """What of a TLS chain its listener depends on."""
    return ChainFrame(chain.to.key, chain.server_names, chain.terminate)


def frame(listener: Listener, chains: Iterable[ChainFrame]) -> Frame:
    """What Envoy's listener depends on. `chains`: the frames of the listener's own."""
    sessions = listener.stream if listener.socket.transport == "udp" else None
    return Frame(listener.socket, listener.stream is not None, tuple(chains), sessions, listener.challenges)


def quic_frame(beside: Frame) -> Frame | None:
    """What the listener for HTTP/3 beside a TLS listener depends on; None when it serves none."""
    chains = tuple(each for each in beside.chains if each.terminate is not None and each.terminate.http3)
    return Frame(replace(beside.socket, transport="udp"), False, chains) if chains else None


def emit_address(socket: Socket) -> Address:
    """An address and port, of TCP or UDP."""
    protocol = SocketAddress.UDP if socket.transport == "udp" else SocketAddress.TCP
    return Address(socket_address=SocketAddress(protocol=protocol, address=socket.address, port_value=socket.port))


def emit_ingress_listener(
    of: Frame, chains: Iterable[bytes], paths: EnvoyPaths, tracing: Tracing | None = None
) -> bytes:
    """The listener of an ingress socket, from its emitted TLS chains."""
    listener_name = name.ingress_listener(of.socket)
    if of.sessions is not None:
        return _udp_listener(of.socket, of.sessions, paths)
    if of.socket.transport == "udp":
        return b"".join((*chains, serialize(_quic_listener(of.socket))))
    message = EnvoyListener(
        name=listener_name,
        address=emit_address(of.socket),
        per_connection_buffer_limit_bytes={"value": _INGRESS_BUFFER},
        tcp_backlog_size={"value": _BACKLOG},
    )
    if of.chains or of.challenges:
        inspector = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TlsInspector()))
        message.listener_filters.append(inspector)
        for asked in of.challenges:
            message.filter_chains.extend(emit_challenge_chains(of.socket, asked))
    elif of.streams:
        message.filter_chains.append(FilterChain(filters=_stream(listener_name)))
    else:
        manager = emit_ingress_manager(listener_name, paths, tracing=tracing)
        message.filter_chains.append(FilterChain(filters=[_manager(manager)]))
    return b"".join((*chains, serialize(message)))


def emit_ingress_chain(of: ChainFrame, socket: Socket, paths: EnvoyPaths, tracing: Tracing | None = None) -> bytes:
    """One TLS chain, as fields of its listener. `socket`: the listener's own, so UDP means HTTP/3."""
    emit = _quic_chains if socket.transport == "udp" else _chains
    return b"".join(field(_FILTER_CHAINS, serialize(each)) for each in emit(socket, of, paths, tracing))


def _chains(socket: Socket, of: ChainFrame, paths: EnvoyPaths, tracing: Tracing | None) -> Iterable[FilterChain]:
    """One chain for the server names, and one without a condition for `*`. Names are lower-case already."""
    chain_name = name.chain(socket, of.key)
    if of.terminate is None:
        chain = FilterChain(filters=_stream(chain_name))
    else:
        known = of.terminate.trusted is not None
        manager = emit_ingress_manager(chain_name, paths, clients_known=known, tracing=tracing)
        chain = FilterChain(filters=[_manager(manager)], transport_socket=emit_client_socket(of.terminate))
    found = []
    named = [each for each in of.server_names if each != _ANY]
    if named:
        found.append(FilterChain(name=chain_name, filter_chain_match=FilterChainMatch(server_names=named)))
    if _ANY in of.server_names:
        found.append(FilterChain(name=f"{chain_name}|*"))
    for each in found:
        each.MergeFrom(chain)
    return found


def _quic_listener(socket: Socket) -> EnvoyListener:
    """HTTP/3: the same virtual hosts by the same routes as on the TCP port."""
    return EnvoyListener(
        name=name.ingress_listener(socket),
        address=emit_address(socket),
        udp_listener_config=UdpListenerConfig(
            quic_options=QuicProtocolOptions(), downstream_socket_config=UdpSocketConfig(prefer_gro={"value": True})
        ),
        per_connection_buffer_limit_bytes={"value": _INGRESS_BUFFER},
    )


def _quic_chains(socket: Socket, of: ChainFrame, paths: EnvoyPaths, tracing: Tracing | None) -> Iterator[FilterChain]:
    assert of.terminate is not None
    routes = name.chain(replace(socket, transport="tcp"), of.key)
    manager = emit_ingress_manager(routes, paths, tracing=tracing)
    manager.codec_type = HttpConnectionManager.HTTP3
    manager.http3_protocol_options.SetInParent()
    manager.stat_prefix = name.statistics(name.chain(socket, of.key))
    named = [server for server in of.server_names if server != _ANY]
    matches = [FilterChainMatch(server_names=named)] if named else []
    matches += [FilterChainMatch()] if _ANY in of.server_names else []
    for number, match in enumerate(matches):
        chain = FilterChain(
            name=name.chain(socket, of.key) + (f"|{_ANY}" if number or not named else ""),
            filters=[_manager(manager)],
            transport_socket=emit_quic_socket(of.terminate),
        )
        if match.server_names:
            chain.filter_chain_match.CopyFrom(match)
        yield chain


def _udp_listener(socket: Socket, stream: Stream, paths: EnvoyPaths) -> bytes:
    listener_name = name.ingress_listener(socket)
    datagrams = UdpSocketConfig(max_rx_datagram_size={"value": LARGEST_DATAGRAM})
    return serialize(
        EnvoyListener(
            name=listener_name,
            address=emit_address(socket),
            listener_filters=[emit_udp_filter(listener_name, stream, paths)],
            udp_listener_config=UdpListenerConfig(downstream_socket_config=datagrams),
        )
    )


def emit_fabric_listener(socket: Socket, paths: EnvoyPaths, *, traced: bool = False) -> bytes:
    """The mTLS listener for other sites."""
    manager = _manager(emit_fabric_manager(paths, traced=traced))
    chain = FilterChain(filters=[manager], transport_socket=emit_accepting_socket())
    return serialize(
        EnvoyListener(
            name=name.fabric_listener(socket),
            address=emit_address(socket),
            filter_chains=[chain],
            tcp_backlog_size={"value": _BACKLOG},
        )
    )


def emit_own_listener(paths: EnvoyPaths, *, traced: bool = False) -> bytes:
    """The internal listener through which this site calls itself as it calls others."""
    return serialize(
        EnvoyListener(
            name=name.OWN_LISTENER,
            internal_listener={},
            filter_chains=[FilterChain(filters=[_manager(emit_own_manager(paths, traced=traced))])],
        )
    )


def emit_tunnel_listener() -> bytes:
    """The internal listener that takes TCP streams to other sites."""
    return serialize(
        EnvoyListener(
            name=name.TUNNEL_LISTENER,
            internal_listener={},
            filter_chains=[FilterChain(filters=emit_tunnel_filters())],
        )
    )


def _manager(manager: HttpConnectionManager) -> Filter:
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))


def _stream(stream_name: str) -> list[Filter]:
    """Where a stream goes may change often, so it is not in the listener."""
    source = ExtensionConfigSource(config_source=ADS, type_urls=STREAM_TYPES)
    return [emit_client_state(), Filter(name=stream_name, config_discovery=source)]
