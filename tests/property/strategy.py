"""Sets of objects for property tests: small pools of names, so that references meet, clash and dangle.

An object is made from its key and a number, so drawing it costs Hypothesis one choice: sets are large, quick to draw,
and shrink by losing objects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from random import Random
from typing import Any

from hypothesis import strategies as st

from isthmus.discovery.found import Found
from isthmus.model import KINDS, Object, ObjectKey
from isthmus.model.object import System

from ..conftest import make_certificate

Objects = dict[ObjectKey, Object]
Edit = dict[ObjectKey, Object | None]
Spec = dict[str, Any]

SITES, VIRTUAL_SITES = ("ams", "fra", "nyc", "osl"), ("core", "edge")
NAMESPACES = ("default", "shop", "shared")
POOLS = {
    "Site": SITES,
    "VirtualSite": VIRTUAL_SITES,
    "Network": ("n1",),
    "AdvertisePolicy": ("in", "out"),
    "VirtualHost": ("h1", "h2", "h3"),
    "Route": ("r1", "r2", "r3", "r4"),
    "Cluster": ("c1", "c2", "c3"),
    "Endpoint": ("e1", "e2", "e3", "e4", "e5"),
    "HealthCheck": ("k1", "k2"),
    "ServiceDiscovery": ("s1", "s2"),
    "TelemetryReceiver": ("x1", "x2"),
    "Certificate": ("t1", "t2"),
    "TrustedAuthority": ("a1",),
    "ClusterAccess": ("c1", "c2", "c3"),
}
"""Names by kind. A name of the pool that no object bears is a dangling reference."""
TENANT_WIDE = ("Site", "VirtualSite", "Network")
OWN_SITE = ObjectKey("default", "Site", "", "ams")
ADDRESSES = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
DOMAINS = ("a.example", "b.example", "*.example", "*", "a.example:80", "a.example:81", "c.b.example", "*.b.example")
PATHS = ("/", "/a", "/a/", "/a/b", "/b", "/a/b/c")
REGEXES = ("/a.*", "/[ab]/?", ".*b", "/(a|b)/[a-z]+")
VALUES = ("", "1", "one", "o", "once")
HEADERS = ("x-one", "x-two")
SUBSETS = ("s1", "s2")
PARAMETERS = ("p", "q")
AUTHORITY = make_certificate(authority=True).pem
COOKIES = ("c", "d")


class Maker:
    """Makes specs; every choice comes from one generator."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def one(self, *values: Any) -> Any:
        return self.random.choice(values)

    def some(self, values: tuple[Any, ...], least: int = 0, most: int = 3) -> list[Any]:
        return self.random.sample(values, self.random.randint(least, min(most, len(values))))

    def maybe(self, chance: float = 0.5) -> bool:
        return self.random.random() < chance

    def references(self, kind: str, least: int = 0, most: int = 3) -> list[dict[str, str]]:
        return [
            {"namespace": "shared", "name": each} if self.maybe(0.1) else {"name": each}
            for each in self.some(POOLS[kind], least, most)
        ]

    def where(self) -> dict[str, str]:
        if self.maybe(0.25):
            return {"virtualSite": self.one(*VIRTUAL_SITES)}
        return {"site": self.one("ams", *SITES)}

    def site(self) -> Spec:
        own = {"interfaces": [{"name": "eth0", "addresses": self.some(ADDRESSES, 1)}]}
        reach = {"reachability": self.one("direct", "direct", "direct", "outbound")}
        port = self.one(7400, 7400, 80)
        return {
            "fabric": {
                "addresses": [
                    {"address": each, "port": port} for each in self.some(ADDRESSES, self.one(0, 1, 1, 1), 2)
                ],
                **reach,
            },
            **self.one({}, own),
            **self.one(
                {}, {"location": self.one({"latitude": 1.0, "longitude": 2.0}, {"latitude": -3.5, "longitude": 9.0})}
            ),
            "drained": self.maybe(0.2),
            "edge": self.maybe(0.3),
        }

    def own_site(self) -> Spec:
        return self.site() | {
            "interfaces": [
                {"name": "eth0", "addresses": ["192.0.2.1"]},
                {"name": "eth1", "network": "inside", "addresses": ["192.0.2.2"]},
                *self.some(({"name": "eth2", "network": "n1", "addresses": ["2001:db8::1"]},)),
            ],
            "fabric": {"addresses": [{"address": "192.0.2.1", "port": self.one(7400, 7400, 80)}]},
        }

    def virtual_site(self) -> Spec:
        return {"selector": self.one(None, [], ["tier=core"], ["!tier"], ["tier notin (core)", "zone"])}

    def advertise_policy(self) -> Spec:
        where: Spec = {**(self.where() if self.maybe() else {"site": "ams"}), "network": self.one("outside", "inside")}
        if self.maybe(0.2):
            where = self.one({"public": True}, {"network": "outside"}, {"network": "internal"}, {"network": "n1"})
        address = {"address": self.one(*ADDRESSES)} if self.maybe(0.3) else {}
        tls = {"tls": self.tls()} if self.maybe(0.2) else {}
        return {"where": where, "port": self.one(80, 81, 7400), **address, **tls}

    def virtual_host(self) -> Spec:
        return {
            "domains": self.some(DOMAINS, 1),
            **self.one(*[self.http()] * 2, self.stream()),
            "advertisePolicies": self.references("AdvertisePolicy", 1, 2),
        }

    def http(self) -> Spec:
        secure = self.one({}, {"proxy": "HTTPS"}, {"proxy": "HTTPS", "tls": self.tls()})
        return {"routes": self.references("Route", most=4), **self.http_options(), **secure}

    def tls(self) -> Spec:
        clients = {"clientCertificates": {"trustedAuthority": {"name": "a1"}, "mode": self.one("optional", "required")}}
        return {
            "certificates": self.references("Certificate", 1, 2),
            "minVersion": self.one("TLSv1.2", "TLSv1.3"),
            **self.one({}, clients, {"http3": True}),
        }

    def certificate(self) -> Spec:
        return {"chainFile": f"/{self.one('a', 'b')}.pem", "privateKeyFile": "/a.key"}

    def trusted_authority(self) -> Spec:
        return {"certificates": AUTHORITY}

    def stream(self) -> Spec:
        return {
            "proxy": self.one("TCP", "TCP_SNI", "TCP_SNI", "UDP", "SMA"),
            "routes": self.references("Route", 1, 1),
        }

    def condition(self) -> Spec:
        return self.one(
            {"exact": self.one(*VALUES)},
            {"prefix": self.one(*VALUES[1:])},
            {"regex": self.one("o.*", "[0-9]+", ".+")},
            {"present": self.maybe()},
        )

    def path(self) -> Spec:
        return self.one({"exact": self.one(*PATHS)}, {"prefix": self.one(*PATHS)}, {"regex": self.one(*REGEXES)})

    def match(self) -> Spec:
        found: Spec = {"path": self.path()} if self.maybe(0.8) else {}
        if self.maybe(0.3):
            found["methods"] = self.some(("GET", "POST", "PUT"), 1, 2)
        if self.maybe(0.3):
            found["headers"] = [
                {"name": self.one(*HEADERS), "invert": self.maybe(0.3), **self.condition()}
                for _ in range(self.one(1, 1, 2))
            ]
        if self.maybe(0.3):
            condition = self.condition()
            invert = {"invert": self.maybe(0.3)} if "regex" not in condition else {}
            found["queryParameters"] = [{"name": self.one(*PARAMETERS), **condition, **invert}]
        if self.maybe(0.2):
            condition = self.condition()
            found["cookies"] = [{"name": self.one(*COOKIES), "invert": self.maybe(0.3), **condition}]
        if self.maybe(0.1):
            found["ports"] = self.some((80, 81), 1)
        if self.maybe(0.2):
            found["scheme"] = self.one("http", "http", "https")
        return found

    def route(self) -> Spec:
        return {"match": [self.match() for _ in range(self.one(0, 0, 1, 2))], **self.action(), **self.http_options()}

    def http_options(self) -> Spec:
        """Now and then some of what routes and virtual hosts have in common."""
        if self.maybe(0.6):
            return {}
        origins = {"origins": self.some(({"exact": "https://a.example"}, {"regex": "https://.*"}), 1)}
        return {
            **self.one({}, {"requestHeaders": {"set": [{"name": "x-a", "value": "%PROTOCOL%"}], "remove": ["x-b"]}}),
            **self.one({}, {"responseHeaders": {"append": [{"name": "x-a", "value": "%RESP(x-b)%"}]}}),
            **self.one({}, {"cors": origins}, {"cors": {"enabled": False}}),
            **self.one({}, {}, {"csrf": {}}, {"csrf": {"enabled": False}}),
            **self.one({}, {}, {"fault": {}}, {"fault": {"abort": {"status": 418, "percent": 1}}}),
            **self.one({}, {}, {"compression": {"algorithms": ["gzip"]}}, {"compression": {"enabled": False}}),
            **self.one({}, {"maxRequestBytes": self.one(0, 1000)}),
            **self.one({}, {"errorPages": [{"statuses": ["5xx"], "applications": self.maybe()}]}),
            **self.one({}, {"grpcWeb": self.maybe()}),
        }

    def action(self) -> Spec:
        if self.maybe(0.7):
            return {"forward": self.forward()}
        return self.one(
            {"redirect": {"path": "/moved"}},
            {"redirect": {"host": "else.example", "scheme": "https", "code": 307}},
            {"directResponse": {"status": 204}},
            {"directResponse": {"status": 404, "body": "no"}},
        )

    def forward(self) -> Spec:
        shares = [
            {"cluster": each, "weight": self.one(0, 1, 2), **self.one({}, {}, {"subset": self.one(*SUBSETS)})}
            for each in self.references("Cluster", 1, 3)
        ]
        shares[0]["weight"] = 1
        found: Spec = {"clusters": shares}
        if self.maybe(0.2):
            found["priority"] = "HIGH"
        if self.maybe(0.3):
            found["timeout"] = self.one("0s", "1s", "1.5s")
        if self.maybe(0.3):
            found["retry"] = self.one({"attempts": 0}, {"attempts": 1, "on": ["reset"], "perTryTimeout": "1s"})
        if self.maybe(0.4):
            policies = ({"header": "x-user", "terminal": True}, {"cookie": "s)%"}, {"sourceAddress": True})
            found["hashPolicy"] = self.some((*policies, {"cookie": "t", "ttl": "1h"}, {"queryParameter": "q"}), 1)
        if self.maybe(0.2):
            found["mirrors"] = [{"cluster": each, "percent": 50} for each in self.references("Cluster", 1, 2)]
        if self.maybe(0.2):
            found |= self.one({"regexRewrite": {"pattern": "a", "substitution": "b"}}, {"websocket": False})
        if self.maybe(0.2):
            found |= self.one({"hostRewrite": {"header": "x-host"}}, {"hostRewrite": {"literal": "app"}})
        return found

    def cluster(self) -> Spec:
        return {
            "endpoints": self.references("Endpoint", 1, 4),
            "healthChecks": self.references("HealthCheck", most=2),
            **self.selection(),
            **self.algorithm(),
            "protocol": self.one("HTTP1", "HTTP1", "HTTP2"),
            **self.one({}, {"staleAfter": "1m"}),
            **self.subsets(),
            **self.upstream(),
            **self.upstream_tls(),
        }

    def selection(self) -> Spec:
        some = [{"virtualSite": "core"}, {"site": self.one(*SITES)}]
        preferred = {"sitePreferences": some[: self.one(1, 2)]}
        return self.one(
            {"endpointSelection": "LOCAL_ONLY"},
            {"endpointSelection": "LOCAL_PREFERRED"},
            {"endpointSelection": "LOCAL_PREFERRED", "nearness": "ROUND_TRIP", **self.one({}, preferred)},
            {"endpointSelection": "DISTRIBUTED", **self.one({}, preferred)},
        )

    def upstream_tls(self) -> Spec:
        trusted = {"sni": "a.example", "trustedAuthority": {"name": "a1"}}
        shown = {"verify": False, "certificate": self.references("Certificate", 1, 1)[0]}
        return self.one({}, {}, {"tls": trusted}, {"tls": shown})

    def algorithm(self) -> Spec:
        return self.one(
            {"loadBalancing": "ROUND_ROBIN"},
            {"loadBalancing": "LEAST_REQUEST"},
            {"loadBalancing": "LEAST_REQUEST", "leastRequest": {"choiceCount": 3}, "slowStart": {"window": "10s"}},
            {"loadBalancing": "RANDOM"},
            {"loadBalancing": "RING_HASH"},
            {"loadBalancing": "RING_HASH", "ringHash": {"minimumRingSize": 10}},
            {"loadBalancing": "MAGLEV"},
            {"loadBalancing": "MAGLEV", "maglev": {"tableSize": 65537}},
        )

    def upstream(self) -> Spec:
        return self.one(
            {},
            {"circuitBreakers": {"high": {"maxRequests": 1}}},
            {"outlierDetection": {"consecutive5xx": 3, "successRate": {}, "consecutiveLocalFailures": None}},
            {"connectionPool": {"maxRequestsPerConnection": 1, "tcpKeepalive": {}}, "panicThreshold": 50},
            {"proxyProtocol": "V2", "endpointSelection": "LOCAL_ONLY", "sitePreferences": [], "nearness": "LOCATION"},
        )

    def subsets(self) -> Spec:
        if self.maybe(0.4):
            return {}
        names = self.some(SUBSETS, 1)
        found: Spec = {
            "subsets": [{"name": each, "selector": [self.one("tier=core", "!zone", "zone")]} for each in names]
        }
        fallback = self.one({}, {"subsetFallback": "ANY"}, {"subsetFallback": "DEFAULT", "defaultSubset": names[0]})
        return {**found, **fallback}

    def endpoint(self) -> Spec:
        if self.maybe(0.2):
            return self.discovered()
        protocol = self.one("TCP", "TCP", "TCP", "UDP")
        named = {"hostName": self.one("one.example", "two.example")} if protocol == "TCP" and self.maybe(0.2) else {}
        return {
            "where": self.where(),
            "address": "10.0.0.1",
            "port": self.random.randint(8080, 8083),
            "weight": self.one(1, 1, 2, 3),
            "protocol": protocol,
            "drained": self.maybe(0.2),
            **named,
        }

    def discovered(self) -> Spec:
        lookup = self.one(
            *({"dns": {"name": "a.test", "port": 80, "record": each}} for each in ("A", "ADDRESS")),
            {"dns": {"name": "b.test", "record": "SRV"}},
            {"kubernetes": {"service": "web", **self.one({}, {"port": "http"}, {"addresses": "node-ports"})}},
            {"kubernetes": {"selector": "tier in (front, edge)", "port": 80}},
            {"consul": {"service": "web", "tags": self.some(("v1", "v2"))}},
        )
        named = {"serviceDiscovery": self.references("ServiceDiscovery", 1, 1)[0]} if self.maybe(0.3) else {}
        return {"where": self.where(), "weight": self.one(1, 1, 2, 3), "discovery": {**lookup, **named}}

    def telemetry_receiver(self) -> Spec:
        trusted = self.references("TrustedAuthority", 1, 1)[0]
        target = self.one(
            {"syslog": {"host": "192.0.2.9", "trustedAuthority": trusted}},
            {"http": {"url": "https://192.0.2.9/in", "token": {"name": "acl"}}},
            {"file": {"name": "x.log"}},
            {"otlp": {"url": "http://192.0.2.9:4318", "traces": {"sampling": self.one(0, 5, 100)}}},
            {"otlp": {"url": "https://192.0.2.9", "trustedAuthority": trusted, "signals": ["TRACES"]}},
        )
        logs = self.one({}, {"logs": {"virtualHosts": ["tier=core"]}}, {"logs": {"errorsOnly": True}})
        return {"where": self.where(), **logs, **target}

    def service_discovery(self) -> Spec:
        zone = {"zone": self.one("example", "b.example"), "network": self.one("outside", "inside")}
        key = {"name": "k", "secret": {"name": "tsig"}}
        server = {"address": "192.0.2.53"}
        network = self.one({}, {"network": "inside"})
        publish = self.one(
            {},
            {"publish": {"delegation": zone, **network}},
            {"publish": {"update": {"zone": "example", "server": server, "key": key}, **network}},
        )
        method = self.one(
            {"dns": publish},
            {"dns": {"servers": [server], **publish}},
            {"kubernetes": {"kubeconfig": {"name": "k8s"}, **self.one({}, {"publish": {"namespace": "edge"}})}},
            {"kubernetes": {"kubeconfig": {"name": "k8s"}, "podLabels": True}},
            {"consul": {"url": "http://192.0.2.8:8500", **self.one({}, {"publish": network})}},
            {"consul": {"url": "https://192.0.2.8:8501", "token": {"name": "acl"}, "partition": "p"}},
        )
        return {"where": self.where(), **method}

    def health_check(self) -> Spec:
        return self.one(
            {"tcp": {}},
            {"tcp": {"send": {"text": "ping"}, "expect": [{"hex": "00ff"}]}},
            {"http": {"path": "/h"}},
            {"http": {"expectedStatuses": ["200-399"], "expectedBody": "ok"}},
            {"grpc": {"service": "shop"}},
            {"udp": {"send": {"text": "ping"}}},
        )

    def cluster_access(self) -> Spec:
        return {"callers": self.some(SITES)}


