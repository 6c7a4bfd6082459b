from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from isthmus.identity import (
    Authority,
    CertificateRefused,
    Credential,
    Identity,
    Role,
    TrustList,
    generate_key,
    make_csr,
    make_renewal,
    parse_certificates,
    verify_leaf,
    verify_renewal,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FRA = Identity("example.net", Role.SITE, "default", "fra")
NYC = Identity("example.net", Role.SITE, "default", "nyc")


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("example.net", NOW)


def credential(authority: Authority, identity: Identity, now: datetime = NOW) -> Credential:
    key = generate_key()
    return Credential(key, authority.issue(make_csr(key), identity, now), TrustList(1, authority.bundle_pem, ()))


def test_a_certificate_names_its_process_and_lives_14_days(authority: Authority) -> None:
    leaf = verify_leaf(credential(authority, FRA).chain_pem, authority.bundle_pem, NOW)
    assert leaf.identity == FRA
    assert leaf.valid_until - NOW == timedelta(days=14)


def test_hosts_are_added_as_names_and_addresses(authority: Authority) -> None:
    console = Identity("example.net", Role.CONSOLE)
    chain = authority.issue(make_csr(generate_key()), console, NOW, hosts=("isthmus.example.net", "10.0.0.1"))
    names = parse_certificates(chain)[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["console.example.net", "isthmus.example.net"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]


def test_the_chain_holds_the_authority_that_tokens_pin(authority: Authority) -> None:
    chain = parse_certificates(credential(authority, FRA).chain_pem)
    assert [each.subject for each in chain][1] == authority.certificate.subject
    assert chain[1] == authority.certificate


def test_an_authority_is_read_back(authority: Authority) -> None:
    again = Authority.load("example.net", authority.key_pem, authority.bundle_pem)
    assert again.fingerprint == authority.fingerprint
    assert again.verify(credential(authority, FRA).chain_pem, NOW) == FRA


def test_an_older_authority_is_still_trusted(authority: Authority) -> None:
    newer = Authority.create("example.net", NOW)
    rolled = Authority.load("example.net", newer.key_pem, newer.bundle_pem + authority.bundle_pem)
    assert rolled.verify(credential(authority, FRA).chain_pem, NOW) == FRA
    assert rolled.verify(credential(rolled, NYC).chain_pem, NOW) == NYC


def test_key_and_bundle_that_do_not_belong_together_are_refused(authority: Authority) -> None:
    with pytest.raises(CertificateRefused):
        Authority.load("example.net", Authority.create("example.net", NOW).key_pem, authority.bundle_pem)


def test_another_deployments_certificate_is_refused(authority: Authority) -> None:
    stranger = Authority.create("example.net", NOW)
    with pytest.raises(CertificateRefused, match="not by an authority"):
        authority.verify(credential(stranger, FRA).chain_pem, NOW)


@pytest.mark.parametrize("days", [-1, 15])
def test_a_certificate_out_of_its_time_is_refused(authority: Authority, days: int) -> None:
    with pytest.raises(CertificateRefused, match="valid from"):
        authority.verify(credential(authority, FRA).chain_pem, NOW + timedelta(days=days))


def test_another_trust_domain_gets_no_certificate(authority: Authority) -> None:
    with pytest.raises(CertificateRefused):
        authority.issue(make_csr(generate_key()), Identity("other.net", Role.CONSOLE), NOW)


def test_a_damaged_request_gets_no_certificate(authority: Authority) -> None:
    with pytest.raises(CertificateRefused):
        authority.issue(b"not a request", FRA, NOW)


def test_renewal_is_due_from_day_4(authority: Authority) -> None:
    held = credential(authority, FRA)
    assert not held.due(NOW + timedelta(days=3, hours=23))
    assert held.due(NOW + timedelta(days=4))


def test_a_relayed_renewal_gives_the_next_certificate(authority: Authority) -> None:
    held, later, key = credential(authority, FRA), NOW + timedelta(days=4), generate_key()
    identity, chain = authority.renew(held.ask_renewal(make_csr(key), later), later)
    renewed = held.renewed(key, chain, later)
    assert identity == FRA
    assert renewed.leaf.valid_until == later + timedelta(days=14)


def test_a_relay_cannot_put_its_own_request_in_place(authority: Authority) -> None:
    held, own = credential(authority, FRA), make_csr(generate_key())
    request = held.ask_renewal(make_csr(generate_key()), NOW)
    forged = type(request)(request.certificate_pem, own, request.at, request.signature)
    with pytest.raises(CertificateRefused, match="not signed by the key"):
        authority.renew(forged, NOW)


def test_a_relay_cannot_ask_in_another_sites_name(authority: Authority) -> None:
    nyc, fra = credential(authority, NYC), credential(authority, FRA)
    request = make_renewal(fra.certificate_pem, nyc.key, make_csr(generate_key()), NOW)
    with pytest.raises(CertificateRefused, match="not signed by the key"):
        verify_renewal(request, authority.bundle_pem, NOW)


def test_an_old_renewal_is_refused(authority: Authority) -> None:
    request = credential(authority, FRA).ask_renewal(make_csr(generate_key()), NOW)
    with pytest.raises(CertificateRefused, match="clocks"):
        authority.renew(request, NOW + timedelta(minutes=11))


def test_a_renewal_with_an_expired_certificate_is_refused(authority: Authority) -> None:
    later = NOW + timedelta(days=15)
    request = credential(authority, FRA).ask_renewal(make_csr(generate_key()), later)
    with pytest.raises(CertificateRefused, match="valid from"):
        authority.renew(request, later)


def test_a_renewed_chain_must_be_for_the_same_identity_and_key(authority: Authority) -> None:
    held, key = credential(authority, FRA), generate_key()
    with pytest.raises(CertificateRefused, match="not spiffe"):
        held.renewed(key, authority.issue(make_csr(key), NYC, NOW), NOW)
    with pytest.raises(CertificateRefused, match="not for the key"):
        held.renewed(key, authority.issue(make_csr(generate_key()), FRA, NOW), NOW)
