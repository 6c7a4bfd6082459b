"""Rules to Envoy's routes."""

from collections.abc import Iterator

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, RedirectAction, Route

from isthmus.compile.rule import DirectResponse, Forward, Redirect, Rule
from isthmus.emit.envoy import name
from isthmus.emit.envoy.forward import emit_forward
from isthmus.emit.envoy.match import emit_match
from isthmus.model.key import ObjectKey

_REDIRECT_CODE = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}


def emit_routes(virtual_host: ObjectKey, rule: Rule) -> Iterator[Route]:
    """One Envoy route for each of a rule's matches, in order."""
    for match in rule.matches:
        route = Route(name=name.route(virtual_host, rule.route), match=emit_match(match))
        action = rule.action
        if isinstance(action, Forward):
            emit_forward(route, action)
        elif isinstance(action, Redirect):
            _redirect(route, action)
        else:
            _direct(route, action)
        yield route


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


def _direct(route: Route, response: DirectResponse) -> None:
    body = DataSource(inline_string=response.body) if response.body else None
    route.direct_response.CopyFrom(DirectResponseAction(status=response.status, body=body))
