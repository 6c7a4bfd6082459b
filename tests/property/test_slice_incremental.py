"""Law 5 for slices (incremental equals rebuild), and law 7's second half (nothing of another tenant).

The expectation is written down here a second time, as simply as possible, from what a site is said to need.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.compile import compile_site
from isthmus.model import (
    KINDS,
    SEALED_KINDS,
    Object,
    ObjectKey,
    content_hash,
    emit_envelope,
    parse_envelope,
    sealed_key,
)
from isthmus.model.cluster import Cluster
from isthmus.model.document import parse_documents
from isthmus.model.label import matches
from isthmus.model.object import System
from isthmus.slice import SliceIndex, nearest_regions
from isthmus.slice.index import SliceHeader
from isthmus.slice.subject import region_subject, site_subject

from ..conftest import make_certificate

Edit = dict[ObjectKey, Object | None]

SITES, GROUPS, POLICIES, HOSTS = ("s0", "s1", "s2", "s3"), ("v0", "v1"), ("p0", "p1", "p2"), ("h0", "h1")
ROUTES, CLUSTERS, ENDPOINTS, CHECKS = ("r0", "r1", "r2"), ("c0", "c1", "c2"), ("e0", "e1", "e2"), ("k0", "k1")
REGIONS = ("g0", "g1", "g2")
CERTIFICATES, AUTHORITIES = ("t0", "t1", "t2"), ("a0",)
CHAIN = make_certificate("a.example").pem
NETWORKS = ("inside", "n0")
SELECTORS = (None, [], ["env=a"], ["env=b", "tier"], ["!env"], ["env notin (a)"])
LABELS = ({}, {"env": "a"}, {"env": "b"}, {"env": "b", "tier": "x"}, {"env": "a", "tier": "x"})

FABRIC = {"addresses": [{"address": "192.0.2.2"}]}


def refs(names: tuple[str, ...], least: int = 0, most: int = 2) -> st.SearchStrategy[list[dict[str, str]]]:
    return st.lists(st.sampled_from(names), min_size=least, max_size=most, unique=True).map(
        lambda chosen: [{"name": name} for name in chosen]
    )


where = st.one_of(
    st.sampled_from(SITES).map(lambda name: {"site": name}),
    st.sampled_from(GROUPS).map(lambda name: {"virtualSite": name}),
)
location = st.sampled_from(({"latitude": 0.0, "longitude": 0.0}, {"latitude": 50.0, "longitude": 10.0}, None))


def without_none(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}


tls = st.builds(
    lambda certificates, trusted: without_none(
        certificates=certificates, clientCertificates={"trustedAuthority": trusted[0]} if trusted else None
    ),
    refs(CERTIFICATES, 1),
    refs(AUTHORITIES, most=1),
)


class FakeSealer:
    """Seals to all sites but one; a copy says what it is of."""

    def seals(self, site: ObjectKey) -> bool:
        return site.name != "s3"

    def seal(self, site: ObjectKey, obj: Object) -> bytes:
        key = sealed_key(obj.key)
        assert key is not None
        values = {name: f"{site} {value}" for name, value in obj.private.items()}
        metadata = {"tenant": key.tenant, "namespace": key.namespace, "name": key.name}
        document = {"kind": key.kind, "metadata": metadata, "spec": {"values": values}}
        return emit_envelope(KINDS[key.kind].model_validate_json(json.dumps(document)))


SEALER = FakeSealer()


SPECS: dict[tuple[str, tuple[str, ...]], st.SearchStrategy[dict[str, object]]] = {
    ("Site", SITES): st.builds(
        lambda place, regions, networks, edge: without_none(
            location=place,
            regions=regions,
            fabric=FABRIC,
            edge=edge,
            interfaces=[{"name": each, "network": each, "addresses": ["192.0.2.3"]} for each in networks],
        ),
        location,
        st.lists(st.sampled_from(REGIONS), max_size=2, unique=True),
        st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True),
        st.booleans(),
    ),
    ("Network", NETWORKS[1:]): st.just({}),
    ("Region", REGIONS): st.builds(lambda place: without_none(location=place, address="192.0.2.1"), location),
    ("VirtualSite", GROUPS): st.sampled_from(SELECTORS).map(lambda selector: {"selector": selector}),
    ("AdvertisePolicy", POLICIES): st.builds(
        lambda at, port, tls: without_none(where=at, port=port, address="192.0.2.1", tls=tls),
        st.one_of(where, where, st.sampled_from(({"public": True}, {"network": "inside"}, {"network": "n0"}))),
        st.sampled_from((80, 81)),
        st.one_of(st.none(), tls),
    ),
    ("VirtualHost", HOSTS): st.builds(
        lambda routes, policies, tls: without_none(
            domains=["a.example"], routes=routes, advertisePolicies=policies, tls=tls, proxy="HTTPS" if tls else "HTTP"
        ),
        refs(ROUTES),
        refs(POLICIES),
        st.one_of(st.none(), tls),
    ),
    ("Certificate", CERTIFICATES): st.sampled_from(
        (
            {"chainFile": "/a", "privateKeyFile": "/b"},
            {"chain": CHAIN, "privateKey": "kept:" + "0" * 32},
            {"chain": CHAIN, "privateKey": "kept:" + "1" * 32},
        )
    ),
    ("TrustedAuthority", AUTHORITIES): st.just({"certificates": CHAIN}),
    ("Route", ROUTES): refs(CLUSTERS, 1).map(
        lambda clusters: {"forward": {"clusters": [{"cluster": cluster} for cluster in clusters]}}
    ),
    ("Cluster", CLUSTERS): st.builds(
        lambda endpoints, checks, selection, shown: without_none(
            endpoints=endpoints,
            healthChecks=checks,
            endpointSelection=selection,
            tls={"sni": "a.example", "certificate": shown[0]} if shown else None,
        ),
        refs(ENDPOINTS, 1),
        refs(CHECKS),
        st.sampled_from(("DISTRIBUTED", "LOCAL_ONLY")),
        refs(CERTIFICATES, most=1),
    ),
    ("Endpoint", ENDPOINTS): st.builds(
        lambda at, weight: {"where": at, "address": "127.0.0.1", "port": 8080, "weight": weight},
        where,
        st.sampled_from((1, 2)),
    ),
    ("HealthCheck", CHECKS): st.sampled_from(({"tcp": {}}, {"http": {}})),
}
NUMBERS = {name: index + 1 for index, name in enumerate((*SITES, *CLUSTERS, *REGIONS))}


def build(tenant: str, kind: str, name: str, spec: object, labels: dict[str, str]) -> Object:
    metadata = {"name": name} | ({"labels": labels} if kind == "Site" else {})
    document = {"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": spec}
    parsed = parse_documents([document], tenant)
    assert not parsed.diagnostics, parsed.diagnostics
    return parsed.objects[0].with_system(System(created=1, number=NUMBERS.get(name)))


@st.composite
def change(draw: st.DrawFn) -> tuple[ObjectKey, Object | None]:
    (kind, names), spec = draw(st.sampled_from(tuple(SPECS.items())))
    tenant, name = draw(st.sampled_from(("default", "default", "default", "other"))), draw(st.sampled_from(names))
    if draw(st.integers(0, 4)) == 0:
        wide = kind in ("Site", "Region", "VirtualSite", "Network")
        return ObjectKey(tenant, kind, "" if wide else "default", name), None
    obj = build(tenant, kind, name, draw(spec), draw(st.sampled_from(LABELS)))
    return obj.key, obj


@st.composite
def deployment(draw: st.DrawFn) -> Edit:
    """Most objects of one tenant, and some of another, so that chains are whole more often than not."""
    objects = [
        build("default", kind, name, draw(spec), draw(st.sampled_from(LABELS)))
        for (kind, names), spec in SPECS.items()
        for name in names
        if draw(st.integers(0, 9)) > 0
    ]
    return {obj.key: obj for obj in objects} | dict(draw(st.lists(change(), max_size=10)))


edits = st.lists(st.lists(change(), min_size=1, max_size=3).map(dict), min_size=1, max_size=10)


class Expectation:
    """Slices written down directly from the rules."""

    def __init__(self, objects: Mapping[ObjectKey, Object]) -> None:
        self.objects = objects

    def of(self, kind: str) -> Iterator[Object]:
        return (obj for obj in self.objects.values() if obj.kind == kind)

    def sites(self, obj: Object) -> set[ObjectKey]:
        at, tenant = obj.spec.where, obj.metadata.tenant
        if obj.kind == "AdvertisePolicy" and at.site is None and at.virtual_site is None:
            return {
                site.key
                for site in self.of("Site")
                if site.metadata.tenant == tenant
                and (site.spec.edge if at.public else any(i.network == at.network for i in site.spec.interfaces))
            }
        if at.site is not None:
            return {ObjectKey(tenant, "Site", "", at.site)} & set(self.objects)
        group = self.objects.get(ObjectKey(tenant, "VirtualSite", "", at.virtual_site))
        if group is None:
            return set()
        return {
            site.key
            for site in self.of("Site")
            if site.metadata.tenant == tenant and matches(group.spec.selector, site.metadata.labels)
        }

    def targets(self, key: ObjectKey, kind: str) -> set[ObjectKey]:
        obj = self.objects.get(key)
        found = {use.target for use in obj.uses() if use.target.kind == kind} if obj is not None else set()
        return found & set(self.objects)

    def all_targets(self, keys: set[ObjectKey], kind: str) -> set[ObjectKey]:
        return {target for key in keys for target in self.targets(key, kind)}

    def ingress_clusters(self, site: ObjectKey) -> set[ObjectKey]:
        policies = {p.key for p in self.of("AdvertisePolicy") if site in self.sites(p)}
        hosts = {h.key for h in self.of("VirtualHost") if self.targets(h.key, "AdvertisePolicy") & policies}
        return self.all_targets(self.all_targets(hosts, "Route"), "Cluster")

    def keys(self, site: ObjectKey) -> set[ObjectKey]:
        policies = {p.key for p in self.of("AdvertisePolicy") if site in self.sites(p)}
        hosts = {h.key for h in self.of("VirtualHost") if self.targets(h.key, "AdvertisePolicy") & policies}
        routes = self.all_targets(hosts, "Route")
        clusters = self.all_targets(routes, "Cluster")
        endpoints = self.all_targets(clusters, "Endpoint")
        remote = {other for e in endpoints for other in self.sites(self.objects[e])}
        here = {e.key for e in self.of("Endpoint") if site in self.sites(e)}
        hosted = {c.key for c in self.of("Cluster") if self.targets(c.key, "Endpoint") & here}
        found = {site} | policies | hosts | routes | clusters | endpoints | remote | here | hosted
        found |= self.all_targets(clusters | hosted, "HealthCheck")
        found |= self.all_targets(endpoints | here | policies, "VirtualSite")
        found |= {cluster._replace(kind="ClusterAccess") for cluster in hosted}
        found |= {ObjectKey(site.tenant, "Region", "", name) for name in self.regions(site)}
        for kind in ("Certificate", "TrustedAuthority", "Secret"):
            found |= self.all_targets(hosts | policies | hosted | here, kind)
        return found

    def regions(self, site: ObjectKey) -> tuple[str, ...]:
        return nearest_regions(self.objects[site], list(self.of("Region")))

    def imports(self, site: ObjectKey) -> tuple[int, ...]:
        found = set()
        for key in self.ingress_clusters(site):
            cluster = self.objects[key]
            assert isinstance(cluster, Cluster)
            places = {s for e in self.targets(key, "Endpoint") for s in self.sites(self.objects[e])}
            if cluster.spec.endpoint_selection != "LOCAL_ONLY" and places - {site}:
                found.add(cluster.system.number)
        return tuple(sorted(found))

    def callers(self, cluster: ObjectKey) -> list[str]:
        if self.objects[cluster].spec.endpoint_selection == "LOCAL_ONLY":
            return []
        return sorted(s.metadata.name for s in self.of("Site") if cluster in self.ingress_clusters(s.key))

    def slice(self, index: SliceIndex, site: ObjectKey) -> dict[ObjectKey, str]:
        found = {}
        for key in self.keys(site):
            if key.kind == "ClusterAccess":
                digest = index.hash_of(key)
                body = index.body(digest)
                assert (
                    f'"callers":{self.callers(key._replace(kind="Cluster"))}'.replace("'", '"').replace(", ", ",")
                    in body.decode()
                )
                assert content_hash(body) == digest
                found[key] = digest
            else:
                obj = self.objects[key]
                found[key] = content_hash(emit_envelope(obj))
                sealed = sealed_key(key)
                if sealed is not None and obj.private and SEALER.seals(site):
                    found[sealed] = content_hash(SEALER.seal(site, obj))
        return found


LIMITS = {
    "pairs": {},
    "walks end early": {"isthmus.slice.view._WALK_LIMIT": 0},
    "many pairs": {"isthmus.slice.candidate._PAIR_LIMIT": 2, "isthmus.slice.comparison._WHOLE_SHARE": 9},
    "many links": {"isthmus.slice.index._LINK_LIMIT": 0, "isthmus.slice.comparison._WHOLE_SHARE": 9},
    "whole": {"isthmus.slice.index._LINK_LIMIT": 0, "isthmus.slice.comparison._WHOLE_SHARE": -9},
}


@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())
@settings(max_examples=150)
@given(start=deployment(), sequence=edits)
def test_incremental_slices_equal_a_rebuild(limits: dict[str, int], start: Edit, sequence: list[Edit]) -> None:
    with ExitStack() as stack:
        for name, value in limits.items():
            stack.enter_context(patch(name, value))
        objects = {key: obj for key, obj in start.items() if obj is not None}
        index = SliceIndex(objects.values(), SEALER)
        held = {subject: index.slice_of(subject) for subject in index.subjects()}
        for edit in sequence:
            old = {subject: dict(entries) for subject, entries in held.items()}
            for subject, delta in index.apply(edit).items():
                if delta.whole:
                    held[subject] = index.slice_of(subject)
                    continue
                assert delta.removed <= set(held[subject])
                held[subject] |= delta.set
                for key in delta.removed:
                    del held[subject][key]
                assert held[subject] != old[subject], "a site that an edit does not touch is left alone"
            for key, obj in edit.items():
                if obj is None:
                    objects.pop(key, None)
                else:
                    objects[key] = obj
            check(index, objects, {s: e for s, e in held.items() if e})


def check(index: SliceIndex, objects: dict[ObjectKey, Object], held: dict[str, dict[ObjectKey, str]]) -> None:
    expectation = Expectation(objects)
    rebuilt = SliceIndex(objects.values(), SEALER)
    sites = [site.key for site in expectation.of("Site")]
    regions = [region.key for region in expectation.of("Region")]
    assert set(held) == {site_subject(key) for key in sites} | {region_subject(key) for key in regions}
    for site in sites:
        subject = site_subject(site)
        assert held[subject] == expectation.slice(index, site)
        assert index.slice_of(subject) == rebuilt.slice_of(subject) == held[subject]
        for key, digest in held[subject].items():
            assert content_hash(index.body(digest) or b"") == digest
            assert key.kind not in SEALED_KINDS or parse_envelope(index.body(digest)).key == key
        header = SliceHeader(NUMBERS[site.name], expectation.imports(site), expectation.regions(site))
        assert index.header(subject) == rebuilt.header(subject) == header
        assert {key.tenant for key in held[subject]} == {site.tenant}
    for region in regions:
        expected = {key for key in regions if key.tenant == region.tenant}
        assert set(held[region_subject(region)]) == expected


@settings(max_examples=150)
@given(start=deployment())
def test_a_slice_is_all_that_its_compile_asks_for(start: Edit) -> None:
    """Law 7: compiled from its slice, a site is as compiled from the whole deployment; and imports agree."""
    index = SliceIndex(obj for obj in start.values() if obj is not None)
    whole = dict(index.objects)
    for key in index.objects:
        if key.kind == "Cluster":
            access = key._replace(kind="ClusterAccess")
            whole[access] = parse_envelope(index.body(index.hash_of(access)))
    for site in [key for key in index.objects if key.kind == "Site"]:
        subject = site_subject(site)
        entries = index.slice_of(subject)
        sliced = {key: parse_envelope(index.body(digest)) for key, digest in entries.items()}
        assert all(obj.key == key for key, obj in sliced.items())
        from_slice = compile_site(sliced, site, "test.example")
        assert from_slice.intent == compile_site(whole, site, "test.example").intent
        assert set(from_slice.intent.imports) <= set(index.import_clusters(site)), "it may listen to all that it uses"
