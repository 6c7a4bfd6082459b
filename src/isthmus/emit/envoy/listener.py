"""Listeners. They hold no object but addresses and ports: any change to one drains its connections, so what objects
say is in routes, clusters, endpoints, secrets and extension configurations."""

from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener as EnvoyListener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from isthmus.compile.intent import Socket
from isthmus.emit.envoy import name
from isthmus.emit.envoy.http import emit_fabric_manager, emit_ingress_manager, emit_own_manager
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.tls import emit_accepting_socket
from isthmus.emit.envoy.wire import pack, serialize

_BACKLOG = 4096
_INGRESS_BUFFER = 256 * 1024
"""Bytes buffered per client connection. Also the largest request body that can be tried again."""


def emit_address(socket: Socket) -> Address:
    """A TCP address."""
    return Address(socket_address=SocketAddress(address=socket.address, port_value=socket.port))


def emit_ingress_listener(socket: Socket, paths: EnvoyPaths) -> bytes:
    """The listener of an ingress socket."""
    return serialize(
        EnvoyListener(
            name=name.ingress_listener(socket),
            address=emit_address(socket),
            filter_chains=[FilterChain(filters=[_manager(emit_ingress_manager(socket, paths))])],
            per_connection_buffer_limit_bytes={"value": _INGRESS_BUFFER},
            tcp_backlog_size={"value": _BACKLOG},
        )
    )


def emit_fabric_listener(socket: Socket, paths: EnvoyPaths) -> bytes:
    """The mTLS listener for other sites."""
    chain = FilterChain(filters=[_manager(emit_fabric_manager(paths))], transport_socket=emit_accepting_socket())
    return serialize(
        EnvoyListener(
            name=name.fabric_listener(socket),
            address=emit_address(socket),
            filter_chains=[chain],
            tcp_backlog_size={"value": _BACKLOG},
        )
    )


def emit_own_listener() -> bytes:
    """The internal listener through which this site calls itself as it calls others."""
    return serialize(
        EnvoyListener(
            name=name.OWN_LISTENER,
            internal_listener={},
            filter_chains=[FilterChain(filters=[_manager(emit_own_manager())])],
        )
    )


def _manager(manager: HttpConnectionManager) -> Filter:
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