_SPECS: Mapping[str, Callable[[Maker], Spec]] = {
    "Site": Maker.site,
    "VirtualSite": Maker.virtual_site,
    "Network": lambda maker: {"type": maker.one("inside", "internal")},
    "AdvertisePolicy": Maker.advertise_policy,
    "VirtualHost": Maker.virtual_host,
    "Route": Maker.route,
    "Cluster": Maker.cluster,
    "Endpoint": Maker.endpoint,
    "HealthCheck": Maker.health_check,
    "ServiceDiscovery": Maker.service_discovery,
    "TelemetryReceiver": Maker.telemetry_receiver,
    "Certificate": Maker.certificate,
    "TrustedAuthority": Maker.trusted_authority,
    "ClusterAccess": Maker.cluster_access,
}


@lru_cache(maxsize=100_000)
def make_object(key: ObjectKey, seed: int) -> Object:
    """The object with a key that a number stands for, as it comes from the wire."""
    maker = Maker(Random(seed))
    labels = maker.one({}, {"tier": "core"}, {"tier": "leaf", "zone": "z"})
    metadata = {"tenant": key.tenant, "namespace": key.namespace, "name": key.name, "labels": labels}
    spec = maker.own_site() if key == OWN_SITE else _SPECS[key.kind](maker)
    obj = KINDS[key.kind].model_validate_json(json.dumps({"kind": key.kind, "metadata": metadata, "spec": spec}))
    number = _number(key) if key.kind in ("Site", "Cluster") else None
    return obj.with_system(System(created=maker.random.randint(1, 5), number=number))


