"""Credentials on disk, and the TLS contexts made of them."""

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.identity import (
    Authority,
    Credential,
    CredentialDirectory,
    Identity,
    Role,
    TrustList,
    generate_key,
    make_csr,
    parse_leaf_der,
    write_file,
)

FRA = Identity("example.net", Role.SITE, "default", "fra")
EU = Identity("example.net", Role.REGION, "default", "eu")


def make(directory: Path, authority: Authority, identity: Identity) -> CredentialDirectory:
    key = generate_key()
    chain = authority.issue(make_csr(key), identity, datetime.now(UTC))
    store = CredentialDirectory(directory)
    store.save(Credential(key, chain, TrustList(3, authority.bundle_pem, ())))
    return store


async def shake_hands(server: CredentialDirectory, client: CredentialDirectory, name: str) -> str:
    """The server's view of the client: its SPIFFE ID."""
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        seen.set_result(parse_leaf_der(der).identity.uri)
        writer.close()

    listener = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server.server_context())
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client.client_context(), server_hostname=name
        )
        await reader.read()
        writer.close()
        return await asyncio.wait_for(seen, 60)


async def test_two_processes_know_each_other(tmp_path: Path) -> None:
    authority = Authority.create("example.net", datetime.now(UTC))
    region, site = make(tmp_path / "eu", authority, EU), make(tmp_path / "fra", authority, FRA)
    assert await shake_hands(region, site, EU.dns_name) == FRA.uri


async def test_a_server_that_is_somebody_else_is_refused(tmp_path: Path) -> None:
    authority = Authority.create("example.net", datetime.now(UTC))
    region, site = make(tmp_path / "eu", authority, EU), make(tmp_path / "fra", authority, FRA)
    with pytest.raises(ssl.SSLCertVerificationError):
        await shake_hands(region, site, "us.default.region.example.net")


async def test_a_client_of_another_deployment_is_refused(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    region = make(tmp_path / "eu", Authority.create("example.net", now), EU)
    site = make(tmp_path / "fra", Authority.create("example.net", now), FRA)
    with pytest.raises(ssl.SSLError):
        await shake_hands(region, site, EU.dns_name)


def test_a_saved_credential_is_read_back(tmp_path: Path) -> None:
    authority = Authority.create("example.net", datetime.now(UTC))
    store = make(tmp_path / "fra", authority, FRA)
    credential = store.load()
    assert credential.identity == FRA
    assert credential.trust == TrustList(3, authority.bundle_pem, ())
    store.save(credential.trusting(TrustList(4, authority.bundle_pem, ())))
    assert (store.load().trust.version, store.load().key_pem) == (4, credential.key_pem)


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"old")
    write_file(path, b"new", mode=0o640)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
