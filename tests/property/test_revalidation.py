"""Validation edit by edit equals validation of the whole set."""

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.model import Object, ObjectKey
from isthmus.model.document import parse_documents
from isthmus.model.object import System
from isthmus.model.revalidation import Validation
from isthmus.model.validation import validate

from ..conftest import make_certificate

NAMES = {
    "Namespace": ("shop",),
    "Site": ("s0", "s1"),
    "VirtualSite": ("v0",),
    "AdvertisePolicy": ("p0", "p1"),
    "VirtualHost": ("h0", "h1"),
    "Endpoint": ("e0", "e1"),
    "Cluster": ("c0", "c1"),
    "Route": ("r0", "r1"),
    "Network": ("n0",),
    "Certificate": ("t0", "t1"),
    "HealthCheck": ("k0",),
}
where = st.sampled_from(({"site": "s0"}, {"site": "s1"}, {"virtualSite": "v0"}))
TLS = st.sampled_from(({}, {}, *({"tls": {"certificates": [{"name": name}]}} for name in ("t0", "t1"))))
SPECS = {
    "Namespace": st.just({}),
    "Site": st.builds(
        lambda reach, addresses, network, edge: {
            "fabric": {"reachability": reach},
            "interfaces": [{"name": "eth0", "network": network, "addresses": addresses}] if addresses else [],
            "edge": edge,
        },
        st.sampled_from(("direct", "outbound")),
        st.sampled_from(([], ["192.0.2.1"])),
        st.sampled_from(("outside", "n0")),
        st.booleans(),
    ),
    "VirtualSite": st.sampled_from(([], ["env=a"], None)).map(lambda selector: {"selector": selector}),
    "AdvertisePolicy": st.builds(
        lambda at, tls: {"where": at, "port": 80, **tls},
        st.one_of(where, where, st.sampled_from(({"public": True}, {"network": "n0"}, {"network": "outside"}))),
        TLS,
    ),
    "VirtualHost": st.builds(
        lambda domain, proxy, policy, route, tls: {
            "domains": [domain],
            "advertisePolicies": [{"name": policy}],
            "routes": [{"name": route}],
            **tls,
            "proxy": "HTTPS" if tls else proxy,
        },
        st.sampled_from(("a.example", "a.example", "a.example:80")),
        st.sampled_from(("HTTP", "HTTP", "HTTP", "HTTPS", "TCP", "TCP_SNI", "UDP", "SMA")),
        st.sampled_from(("p0", "p1")),
        st.sampled_from(("r0", "r1")),
        TLS,
    ),
    "Certificate": st.sampled_from(
        (
            {"chainFile": "/a", "privateKeyFile": "/b"},
            {"chain": make_certificate("a.example").pem, "privateKey": "kept:"},
            {"chain": make_certificate("b.example").pem, "privateKey": "kept:"},
        )
    ),
    "Endpoint": st.builds(
        lambda at, protocol: {"where": at, "address": "127.0.0.1", "port": 80, "protocol": protocol},
        where,
        st.sampled_from(("TCP", "UDP")),
    ),
    "Cluster": st.builds(
        lambda names, subset, selection, checks: {
            "endpoints": [{"name": name} for name in names],
            "subsets": [{"name": subset, "selector": ["a"]}],
            "endpointSelection": selection,
            "healthChecks": [{"name": check} for check in checks],
        },
        st.sampled_from((("e0",), ("e1",), ("e0", "e1"))),
        st.sampled_from(("u0", "u1")),
        st.sampled_from(("DISTRIBUTED", "LOCAL_PREFERRED")),
        st.sampled_from(((), ("k0",))),
    ),
    "HealthCheck": st.sampled_from(({"grpc": {}}, {"tcp": {}})),
    "Route": st.builds(
        lambda match, name, subset, priority: {
            "match": match,
            "forward": {
                "clusters": [{"cluster": {"name": name}, **({"subset": "u0"} if subset else {})}],
                "priority": priority,
            },
        },
        st.sampled_from(([], [{"path": {"prefix": "/a"}}])),
        st.sampled_from(("c0", "c1")),
        st.booleans(),
        st.sampled_from(("DEFAULT", "HIGH")),
    ),
    "Network": st.sampled_from(("inside", "internal")).map(lambda kind: {"type": kind}),
}


@st.composite
def change(draw: st.DrawFn) -> tuple[ObjectKey, Object | None]:
    kind = draw(st.sampled_from(tuple(NAMES)))
    metadata: dict[str, object] = {"name": draw(st.sampled_from(NAMES[kind]))}
    if kind == "Site":
        metadata["labels"] = {"env": draw(st.sampled_from(("a", "b")))}
    if kind in ("AdvertisePolicy", "VirtualHost", "Endpoint", "Cluster", "Route", "Certificate", "HealthCheck"):
        metadata["namespace"] = draw(st.sampled_from(("default", "shop")))
    parsed = parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": draw(SPECS[kind])}]
    )
    assert not parsed.diagnostics, parsed.diagnostics
    obj = parsed.objects[0].with_system(System(created=draw(st.integers(1, 5))))
    return obj.key, None if draw(st.integers(0, 3)) == 0 else obj


@settings(max_examples=300)
@given(st.lists(st.lists(change(), min_size=1, max_size=4).map(dict), max_size=12))
def test_validation_edit_by_edit_equals_that_of_the_whole(sequence: list[dict[ObjectKey, Object | None]]) -> None:
    objects: dict[ObjectKey, Object] = {}
    validation = Validation({})
    for edit in sequence:
        before = set(validate(objects))
        for key, obj in edit.items():
            if obj is None:
                objects.pop(key, None)
            else:
                objects[key] = obj
        trial = validation.try_edit(edit)
        assert validation.all() == sorted(before, key=lambda d: (str(d.object), d.field, d.code, d.message))
        validation.accept(trial)
        after = validate(objects)
        assert validation.all() == after
        assert set(trial.appeared) == set(after) - before
        assert [d for key in {d.object for d in after} if key for d in validation.of(key)].__len__() == len(after)
