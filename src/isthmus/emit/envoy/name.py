"""Every name that Envoy is given. Operators meet them in statistics, logs and dumps, so they are public.

| what | name |
|---|---|
| cluster as routes name it | `default/shop/web@local`, `default/shop/web@fabric`, or for both `default/shop/web` |
| the sites of one subset of a cluster | `default/shop/web@subset-v2` |
| cluster as TCP streams name it | the same, or on the way round `default/shop/web@tunnel`, `default/shop/web@stream` |
| the same for a subset | `default/shop/web@tunnel-v2` |
| second and further health checks of a cluster's local endpoints | `default/shop/web@probe-1` |
| ingress listener, its routes | `ingress/192.0.2.1:80` |
| TLS chain of an ingress listener, its routes | `ingress/192.0.2.1:443\\|default/shop/site` |
| fabric listeners, the own site's door, their routes | `fabric/192.0.2.1:7400`, `fabric/own`, `fabric` |
| chain of ACME's handshakes | `ingress/192.0.2.1:443\\|default/shop/site\\|acme` |
| secrets of these | `challenge/default/shop/site/shop.example` |
| virtual host of ACME's pages, their routes | `default/shop/site@acme`, `default/shop/site\\|acme` |
| secrets: certificate with key, authorities | `certificate/default/shop/site`, `authority/default/shop/ca` |
| the own site as a cluster, for copies to subsets | `fabric/own` |
| internal listener of TCP streams on their way to other sites | `fabric/tunnel` |
| route | `default/shop/site\\|shop/home`: virtual host, then route |
| prefix of HTTP statistics | `ingress_192_0_2_1_80`, `fabric`, `own` (no dots: they end a tag) |
"""

import re

from isthmus.compile.intent import Shape, Socket
from isthmus.model.key import ObjectKey

_PREFIX = "type.googleapis.com/"
LISTENER_TYPE = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE_TYPE = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
CLUSTER_TYPE = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT_TYPE = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
SECRET_TYPE = _PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"
EXTENSION_TYPE = _PREFIX + "envoy.config.core.v3.TypedExtensionConfig"

CLUSTER_HEADER = "x-isthmus-cluster"
"""Names, between sites, the hosted cluster that a request is for."""
HASH_HEADER = "x-isthmus-hash"
HASH_HEADERS = (HASH_HEADER, *(f"{HASH_HEADER}-{index}" for index in (2, 3, 4)))
"""Carry, between sites, what consistent hashing looks at: the first that is there."""
SUBSET_HEADER = "x-isthmus-subset"
"""Names, between sites, the subset of the hosted cluster that a request is for."""
PRIORITY_HEADER = "x-isthmus-priority"
"""Marks, between sites, a request whose route has the priority HIGH."""
SUBSET_KEY = "subset"
"""Key, in `LB_METADATA`, of the subsets that an endpoint belongs to and of the one that a request is for."""
LB_METADATA = "envoy.lb"
LOCAL_REPLY_HEADER = "x-isthmus-local-reply"
"""Marks an egress site's own answer to a request that reached no application."""
ORIGINAL_PATH_HEADER = "x-envoy-original-path"
"""Has the path as the client sent it, where a route rewrites it. Logs and applications look at it."""
HEADER_PREFIX = "x-isthmus-"
"""Headers that no client, application or user's rule may set."""

METADATA = "isthmus"
"""Namespace of metadata."""
COMPRESSION_FILTERS = {"gzip": "compression-gzip", "brotli": "compression-brotli", "zstd": "compression-zstd"}
OWN_ANSWERS_FILTER = "own-answers"
ERROR_PAGES_FILTER = "error-pages"
CORS_FILTER = "cors"
CSRF_FILTER = "csrf"
FAULT_FILTER = "faults"
GRPC_WEB_FILTER = "grpc-web"
REQUEST_LIMIT_FILTER = "request-limit"
HASH_COOKIE_FILTER = "hash-cookie"
"""The filter that makes up a cookie for consistent hashing."""
HASH_FILTER = "hash-values"
"""The filter that reads cookies for consistent hashing between sites."""
HASH_COOKIE = "isthmus.hash-cookie"
"""The filter state that holds a cookie which was made up."""
SUBSET_FILTER = "subset"
"""The filter that reads the subset of other sites' requests; off except on requests that name one."""
IDENTITY_SECRET = "identity"  # noqa: S105 - the name of a secret, not one
TRUST_SECRET = "trust"  # noqa: S105 - the name of a secret, not one
FABRIC_ROUTES = "fabric"
FABRIC_ACCESS = "fabric-access"
OWN_LISTENER = "fabric/own"
OWN_CLUSTER = "fabric/own"
"""Leads to the listener of this name: the own site, asked as another one is."""
TUNNEL_LISTENER = "fabric/tunnel"


