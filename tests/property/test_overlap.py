"""Overlaps of virtual hosts, found by an index, are those that a comparison of every pair finds."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.model import ObjectKey, VirtualHost
from isthmus.model.document import parse_documents
from isthmus.model.object import System
from isthmus.model.overlap import check_overlaps, host_sockets, server_name
from isthmus.model.selection import SiteSelection, SiteSocket
from isthmus.model.virtual_host import family_of

SITES = ("ams", "fra")
POLICIES = {"ams-80": ("ams", 80), "ams-81": ("ams", 81), "fra-80": ("fra", 80)}
DOMAINS = ("*", "a.example", "a.example:80", "*.example")


def document(kind: str, name: str, namespace: str = "", **spec: object) -> dict[str, object]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "isthmus/v1", "kind": kind, "metadata": metadata, "spec": spec}


def virtual_host(number: int, proxy: str, domains: list[str], policies: list[str]) -> dict[str, object]:
    references = [{"name": policy} for policy in policies]
    tls = {"tls": {"certificates": [{"name": "all"}]}} if proxy == "HTTPS" else {}
    return document(
        "VirtualHost", f"h{number}", "shop", proxy=proxy, domains=domains, advertisePolicies=references, **tls
    )


HOSTS = st.lists(
    st.tuples(
        st.sampled_from(("HTTP", "HTTP", "HTTPS")),
        st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=2, unique=True),
        st.lists(st.sampled_from(sorted(POLICIES)), min_size=1, max_size=2, unique=True),
    ),
    max_size=6,
)


def taken(host: VirtualHost, domain: str, socket: SiteSocket) -> bool:
    if family_of(host.spec.proxy) == "TLS":
        return server_name(domain) in map(server_name, host.spec.domains)
    own = f":{socket.port}"
    return domain.removesuffix(own) in [each.removesuffix(own) for each in host.spec.domains]


@given(HOSTS)
@settings(max_examples=100)
def test_every_overlap_of_domains_is_found_and_nothing_else(wanted: list[tuple[str, list[str], list[str]]]) -> None:
    documents = [
        *(document("Site", site, interfaces=[{"name": "lo", "addresses": ["192.0.2.1"]}]) for site in SITES),
        *(
            document("AdvertisePolicy", name, "shop", where={"site": site}, port=port)
            for name, (site, port) in POLICIES.items()
        ),
        *(virtual_host(number, *each) for number, each in enumerate(wanted)),
    ]
    parsed = parse_documents(documents)
    assert not parsed.diagnostics
    known = {obj.key: obj.with_system(System(created=order)) for order, obj in enumerate(parsed.objects, 1)}
    selection = SiteSelection(known)
    hosts = [obj for obj in known.values() if isinstance(obj, VirtualHost)]
    expected: set[tuple[ObjectKey, str]] = set()
    for first, second in combinations(hosts, 2):
        if family_of(first.spec.proxy) == family_of(second.spec.proxy):
            shared = host_sockets(first, known, selection) & host_sockets(second, known, selection)
            expected.update(
                (second.key, f"spec.domains[{index}]")
                for index, domain in enumerate(second.spec.domains)
                if any(taken(first, domain, socket) for socket in shared)
            )
    found = [each for each in check_overlaps(known, selection) if each.code == "overlapping-domain"]
    assert {(each.object, each.field) for each in found} == expected
    assert len({(each.object, each.field, each.message) for each in found}) == len(found)
