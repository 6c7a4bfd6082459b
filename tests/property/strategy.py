"""Sets of objects for property tests: small pools of names, so that references meet, clash and dangle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from isthmus.model import KINDS, Object, ObjectKey
from isthmus.model.object import System

Objects = dict[ObjectKey, Object]
Edit = dict[ObjectKey, Object | None]

SITES, VIRTUAL_SITES = ("ams", "fra", "nyc", "osl"), ("core", "edge")
NAMESPACES = ("default", "shop", "shared")
POOLS = {
    "Site": SITES,
    "VirtualSite": VIRTUAL_SITES,
    "AdvertisePolicy": ("in", "out"),
    "VirtualHost": ("h1", "h2", "h3"),
    "Route": ("r1", "r2", "r3", "r4"),
    "Cluster": ("c1", "c2", "c3"),
    "Endpoint": ("e1", "e2", "e3", "e4"),
    "HealthCheck": ("k1", "k2"),
    "ClusterAccess": ("c1", "c2", "c3"),
}
"""Names by kind. A name of the pool that no object bears is a dangling reference."""
TENANT_WIDE = ("Site", "VirtualSite")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
DOMAINS = ("a.example", "b.example", "*.example", "*", "a.example:80", "a.example:81", "c.b.example")
PATHS = ("/", "/a", "/a/", "/a/b", "/b")
VALUES = ("", "1", "one", "o")


def _some(values: tuple[Any, ...], least: int = 0, most: int = 3) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=most, unique=True)


def _references(kind: str, least: int = 0, most: int = 3) -> st.SearchStrategy[list[dict[str, str]]]:
    reference = st.builds(
        lambda name, shared: {"namespace": "shared", "name": name} if shared else {"name": name},
        st.sampled_from(POOLS[kind]),
        st.sampled_from((False, False, False, True)),
    )
    return st.lists(reference, min_size=least, max_size=most, unique_by=lambda each: tuple(each.values()))


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


WHERE = st.one_of(
    st.sampled_from(SITES).map(lambda name: {"site": name}),
    st.sampled_from(VIRTUAL_SITES).map(lambda name: {"virtualSite": name}),
)
_SOCKETS = _some(ADDRESSES, most=2).map(lambda found: [{"address": each} for each in found])
_TEXT_MATCHES = st.one_of(
    st.sampled_from(VALUES).map(lambda text: {"exact": text}),
    st.sampled_from(VALUES[1:]).map(lambda text: {"prefix": text}),
    st.sampled_from((".*", "o.*", "[0-9]+")).map(lambda text: {"regex": text}),
    st.booleans().map(lambda there: {"present": there}),
)
_PATH_MATCHES = st.one_of(
    st.sampled_from(PATHS).map(lambda text: {"exact": text}),
    st.sampled_from(PATHS).map(lambda text: {"prefix": text}),
    st.sampled_from(("/a.*", "/[ab]/?", ".*b")).map(lambda text: {"regex": text}),
)
HEADERS = ("x-one", "x-two", "host")
PARAMETERS = ("p", "q")
MATCHES = _optional(
    path=_PATH_MATCHES,
    methods=_some(("GET", "POST", "PUT"), most=2),
    headers=st.lists(
        st.builds(
            lambda name, match, invert: {"name": name, "invert": invert} | match,
            st.sampled_from(HEADERS),
            _TEXT_MATCHES,
            st.booleans(),
        ),
        max_size=2,
    ),
    queryParameters=st.lists(
        st.builds(lambda name, match: {"name": name} | match, st.sampled_from(PARAMETERS), _TEXT_MATCHES), max_size=2
    ),
)
_SHARES = st.lists(
    st.builds(
        lambda reference, weight: {"cluster": reference[0], "weight": weight},
        _references("Cluster", 1, 1),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=3,
).map(lambda shares: [{**shares[0], "weight": 1}, *shares[1:]])
_FORWARDS = st.builds(
    lambda shares, rest: {"clusters": shares} | rest,
    _SHARES,
    _optional(
        timeout=st.sampled_from(("0s", "1s", "1.5s")),
        retry=st.sampled_from(({"attempts": 0}, {"attempts": 1, "on": ["reset"], "perTryTimeout": "1s"})),
        hashPolicy=st.lists(
            st.sampled_from(({"header": "x-user"}, {"cookie": "s"}, {"sourceAddress": True})), max_size=2
        ),
    ),
)
_ACTIONS = st.one_of(
    _FORWARDS.map(lambda forward: {"forward": forward}),
    st.sampled_from(
        (
            {"redirect": {"path": "/moved"}},
            {"redirect": {"host": "else.example", "scheme": "https", "code": 307}},
            {"directResponse": {"status": 204}},
            {"directResponse": {"status": 404, "body": "no"}},
        )
    ),
)
SPECS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "Site": _optional(
        fabric=st.builds(
            lambda sockets, reach: {"addresses": sockets, "reachability": reach},
            _SOCKETS,
            st.sampled_from(("direct", "direct", "outbound")),
        ),
        interfaces=_some(ADDRESSES, 1).map(
            lambda found: [
                {"name": "eth0", "addresses": found[:1]},
                *([{"name": "eth1", "network": "inside", "addresses": found[1:]}] if found[1:] else []),
            ]
        ),
        location=st.sampled_from(({"latitude": 1.0, "longitude": 2.0}, {"latitude": -3.5, "longitude": 170.0})),
        drained=st.booleans(),
    ),
    "VirtualSite": st.sampled_from((None, [], ["tier=core"], ["!tier"], ["tier notin (core)", "zone"])).map(
        lambda selector: {"selector": selector}
    ),
    "AdvertisePolicy": st.builds(
        lambda where, network, rest: {"where": {**where, "network": network}} | rest,
        WHERE,
        st.sampled_from(("outside", "inside")),
        _optional(port=st.sampled_from((80, 81, 7400)), address=st.sampled_from(ADDRESSES)),
    ),
    "VirtualHost": st.builds(
        lambda domains, routes, policies: {"domains": domains, "routes": routes, "advertisePolicies": policies},
        _some(DOMAINS, 1),
        _references("Route", most=4),
        _references("AdvertisePolicy", 1, 2),
    ),
    "Route": st.builds(lambda matches, action: {"match": matches} | action, st.lists(MATCHES, max_size=2), _ACTIONS),
    "Cluster": st.builds(
        lambda endpoints, rest: {"endpoints": endpoints} | rest,
        _references("Endpoint", 1, 4),
        _optional(
            healthChecks=_references("HealthCheck", most=2),
            endpointSelection=st.sampled_from(("LOCAL_ONLY", "LOCAL_PREFERRED", "DISTRIBUTED")),
            loadBalancing=st.sampled_from(("ROUND_ROBIN", "LEAST_REQUEST", "RANDOM", "RING_HASH", "MAGLEV")),
            staleAfter=st.just("1m"),
        ),
    ),
    "Endpoint": st.builds(
        lambda where, port, weight: {"where": where, "address": "10.0.0.1", "port": port, "weight": weight},
        WHERE,
        st.integers(8080, 8082),
        st.integers(1, 3),
    ),
    "HealthCheck": st.sampled_from(
        ({"tcp": {}}, {"http": {"path": "/h"}}, {"http": {"expectedStatuses": ["200-399"]}})
    ),
    "ClusterAccess": _some(SITES).map(lambda callers: {"callers": callers}),
}
_LABELS = st.sampled_from(({}, {"tier": "core"}, {"tier": "leaf", "zone": "z"}))
KEYS = st.sampled_from(sorted(POOLS)).flatmap(
    lambda kind: st.builds(
        lambda namespace, name: ObjectKey("default", kind, namespace, name),
        st.just("") if kind in TENANT_WIDE else st.sampled_from(NAMESPACES[:1] * 3 + NAMESPACES),
        st.sampled_from(POOLS[kind]),
    )
)


def build(key: ObjectKey, spec: Mapping[str, Any], labels: Mapping[str, str], created: int) -> Object:
    """An object as it comes from the wire."""
    metadata = {"tenant": key.tenant, "namespace": key.namespace, "name": key.name, "labels": labels}
    cls = KINDS[key.kind]
    obj = cls.model_validate_json(json.dumps({"kind": key.kind, "metadata": metadata, "spec": spec}))
    numbered = key.kind in ("Site", "Cluster")
    return obj.with_system(System(created=created, number=_number(key) if numbered else None))


def _number(key: ObjectKey) -> int:
    """Distinct within a kind."""
    return 1 + POOLS[key.kind].index(key.name) + 10 * (NAMESPACES.index(key.namespace) if key.namespace else 0)


def objects_of(key: ObjectKey) -> st.SearchStrategy[Object]:
    """Any object with that key."""
    return st.builds(
        lambda spec, labels, created: build(key, spec, labels, created), SPECS[key.kind], _LABELS, st.integers(1, 5)
    )


any_object = KEYS.flatmap(objects_of)
"""Any object of any kind."""

OWN_SITE = ObjectKey("default", "Site", "", "ams")
object_sets = st.builds(
    lambda own, found: {own.key: own, **{each.key: each for each in found}},
    objects_of(OWN_SITE),
    st.lists(any_object, min_size=5, max_size=40),
)
"""Sets of objects, with references that dangle, domains that clash and addresses that are missing. They always hold
the site `ams`."""

edits = st.lists(
    st.one_of(any_object.map(lambda obj: (obj.key, obj)), KEYS.map(lambda key: (key, None))), min_size=1, max_size=4
).map(dict)
"""Changes of some objects; None deletes."""