def path(key: ObjectKey) -> str:
    """`tenant/namespace/name`."""
    return f"{key.tenant}/{key.namespace}/{key.name}"


def local_cluster(key: ObjectKey) -> str:
    """The endpoints of a cluster at this site. Every site uses the same name, so that it can be asked for by it."""
    return path(key) + "@local"


def probe_cluster(key: ObjectKey, index: int) -> str:
    """The same endpoints, under the cluster's health check of this index (from 1 on; the first is `local_cluster`'s).

    It carries no requests: Envoy runs one health check per cluster.
    """
    return f"{path(key)}@probe-{index}"


def checked_clusters(key: ObjectKey, checks: int) -> tuple[str, ...]:
    """The clusters whose health check events decide on a cluster's local endpoints: all must find them healthy."""
    return (local_cluster(key), *(probe_cluster(key, index) for index in range(1, checks)))


def fabric_cluster(key: ObjectKey) -> str:
    """The other sites of a cluster."""
    return path(key) + "@fabric"


def subset_cluster(key: ObjectKey, subset: str) -> str:
    """The sites of one subset of a cluster."""
    return f"{path(key)}@subset-{subset}"


def target_cluster(key: ObjectKey, shape: Shape, subset: str = "") -> str:
    """What a route names. `shape`: of the subset."""
    if shape is Shape.LOCAL:
        return local_cluster(key)
    if subset:
        return subset_cluster(key, subset)
    return fabric_cluster(key) if shape is Shape.FABRIC else path(key)


def tunnel_cluster(key: ObjectKey, subset: str = "") -> str:
    """The way round of TCP streams to the sites of a cluster, or of one subset of it: one host, an internal listener
    that tunnels."""
    return f"{path(key)}@tunnel-{subset}" if subset else path(key) + "@tunnel"


def stream_cluster(key: ObjectKey, shape: Shape, subset: str = "") -> str:
    """What a TCP stream names that does not tunnel itself. `shape`: of the subset."""
    if shape is Shape.LOCAL:
        return local_cluster(key)
    return path(key) + "@stream" if shape is Shape.LOCAL_FIRST else tunnel_cluster(key, subset)


def sites_cluster(key: ObjectKey, shape: Shape, subset: str = "") -> str | None:
    """The cluster whose members are sites, and whose assignment health therefore decides; None when there is none."""
    if shape is Shape.LOCAL:
        return None
    if subset:
        return subset_cluster(key, subset)
    return path(key) if shape is Shape.UNIFORM else fabric_cluster(key)


def parse_cluster(name: str) -> ObjectKey | None:
    """The object that a cluster's name stands for, or None when it is no such name."""
    parts = name.partition("@")[0].split("/")
    return ObjectKey(parts[0], "Cluster", parts[1], parts[2]) if len(parts) == 3 else None


def ingress_listener(socket: Socket) -> str:
    """An ingress listener, and its route configuration, or where its stream goes."""
    return f"ingress/{socket}"


def certificate(key: ObjectKey) -> str:
    """The secret with a certificate and its private key."""
    return f"certificate/{path(key)}"


def challenge_certificate(key: ObjectKey, domain: str) -> str:
    """The secret that answers the handshake about a name of a certificate."""
    return f"challenge/{path(key)}/{domain}"


def challenge_chain(socket: Socket, virtual_host: ObjectKey) -> str:
    """The chain beside a virtual host's own for such handshakes."""
    return f"{chain(socket, virtual_host)}|acme"


def virtual_host(key: ObjectKey) -> str:
    """A virtual host; one for challenges alone has the key of a certificate."""
    return f"{path(key)}@acme" if key.kind == "Certificate" else path(key)


def challenge_route(virtual_host: ObjectKey) -> str:
    """The route of a challenge's page."""
    return f"{path(virtual_host)}|acme"


def trusted_authority(key: ObjectKey) -> str:
    """The secret with the certificates of trusted authorities."""
    return f"authority/{path(key)}"


def chain(socket: Socket, virtual_host: ObjectKey) -> str:
    """A TLS chain of an ingress listener, and its route configuration."""
    return f"{ingress_listener(socket)}|{path(virtual_host)}"


def fabric_listener(socket: Socket) -> str:
    """A listener for other sites."""
    return f"fabric/{socket}"


def route(virtual_host: ObjectKey, route_key: ObjectKey) -> str:
    """A route as the access log shows it: the log has no field for the virtual host."""
    return f"{path(virtual_host)}|{route_key.namespace}/{route_key.name}"


def statistics(listener: str) -> str:
    """The prefix of a listener's HTTP statistics."""
    return re.sub(r"[^a-z0-9]+", "_", listener)
