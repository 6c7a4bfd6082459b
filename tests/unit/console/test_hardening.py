"""What strangers and bad sites send to a running console."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.api.limit import UNKNOWN_BYTES
from isthmus.identity import (
    CertificateRefused,
    Identity,
    RenewalRequest,
    Role,
    generate_key,
    make_csr,
    make_renewal,
    parse_certificates,
)
from isthmus.identity.certificate import emit_certificates

from .visitor import exchange


@pytest.mark.parametrize("path", ["/api/v1/apply", "/api/v1/join"])
async def test_a_stranger_cannot_send_much(console: Any, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    long = await exchange(console, head + b"Content-Length: %d\r\n\r\n" % (UNKNOWN_BYTES + 1))
    assert long.startswith(b"HTTP/1.1 401 ")
    assert b'"code":"unauthenticated"' in long
    chunk = b"%x\r\n" % 8192 + b" " * 8192 + b"\r\n"
    endless = await exchange(
        console, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (UNKNOWN_BYTES // 8192 + 1)
    )
    assert endless.startswith(b"HTTP/1.1 401 ")
    assert b"at most 64 kB" in endless


async def test_who_has_a_token_may_send_much(console: Any, documents: Any) -> None:
    text = "a" * 100
    many = [documents("Site", f"s{n}", description=text) for n in range(UNKNOWN_BYTES // 100)]
    assert len((await console.apply(*many, dryRun=True))["changes"]) == len(many)
    refused = await console.client("wrong").post("/api/v1/apply", json={"documents": many})
    assert refused.status_code == 401


async def test_invented_methods_do_not_fill_the_metrics(console: Any) -> None:
    for number in range(3):
        assert (await console.http.request(f"M{number}", "/api/v1/apply")).status_code == 405
    text = (await console.http.get("/metrics")).text
    assert 'method="M0"' not in text
    assert 'isthmus_api_requests_total{method="other",route="/api/v1/apply",status="405"} 3.0' in text


async def test_refused_joins_fill_neither_audit_nor_disk(shop: Any) -> None:
    csr = make_csr(generate_key()).decode()
    body = {"token_secret": "x", "role": "site", "tenant": "default", "name": "fra", "csr_pem": csr}
    for _ in range(40):
        await shop.ask("POST", "/join", body, status=403)
    found = (await shop.ask("GET", "/audit", params={"limit": 1000}))["items"]
    assert 20 <= len([entry for entry in found if entry["action"] == "join.refused"]) < 40
    assert shop.console.membership.joins["refused"] == 40


async def test_the_database_is_its_owners_alone(shop: Any) -> None:
    files = sorted(shop.state.glob("console.db*"))
    assert [file.name for file in files] == ["console.db", "console.db-shm", "console.db-wal"]
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


async def test_a_database_that_was_open_to_others_is_closed(console: Any, directory: Path) -> None:
    path = console.state / "console.db"
    path.chmod(0o644)
    await console.restart()
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_name_that_is_declared_again_is_not_its_former_holders(shop: Any) -> None:
    authority, membership = shop.console.keyring.authority, shop.console.membership
    identity = Identity("test.example", Role.SITE, "default", "fra")

    def ask(age: timedelta) -> RenewalRequest:
        key, now = generate_key(), datetime.now(UTC)
        chain = authority.issue(make_csr(key), identity, now - age)
        leaf = emit_certificates(parse_certificates(chain)[:1])
        return make_renewal(leaf, key, make_csr(generate_key()), now)

    assert await membership.renew("default/site/fra", ask(timedelta(0)))
    with pytest.raises(CertificateRefused, match="was deleted"):
        await membership.renew("default/site/fra", ask(timedelta(hours=1)))


async def test_a_token_cannot_outlive_the_calendar(console: Any) -> None:
    for role in ("read", "site"):
        await console.ask("POST", "/tokens", {"role": role, "name": "x", "ttlSeconds": 10**18}, status=422)
