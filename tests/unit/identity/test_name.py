import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.identity import Identity, NameInvalid, Role, identity_of, parse_identity, parse_subject

LABELS = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


def test_names_of_the_three_planes() -> None:
    site = Identity("example.net", Role.SITE, "default", "fra")
    region = Identity("example.net", Role.REGION, "default", "eu")
    console = Identity("example.net", Role.CONSOLE)
    assert site.uri == "spiffe://example.net/tenant/default/site/fra/node/0"
    assert site.dns_name == "0.fra.default.site.example.net"
    assert site.subject == "default/site/fra"
    assert region.uri == "spiffe://example.net/tenant/default/region/eu/node/0"
    assert region.dns_name == "eu.default.region.example.net"
    assert console.uri == "spiffe://example.net/console/node/0"
    assert console.dns_name == "console.example.net"


@given(LABELS, st.sampled_from([Role.SITE, Role.REGION]), LABELS, LABELS, LABELS)
def test_every_identity_is_read_back_from_its_uri(domain: str, role: Role, tenant: str, name: str, node: str) -> None:
    identity = Identity(domain, role, tenant, name, node)
    assert parse_identity(identity.uri) == identity
    assert identity_of(identity.subject, domain, node) == identity


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "spiffe://example.net/",
        "spiffe://example.net/tenant/default/site/fra",
        "spiffe://example.net/tenant/default/site/fra/node/0/",
        "spiffe://example.net/tenant/default/site/fra/node/0\n",
        "spiffe://example.net/tenant/default/console/fra/node/0",
        "spiffe://example.net/tenant//site/fra/node/0",
        "spiffe://Example.net/console/node/0",
        "https://example.net/console/node/0",
        "spiffe://example.net/tenant/default/site/-fra/node/0",
    ],
)
def test_other_names_are_refused(uri: str) -> None:
    with pytest.raises(NameInvalid):
        parse_identity(uri)


@pytest.mark.parametrize("subject", ["", "default/site", "default/host/fra", "default/site/fra/x", "default/site/a b"])
def test_other_subjects_are_refused(subject: str) -> None:
    with pytest.raises(NameInvalid):
        parse_subject(subject)