def _number(key: ObjectKey) -> int:
    """Distinct within a kind."""
    return 1 + POOLS[key.kind].index(key.name) + 10 * (NAMESPACES.index(key.namespace) if key.namespace else 0)


_POOL_KEYS = [
    ObjectKey("default", kind, "" if kind in TENANT_WIDE else namespace, name)
    for namespace in NAMESPACES
    for kind, names in POOLS.items()
    if kind not in TENANT_WIDE or namespace == "default"
    for name in names
]
_DEFAULT_KEYS = [key for key in _POOL_KEYS if key.namespace in ("", "default") and key != OWN_SITE]
_seeds = st.integers(0, 2**16)


def make_found(random: Random) -> tuple[Found, ...]:
    """What a registry may answer: some of a few servers, of which endpoints may name others by hand."""
    servers = (
        Found(
            "10.0.0.1",
            port,
            random.choice((1, 5)),
            random.choice(((), (("version", "2"),))),
            random.random() < 0.8,
            random.choice((0, 10)),
        )
        for port in range(8082, 8087)
    )
    return tuple(server for server in servers if random.random() < 0.6)


def objects_of(key: ObjectKey) -> st.SearchStrategy[Object]:
    """Any object with that key."""
    return _seeds.map(lambda seed: make_object(key, seed))


any_object = st.builds(make_object, st.sampled_from(_POOL_KEYS), _seeds)
"""Any object of any kind."""


def _make_set(own: int, base: int, dropped: list[ObjectKey], more: list[Object]) -> Objects:
    found = {key: make_object(key, base + index) for index, key in enumerate(_DEFAULT_KEYS) if key not in dropped}
    return {**found, **{obj.key: obj for obj in more}, OWN_SITE: make_object(OWN_SITE, own)}


object_sets = st.builds(
    _make_set,
    _seeds,
    _seeds,
    st.lists(st.sampled_from(_DEFAULT_KEYS), max_size=8, unique=True),
    st.lists(any_object, max_size=8),
)
"""Sets of objects, with references that dangle, domains that clash and addresses that are missing. They always hold the
site `ams`, which clients and other sites can reach."""

edits = st.lists(
    st.one_of(any_object.map(lambda obj: (obj.key, obj)), st.sampled_from(_DEFAULT_KEYS).map(lambda key: (key, None))),
    min_size=1,
    max_size=4,
).map(lambda pairs: dict[ObjectKey, Object | None](pairs))
"""Changes of some objects; None deletes."""
