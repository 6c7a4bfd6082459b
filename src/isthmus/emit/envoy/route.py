"""Rules to Envoy's routes."""

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, RedirectAction, Route

from isthmus.compile.condition import Match, preflight_match
from isthmus.compile.intent import VirtualHost
from isthmus.compile.rule import DirectResponse, Forward, Redirect, Rule
from isthmus.emit.envoy import name
from isthmus.emit.envoy.forward import emit_forward, emit_rewrite
from isthmus.emit.envoy.hash import emit_made_cookie, made_cookie
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.http_filter import emit_options, emit_without_pages
from isthmus.emit.envoy.match import emit_match

_PLAIN = "text/plain"
"""What Envoy says of a body by itself."""
_REDIRECT_CODE = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}


def emit_routes(virtual_host: VirtualHost, rule: Rule, port: int) -> Iterator[Route]:
    """A rule's routes on a listener's port, in order: for each match, first one for preflight requests and one for
    clients without the cookie of consistent hashing, where these need one of their own."""
    cors = rule.options.cors or virtual_host.options.cors
    for match in rule.matches:
        if match.ports and port not in match.ports:
            continue
        if cors is not None and cors.enabled:
            preflight = preflight_match(match)
            if preflight is not None:
                yield _emit(virtual_host, rule, preflight)
        cookie = made_cookie(rule.action.hash_keys) if isinstance(rule.action, Forward) else None
        if cookie is not None:
            route = _emit(virtual_host, rule, match, made=True)
            emit_made_cookie(route, cookie)
            yield route
        yield _emit(virtual_host, rule, match)


def _emit(virtual_host: VirtualHost, rule: Rule, match: Match, *, made: bool = False) -> Route:
    route = Route(name=name.route(virtual_host.key, rule.route), match=emit_match(match))
    action = rule.action
    if isinstance(action, Forward):
        emit_forward(route, action, made=made)
    elif isinstance(action, Redirect):
        _redirect(route, action)
    else:
        _direct(route, action)
        if not action.nowhere and virtual_host.options.error_pages:
            # What a route answers in so many words is no error of Envoy's; its own pages stand in for it below.
            emit_without_pages(route)
    emit_options(route, rule.options)
    return route


def _redirect(route: Route, redirect: Redirect) -> None:
    action = route.redirect
    action.response_code = _REDIRECT_CODE[redirect.code]
    if redirect.scheme is not None:
        action.scheme_redirect = redirect.scheme
    if redirect.host is not None:
        action.host_redirect = redirect.host
    if redirect.port is not None:
        action.port_redirect = redirect.port
    if redirect.path is not None:
        action.path_redirect = redirect.path
    elif redirect.prefix is not None:
        action.prefix_rewrite = redirect.prefix
    elif redirect.regex is not None:
        action.regex_rewrite.CopyFrom(emit_rewrite(redirect.regex))
    action.strip_query = redirect.strip_query


def _direct(route: Route, response: DirectResponse) -> None:
    body = DataSource(inline_string=response.body) if response.body else None
    route.direct_response.CopyFrom(DirectResponseAction(status=response.status, body=body))
    if body is not None and response.content_type != _PLAIN:
        route.response_headers_to_add.append(set_header("content-type", response.content_type))
