"""Who may call which hosted cluster: an exact header, then an exact SPIFFE ID; everything else is denied.

It travels as an extension configuration, so a change drains no connection, and existing connections obey it at once.
"""

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.rbac.v3.rbac_pb2 import RBAC as Rules
from envoy.config.rbac.v3.rbac_pb2 import Action
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBAC
from envoy.extensions.matching.common_inputs.ssl.v3.ssl_inputs_pb2 import UriSanInput
from envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput
from xds.core.v3.extension_pb2 import TypedExtensionConfig as XdsExtension
from xds.type.matcher.v3.matcher_pb2 import Matcher

from isthmus.compile.intent import Access
from isthmus.emit.envoy import name
from isthmus.emit.envoy.wire import pack, serialize

_HEADER = XdsExtension(name="cluster", typed_config=pack(HttpRequestHeaderMatchInput(header_name=name.CLUSTER_HEADER)))
_CALLER = XdsExtension(name="caller", typed_config=pack(UriSanInput()))
_ALLOW = XdsExtension(name="allow", typed_config=pack(Action(name="allow", action=Rules.ALLOW)))


def emit_access(access: tuple[Access, ...]) -> bytes:
    """The access filter's configuration. The cost of a decision does not grow with the number of clusters."""
    if access:
        clusters = {name.local_cluster(each.cluster): Matcher.OnMatch(matcher=_callers(each)) for each in access}
        config = RBAC(matcher=_exact(_HEADER, clusters))
    else:
        config = RBAC(rules=Rules(action=Rules.ALLOW))  # allows what a policy names, and there is none
    return serialize(TypedExtensionConfig(name=name.FABRIC_ACCESS, typed_config=pack(config)))


def _callers(access: Access) -> Matcher:
    return _exact(_CALLER, {uri: Matcher.OnMatch(action=_ALLOW) for uri in access.callers})


def _exact(wanted: XdsExtension, values: dict[str, Matcher.OnMatch]) -> Matcher:
    tree = Matcher.MatcherTree(input=wanted, exact_match_map=Matcher.MatcherTree.MatchMap(map=values))
    return Matcher(matcher_tree=tree)
