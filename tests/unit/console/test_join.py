"""Joining a running console as sites and regions do, and renewing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.identity import (
    CertificateRefused,
    CredentialDirectory,
    JoinRefused,
    JoinToken,
    Role,
    generate_key,
    join,
    make_csr,
    make_renewal,
    parse_leaf,
    parse_token,
)


async def make_token(console: Any, role: str, name: str, **more: Any) -> JoinToken:
    answer = await console.ask("POST", "/tokens", {"role": role, "name": name, **more}, status=201)
    return parse_token(answer["token"])


async def test_a_site_joins_with_its_token(shop: Any, directory: Path) -> None:
    token = await make_token(shop, "site", "nyc")
    assert token.urls == (f"https://127.0.0.1:{shop.console.port}",)
    membership = await join(token, directory / "nyc")
    assert membership.subject == "default/site/nyc"
    assert membership.trust_domain == "test.example"
    assert membership.own["metadata"]["name"] == "nyc"
    assert [(r.name, r.address, r.port, r.bgp_port) for r in membership.regions] == [
        ("eu", "192.0.2.10", 7443, 7179),
        ("us", "192.0.2.20", 7443, 7179),
    ]
    assert membership.console == ("127.0.0.1", shop.console.stream_port)
    credential = CredentialDirectory(directory / "nyc").load()
    assert credential.identity.uri == "spiffe://test.example/tenant/default/site/nyc/node/0"
    assert timedelta(days=13) < credential.leaf.valid_until - datetime.now(UTC) < timedelta(days=14)
    logged = (await shop.ask("GET", "/identities"))["items"]
    assert [(c["reason"], c["uri"]) for c in logged[:1]] == [("join", credential.identity.uri)]
    audit = [entry["action"] for entry in (await shop.ask("GET", "/audit"))["items"]]
    assert audit == ["join.accepted", "join-token.created"]


async def test_a_token_works_for_one_process_alone(shop: Any, directory: Path) -> None:
    token = await make_token(shop, "region", "eu")
    first = await join(token, directory / "first")
    with pytest.raises(JoinRefused, match="used already") as refused:
        await join(token, directory / "second")
    assert refused.value.code == "join-token-used"
    assert first.regions == ()
    audit = (await shop.ask("GET", "/audit"))["items"]
    assert [(e["action"], e["who"]) for e in audit[:1]] == [("join.refused", "region eu from 127.0.0.1")]


async def test_a_lost_answer_can_be_asked_for_again_by_the_same_key(shop: Any) -> None:
    token = await make_token(shop, "site", "fra")
    csr = make_csr(generate_key()).decode()
    body = {"token_secret": token.secret, "role": "site", "tenant": "default", "name": "fra", "csr_pem": csr}
    one = await shop.ask("POST", "/join", body)
    two = await shop.ask("POST", "/join", body)
    assert parse_leaf(one["chain_pem"].encode()).public_key == parse_leaf(two["chain_pem"].encode()).public_key
    other = {**body, "csr_pem": make_csr(generate_key()).decode()}
    assert (await shop.ask("POST", "/join", other, status=410))["error"]["code"] == "join-token-used"


async def test_an_expired_token_is_refused(shop: Any, directory: Path, until: Any) -> None:
    token = await make_token(shop, "site", "fra", ttlSeconds=1)
    csr = make_csr(generate_key()).decode()

    async def expired() -> bool:
        body = {"token_secret": "x", "role": "site", "tenant": "default", "name": "fra", "csr_pem": csr}
        await shop.ask("POST", "/join", body, status=403)
        return datetime.now(UTC) > made + timedelta(seconds=1.1)

    made = datetime.now(UTC)
    await until(expired, "the token expires")
    with pytest.raises(JoinRefused, match="expired") as refused:
        await join(token, directory / "fra")
    assert refused.value.code == "join-token-expired"
    await shop.ask("POST", "/tokens", {"role": "site", "name": "fra", "ttlSeconds": 604_801}, status=422)


async def test_a_forged_token_is_refused(shop: Any, directory: Path) -> None:
    real = await make_token(shop, "site", "fra")
    forged = JoinToken.create(real.urls, real.ca_sha256, Role.SITE, "fra")
    with pytest.raises(JoinRefused) as refused:
        await join(forged, directory / "forged")
    assert refused.value.code == "join-token-unknown"
    other_site = JoinToken(real.urls, real.ca_sha256, Role.SITE, "default", "nyc", real.secret)
    with pytest.raises(JoinRefused) as refused:
        await join(other_site, directory / "other")
    assert refused.value.code == "join-token-unknown"
    await join(real, directory / "real")  # and is not used up by that
    other_console = JoinToken.create(real.urls, "0" * 64, Role.SITE, "fra")
    with pytest.raises(CertificateRefused, match="not of the deployment"):
        await join(other_console, directory / "pin")


async def test_only_declared_sites_can_join(shop: Any, directory: Path) -> None:
    await shop.ask("POST", "/tokens", {"role": "site", "name": "none"}, status=404)
    await shop.ask("POST", "/sites", {"metadata": {"name": "gone"}}, status=201)
    token = await make_token(shop, "site", "gone")
    await shop.ask("DELETE", "/sites/gone")
    with pytest.raises(JoinRefused) as refused:
        await join(token, directory / "gone")
    assert refused.value.code == "not-declared"


async def test_a_signing_request_must_be_one(shop: Any) -> None:
    token = await make_token(shop, "site", "fra")
    body = {"token_secret": token.secret, "role": "site", "tenant": "default", "name": "fra", "csr_pem": "nonsense"}
    assert (await shop.ask("POST", "/join", body, status=422))["error"]["code"] == "invalid-request"
    await shop.ask("POST", "/join", {**body, "name": "../.."}, status=422)
    await shop.ask("POST", "/join", {**body, "csr_pem": make_csr(generate_key()).decode()})


async def test_a_member_renews_with_its_present_certificate_and_nobody_else(shop: Any, directory: Path) -> None:
    await join(await make_token(shop, "site", "fra"), directory / "fra")
    await shop.ask("POST", "/sites", {"metadata": {"name": "gone"}}, status=201)
    await join(await make_token(shop, "site", "gone"), directory / "gone")
    fra, gone = (CredentialDirectory(directory / name).load() for name in ("fra", "gone"))
    membership = shop.console.membership
    csr = make_csr(generate_key())
    request = make_renewal(fra.certificate_pem, fra.key, csr, datetime.now(UTC))
    chain = await membership.renew("default/site/fra", request)
    assert parse_leaf(chain).identity == fra.identity
    with pytest.raises(CertificateRefused, match="asks for the certificate of default/site/nyc"):
        await membership.renew("default/site/nyc", request)
    await shop.ask("DELETE", "/sites/gone")
    with pytest.raises(CertificateRefused, match="was deleted"):
        await membership.renew(
            "default/site/gone", make_renewal(gone.certificate_pem, gone.key, csr, datetime.now(UTC))
        )
    reasons = [c["reason"] for c in (await shop.ask("GET", "/identities"))["items"]]
    assert reasons == ["renewal", "join", "join", "console"]
