"""What consistent hashing looks at: here, and what another site is told of it."""

import re

from envoy.config.core.v3.base_pb2 import HeaderValueOption
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction
from envoy.extensions.filters.http.header_to_metadata.v3.header_to_metadata_pb2 import Config as MetadataFilter

from isthmus.compile.rule import HashKey
from isthmus.emit.envoy import name
from isthmus.emit.envoy.header import set_header
from isthmus.emit.envoy.wire import pack


def emit_hash_policy(route: Route, keys: tuple[HashKey, ...]) -> None:
    """What this site's choice looks at."""
    route.route.hash_policy.extend(_policy(key) for key in keys)


def emit_hash_headers(keys: tuple[HashKey, ...]) -> list[HeaderValueOption]:
    """The same for the egress site's choice, as text."""
    return [set_header(name.HASH_HEADER, "|".join(map(_format, range(len(keys)), keys)))]


def emit_hash_reading(route: Route, keys: tuple[HashKey, ...]) -> None:
    """Put values that a format string cannot read into metadata, where it can, under the key's index."""
    rules = []
    for index, key in enumerate(keys):
        if not _formats(key):
            pair = MetadataFilter.KeyValuePair(metadata_namespace=name.METADATA, key=f"hash-{index}")
            source = {"header": key.name} if key.kind == "header" else {"cookie": key.name}
            rules.append(MetadataFilter.Rule(on_header_present=pair, **source))
    if rules:
        route.typed_per_filter_config[name.HASH_FILTER].CopyFrom(pack(MetadataFilter(request_rules=rules)))


def _formats(key: HashKey) -> bool:
    """Whether a format string can read it: cookies it cannot, nor headers with unusual characters in their names."""
    return key.kind == "source" or (key.kind == "header" and re.fullmatch(r"[a-z0-9_.-]+", key.name) is not None)


def _format(index: int, key: HashKey) -> str:
    if not _formats(key):
        return f"%DYNAMIC_METADATA({name.METADATA}:hash-{index})%"
    return f"%REQ({key.name})%" if key.kind == "header" else "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"


def _policy(key: HashKey) -> RouteAction.HashPolicy:
    if key.kind == "header":
        return RouteAction.HashPolicy(header=RouteAction.HashPolicy.Header(header_name=key.name))
    if key.kind == "cookie":
        return RouteAction.HashPolicy(cookie=RouteAction.HashPolicy.Cookie(name=key.name))
    return RouteAction.HashPolicy(connection_properties=RouteAction.HashPolicy.ConnectionProperties(source_ip=True))
