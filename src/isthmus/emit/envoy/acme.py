"""Answers to ACME challenges: pages (RFC 8555, 8.3), and handshakes (RFC 8737)."""

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, Route, RouteMatch
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)

from isthmus.compile.intent import ChallengeChain, Socket, VirtualHost
from isthmus.emit.envoy import name
from isthmus.emit.envoy.http_filter import emit_undisturbed
from isthmus.emit.envoy.tls import emit_challenge_socket
from isthmus.emit.envoy.wire import duration, pack

PROTOCOL = "acme-tls/1"
_FOLDER = "/.well-known/acme-challenge/"
_ANY = "*"


def emit_pages(virtual_host: VirtualHost) -> Iterator[Route]:
    """A route for each page that is asked for."""
    for each in virtual_host.challenges:
        route = Route(
            name=name.challenge_route(virtual_host.key),
            match=RouteMatch(path=_FOLDER + each.token),
            direct_response=DirectResponseAction(status=200, body=DataSource(inline_string=each.answer)),
        )
        emit_undisturbed(route)
        yield route


def emit_challenge_chains(socket: Socket, of: ChallengeChain) -> Iterator[FilterChain]:
    """Chains for the handshakes, with the server names of the virtual host's own chains.

    What comes after the handshake matters to nobody. It is a connection manager that knows no page, since filters that
    close at once, as `direct_response` without a text, do so before the handshake.
    """
    chain_name = name.challenge_chain(socket, of.key)
    named = [each for each in of.server_names if each != _ANY]
    secrets = [name.challenge_certificate(each.certificate, each.domain) for each in of.challenges]
    chain = FilterChain(filters=[_silent()], transport_socket=emit_challenge_socket(secrets, PROTOCOL))
    matches = [FilterChainMatch(server_names=named)] if named else []
    matches += [FilterChainMatch()] if _ANY in of.server_names else []
    for match in matches:
        match.application_protocols.append(PROTOCOL)
        found = FilterChain(name=chain_name + ("" if match.server_names else f"|{_ANY}"), filter_chain_match=match)
        found.MergeFrom(chain)
        yield found


def _silent() -> Filter:
    manager = HttpConnectionManager(
        stat_prefix="acme",
        route_config=RouteConfiguration(name="acme"),
        http_filters=[HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router()))],
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=duration(10_000)),
        request_headers_timeout=duration(10_000),
    )
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
