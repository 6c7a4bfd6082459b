"""What consistent hashing looks at: here, and what another site is told of it."""

import re

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route, RouteAction
from envoy.extensions.filters.common.set_filter_state.v3.value_pb2 import FilterStateValue
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter
from envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2 import Config as StateFilter

from isthmus.compile.rule import HashKey
from isthmus.emit.envoy import name
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.match import COOKIE, emit_regex
from isthmus.emit.envoy.wire import pack


def emit_hash_policy(route: Route, keys: tuple[HashKey, ...], *, made: bool) -> None:
    """What this site's choice looks at. `made`: the cookie that clients get is made up for this request."""
    route.route.hash_policy.extend(_policy(key, made=made) for key in keys)


def emit_hash_headers(keys: tuple[HashKey, ...], *, made: bool) -> list[HeaderValueOption]:
    """The same for the egress site's choice, as text: a header for each group of keys that ends with a terminal one.
    The egress site takes the first of them. A header without any value is not sent."""
    headers: list[HeaderValueOption] = []
    group = ""
    for index, key in enumerate(keys):
        group += _format(index, key, made=made)
        if key.terminal or key is keys[-1]:
            headers.append(set_header(name.HASH_HEADERS[len(headers)], group))
            group = ""
    return headers


def emit_hash_reading(route: Route, keys: tuple[HashKey, ...], *, made: bool) -> None:
    """Put values that a format string cannot read into metadata, where it can, under the key's index."""
    rules = []
    for index, key in enumerate(keys):
        if not _formats(key) and not (made and key.ttl is not None):
            pair = MetadataFilter.KeyValuePair(metadata_namespace=name.METADATA, key=f"hash-{index}")
            source = {"header": key.name} if key.kind == "header" else {"cookie": key.name}
            rules.append(MetadataFilter.Rule(on_header_present=pair, **source))
    if rules:
        route.typed_per_filter_config[name.HASH_FILTER].CopyFrom(pack(MetadataFilter(request_rules=rules)))


def made_cookie(keys: tuple[HashKey, ...]) -> HashKey | None:
    """The cookie that clients without it get, or None."""
    return next((key for key in keys if key.ttl is not None), None)


def emit_made_cookie(route: Route, key: HashKey) -> None:
    """For requests without the cookie: make up its value, and tell the client.

    Envoy's own way (`ttl` in its hash policy) is of no use between sites: it keeps the value to itself, so the egress
    site would choose without it, and another endpoint than for the client's next request.
    """
    without = HeaderMatcher(
        name="cookie",
        string_match=emit_regex(COOKIE.format(pair=re.escape(key.name) + "=[^;]*")),
        invert_match=True,
        treat_missing_header_as_empty=True,
    )
    route.match.headers.append(without)
    value = FilterStateValue(
        object_key=name.HASH_COOKIE,
        factory_key="envoy.hashable_string",
        format_string=SubstitutionFormatString(text_format_source={"inline_string": "%UNIQUE_ID%"}),
    )
    route.typed_per_filter_config[name.HASH_COOKIE_FILTER].CopyFrom(pack(StateFilter(on_request_headers=[value])))
    age = [f"Max-Age={key.ttl}"] if key.ttl else []
    attributes = "; ".join((*age, f"Path={key.path}", "HttpOnly"))
    pair = f"{key.name.replace('%', '%%')}={_VALUE}"
    route.response_headers_to_add.append(
        HeaderValueOption(
            header=HeaderValue(key="set-cookie", value=f"{pair}; {attributes}"),
            append_action=HeaderValueOption.APPEND_IF_EXISTS_OR_ADD,
        )
    )


def _formats(key: HashKey) -> bool:
    """Whether a format string can read it: cookies it cannot, nor headers with unusual characters in their names."""
    return key.kind in ("source", "query") or (
        key.kind == "header" and re.fullmatch(r"[a-z0-9_.-]+", key.name) is not None
    )


def _format(index: int, key: HashKey, *, made: bool) -> str:
    if made and key.ttl is not None:
        return _VALUE
    if not _formats(key):
        return f"%DYNAMIC_METADATA({name.METADATA}:hash-{index})%"
    if key.kind == "query":
        return f"%QUERY_PARAM({key.name})%"
    return f"%REQ({key.name})%" if key.kind == "header" else "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"


def _policy(key: HashKey, *, made: bool) -> RouteAction.HashPolicy:
    policy = RouteAction.HashPolicy(terminal=key.terminal)
    if made and key.ttl is not None:
        policy.filter_state.key = name.HASH_COOKIE
    elif key.kind == "header":
        policy.header.header_name = key.name
    elif key.kind == "cookie":
        policy.cookie.name = key.name
    elif key.kind == "query":
        policy.query_parameter.name = key.name
    else:
        policy.connection_properties.source_ip = True
    return policy


_VALUE = f"%FILTER_STATE({name.HASH_COOKIE}:PLAIN)%"
