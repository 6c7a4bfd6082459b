"""Certificates by ACME as people write them, and what the console keeps of them when they write them again."""

from __future__ import annotations

from typing import Any

from isthmus.model import System, emit_envelope, parse_envelope
from isthmus.model.acme import AcmeState, Challenge
from isthmus.model.document import parse_documents
from isthmus.model.private import Private
from isthmus.model.validation import validate

DOMAIN = "shop.example"


def parse(kind: str = "Certificate", **spec: Any) -> Any:
    return parse_documents([{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "x"}, "spec": spec}])


def certificate(**acme: Any) -> Any:
    (found,) = parse(acme={"domains": [DOMAIN], "termsOfServiceAgreed": True, **acme}).objects
    return found.with_system(System(created=1))


def errors(**acme: Any) -> list[str]:
    return [f"{each.field}: {each.message}" for each in parse(acme=acme).diagnostics]


def test_the_least_that_is_written() -> None:
    found = certificate(domains=["Shop.Example", "www.shop.example"])
    assert found.spec.acme.domains == (DOMAIN, "www.shop.example")
    assert found.spec.acme.directory == "https://acme-v02.api.letsencrypt.org/directory"
    assert found.pending
    assert found.private == {}


def test_what_cannot_be_asked_for_is_refused_with_the_reason() -> None:
    assert errors(domains=[DOMAIN]) == ["spec.acme.termsOfServiceAgreed: required field is missing"]
    assert errors(domains=[DOMAIN], termsOfServiceAgreed=False) == [
        "spec.acme.termsOfServiceAgreed: the terms of service of the ACME server are yours to agree to; set it to true"
    ]
    everything = errors(domains=[DOMAIN, DOMAIN], directory="ftp://a", email="nobody", termsOfServiceAgreed=False)
    assert sorted(each.partition(":")[0] for each in everything) == [
        "spec.acme.directory", "spec.acme.domains", "spec.acme.email", "spec.acme.termsOfServiceAgreed",
    ], "all at once"  # fmt: skip
    agreed = {"termsOfServiceAgreed": True}
    assert "names with a wildcard" in errors(domains=["*.shop.example"], **agreed)[0]
    for bad in ("localhost", "192.0.2.1", "-a.example", "a..example", "a.example.", "ä.example"):
        assert "is not a full host name" in errors(domains=[bad], **agreed)[0]
    assert "stands twice" in errors(domains=[DOMAIN, DOMAIN.upper()], **agreed)[0]
    for bad in ("http://acme.example/dir", "https://user@acme.example/dir", "file:///etc/passwd"):
        assert "must be an https:// address" in errors(domains=[DOMAIN], directory=bad, **agreed)[0]
    assert "is not a mail address" in errors(domains=[DOMAIN], email="nobody", **agreed)[0]
    assert len(errors(domains=[])) >= 1


def test_one_way_to_get_it_is_chosen(pki: Any) -> None:
    issued, acme = pki.issue(DOMAIN), {"domains": [DOMAIN], "termsOfServiceAgreed": True}
    for more in (
        {"chain": issued.chain, "privateKey": issued.private_key},
        {"chainFile": "/a", "privateKeyFile": "/b"},
    ):
        (found,) = parse(acme=acme, **more).diagnostics
        assert found.message == "set either chain and privateKey, or chainFile and privateKeyFile, or acme"


def test_what_was_issued_outlives_the_declaration_written_again(pki: Any) -> None:
    issued = pki.issue(DOMAIN)
    question = Challenge(type="HTTP_01", domain=DOMAIN, token="t", answer="t.x")
    state = AcmeState(
        chain=issued.chain, private_key=Private(fingerprint="ab" * 16), directory="d", challenges=(question,)
    )
    got = certificate().with_acme(state)
    assert not got.pending
    again = certificate(email="a@b.example").succeeding(got)
    assert again.system.acme == state
    assert again.private == {"privateKey": Private(fingerprint="ab" * 16)}
    assert parse_envelope(emit_envelope(again)) == again, "sites get all of it"
    (by_hand,) = parse(chainFile="/a", privateKeyFile="/b").objects
    assert by_hand.succeeding(got).system.acme is None


def test_a_pair_that_was_given_serves_until_the_first_is_issued(pki: Any) -> None:
    issued = pki.issue(DOMAIN)
    (given,) = parse(chain=issued.chain, privateKey="kept:" + "cd" * 16).objects
    new = certificate().succeeding(given)
    assert new.chain == issued.chain
    assert new.private == given.private, "the same value, in the same place"
    other = Private(fingerprint="ef" * 16)
    assert new.with_private({"privateKey": other}).private == {"privateKey": other}


def test_the_declared_names_count_before_it_is_issued() -> None:
    documents = [
        {"kind": "Certificate", "spec": {"acme": {"domains": [DOMAIN], "termsOfServiceAgreed": True}}},
        {
            "kind": "VirtualHost",
            "spec": {
                "proxy": "HTTPS",
                "domains": [DOMAIN, "other.example"],
                "routes": [{"name": "x"}],
                "tls": {"certificates": [{"name": "x"}]},
            },
        },
        {"kind": "Route", "spec": {"redirect": {"scheme": "https"}}},
    ]
    parsed = parse_documents({"apiVersion": "isthmus/v1", "metadata": {"name": "x"}, **each} for each in documents)
    found = validate({obj.key: obj for obj in parsed.objects})
    assert [(each.code, each.field) for each in found] == [("uncovered-domain", "spec.domains[1]")]


def test_the_authority_of_the_server_must_exist() -> None:
    (found,) = parse(
        acme={"domains": [DOMAIN], "termsOfServiceAgreed": True, "trustedAuthority": {"name": "missing"}}
    ).objects
    (error,) = validate({found.key: found})
    assert (error.code, error.field) == ("dangling-reference", "spec.acme.trustedAuthority")
