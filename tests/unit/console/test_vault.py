"""Private values through a running console: taken in, kept encrypted, given back to nobody."""

from __future__ import annotations

import asyncio
import sqlite3
from base64 import b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.backup import backup, restore
from isthmus.console.cipher import Cipher, Place
from isthmus.console.error import ConsoleError
from isthmus.identity import CredentialDirectory, join, parse_token
from isthmus.model.key import ObjectKey

VALUE = "correct horse battery staple"
TOKEN = ObjectKey("default", "Secret", "default", "token")


def everything(state: Path) -> bytes:
    """All that a console has on disk, but for the key to its secrets."""
    return b"".join(p.read_bytes() for p in state.rglob("*") if p.is_file() and p.name != "secrets.key")


async def kept(console: Any) -> str:
    return (await console.ask("GET", "/namespaces/default/secrets/token"))["spec"]["value"]


async def test_a_value_is_shown_nowhere_and_can_be_applied_again(console: Any, documents: Any) -> None:
    secret = documents("Secret", "token", {"value": VALUE})
    created = await console.apply(secret)
    first = await console.ask("GET", "/namespaces/default/secrets/token")
    assert first["spec"]["value"].startswith("kept:")
    assert len(first["spec"]["value"]) == 37
    for again in (secret, first):
        assert [c["action"] for c in (await console.apply(again))["changes"]] == ["unchanged"]
    changed = await console.apply(documents("Secret", "token", {"value": VALUE + "!"}))
    assert "+  value: kept:" in changed["changes"][0]["diff"]
    second = await kept(console)
    assert second != first["spec"]["value"]
    shown = [created, changed, await console.ask("GET", "/revisions"), await console.ask("GET", "/secrets")]
    shown += [await console.ask("GET", "/audit"), await console.ask("GET", "/status")]
    assert VALUE not in str(shown)
    assert VALUE.encode() not in everything(console.state)
    (plain,) = console.console.deployment.vault.texts(console.console.deployment.records[TOKEN].object).values()
    assert plain == VALUE + "!"


async def test_a_dry_run_and_a_refused_edit_keep_nothing(console: Any, documents: Any) -> None:
    secret = documents("Secret", "token", {"value": VALUE})
    answer = await console.apply(secret, dryRun=True)
    assert [c["action"] for c in answer["changes"]] == ["created"]
    assert VALUE not in str(answer)
    await console.apply(
        secret, documents("Route", "r", {"forward": {"clusters": [{"cluster": {"name": "no"}}]}}), status=422
    )
    assert console.console.deployment.vault._values == {}


async def test_a_fingerprint_stands_only_for_its_own_objects_value(console: Any, documents: Any) -> None:
    await console.apply(documents("Secret", "token", {"value": VALUE}))
    fingerprint = await kept(console)
    for name, value in (("other", fingerprint), ("token", "kept:" + "0" * 32), ("token", "kept:")):
        answer = await console.apply(documents("Secret", name, {"value": value}), status=422)
        assert [d["code"] for d in answer["diagnostics"]] == ["unknown-private-value"]
    await console.apply(documents("Secret", "other", {"value": VALUE}))
    other = (await console.ask("GET", "/namespaces/default/secrets/other"))["spec"]["value"]
    assert other != fingerprint, "nobody learns that two objects hold the same value"


async def test_deleted_and_replaced_values_are_gone(console: Any, documents: Any) -> None:
    await console.apply(documents("Secret", "token", {"value": "one"}), documents("Secret", "gone", {"value": "x"}))
    await console.apply(documents("Secret", "token", {"value": "two"}))
    await console.ask("DELETE", "/namespaces/default/secrets/gone")
    with sqlite3.connect(console.state / "console.db") as database:
        assert [key for (key,) in database.execute("SELECT key FROM private_value")] == [str(TOKEN)]


async def test_a_kept_key_must_fit_a_new_chain(console: Any, documents: Any, pki: Any) -> None:
    old, new = pki.issue("a.example"), pki.issue("a.example")
    spec = {"chain": old.chain, "privateKey": old.private_key}
    await console.apply(documents("Certificate", "web", spec))
    held = await console.ask("GET", "/namespaces/default/certificates/web")
    assert held["status"]["certificate"]["names"] == ["a.example"]
    assert held["status"]["certificate"]["expires"].startswith(f"{old.certificate.not_valid_after_utc:%Y-%m-%dT%H:%M}")
    answer = await console.apply(documents("Certificate", "web", held["spec"] | {"chain": new.chain}), status=422)
    assert [d["code"] for d in answer["diagnostics"]] == ["wrong-private-key"]
    renewed = pki.issue("a.example", "b.example", key=old.key)
    await console.apply(documents("Certificate", "web", held["spec"] | {"chain": renewed.chain}))
    expired = pki.issue("a.example", days=-1)
    spec = {"chain": expired.chain, "privateKey": expired.private_key}
    answer = await console.apply(documents("Certificate", "web", spec), status=422)
    assert [d["code"] for d in answer["diagnostics"]] == ["expired-certificate"]


async def test_values_outlive_a_restart_a_change_of_the_key_and_a_restore(
    console: Any, documents: Any, directory: Path
) -> None:
    await console.apply(documents("Secret", "token", {"value": VALUE}))
    fingerprint = await kept(console)
    key = console.state / "authority" / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    old = Cipher.load(key)
    replace(old, keys={**Cipher.create().keys, **old.keys}).save(key)
    await console.restart()
    assert await kept(console) == fingerprint
    newer = Cipher.load(key)
    replace(newer, keys={newer.key_id: newer.keys[newer.key_id]}).save(key)
    await console.restart()
    await console.apply(documents("Secret", "token", {"value": VALUE}))
    assert await kept(console) == fingerprint
    backup(console.state, None, directory / "backup.zip")
    await console.stop()
    restore(directory / "restored", None, directory / "backup.zip")
    (directory / "restored" / "admin.token").write_text((console.state / "admin.token").read_text())
    second = type(console)(replace(console.settings, state=directory / "restored"))
    await second.start()
    try:
        assert await kept(second) == fingerprint
        record = second.console.deployment.records[TOKEN]
        assert second.console.deployment.vault.texts(record.object) == {"value": VALUE}
    finally:
        await second.stop()


async def test_a_key_elsewhere_stays_out_of_the_backup(settings: Any, documents: Any, directory: Path) -> None:
    from .conftest import Running

    path = directory / "elsewhere.key"
    console = Running(replace(settings, secrets_key=path))
    await console.start()
    try:
        await console.apply(documents("Secret", "token", {"value": VALUE}))
        assert path.exists()
        assert not (console.state / "authority" / "secrets.key").exists()
        backup(console.state, None, directory / "backup.zip")
        assert Cipher.load(path).seed not in (directory / "backup.zip").read_bytes()
    finally:
        await console.stop()
    path.unlink()
    with pytest.raises(ConsoleError, match="the key to them is not in"):
        await Running(replace(settings, secrets_key=path)).start()
    Cipher.create().save(path)
    with pytest.raises(ConsoleError, match="under a key that is not in the key file"):
        await Running(replace(settings, secrets_key=path)).start()


def test_a_value_is_bound_to_its_place_and_a_key_file_to_its_owner(tmp_path: Path) -> None:
    cipher = Cipher.create()
    place = cipher.place(str(TOKEN), "value", VALUE)
    encrypted = cipher.encrypt(place, VALUE)
    assert cipher.decrypt(place, encrypted) == VALUE
    with pytest.raises(ConsoleError, match="was changed in the database"):
        cipher.decrypt(Place("default/Secret/default/other", "value", place.fingerprint), encrypted)
    cipher.save(tmp_path / "k")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(ConsoleError, match="can be read by others"):
        Cipher.load(tmp_path / "k")
    for text in (b"", b"{}", b'{"seed": "AAAA", "keys": []}', b'{"seed": "%s", "keys": []}' % b64encode(bytes(32))):
        (tmp_path / "damaged").write_bytes(text)
        (tmp_path / "damaged").chmod(0o600)
        with pytest.raises(ConsoleError, match="is damaged"):
            Cipher.load(tmp_path / "damaged")


async def joined(console: Any, directory: Path, name: str) -> CredentialDirectory:
    answer = await console.ask("POST", "/tokens", {"role": "site", "name": name}, status=201)
    await join(parse_token(answer["token"]), directory / name)
    return CredentialDirectory(directory / name)


async def test_a_site_tells_its_sealing_key_when_it_joins(shop: Any, directory: Path) -> None:
    credentials = await joined(shop, directory, "fra")
    key = credentials.sealing_key()
    assert key is not None
    vault = shop.console.deployment.vault
    assert vault.sealing_key("default/site/fra") == key.public
    await shop.restart()
    assert shop.console.deployment.vault.sealing_key("default/site/fra") == key.public


async def test_a_site_that_joined_before_tells_it_when_it_renews(shop: Any, directory: Path) -> None:
    from datetime import UTC, datetime

    from isthmus.identity import CertificateRefused, generate_key, make_csr

    credentials = await joined(shop, directory, "fra")
    (directory / "fra" / "sealing.key").unlink()
    offered = credentials.offered_sealing_key()
    assert credentials.offered_sealing_key().public == offered.public, "asked again, the same key is offered"
    request = credentials.load().ask_renewal(make_csr(generate_key()), datetime.now(UTC), offered.public)
    membership, vault = shop.console.membership, shop.console.deployment.vault
    for forged in (
        replace(request, sealing_key=bytes(31) + b"1"),
        replace(request, sealing_signature=request.signature),
    ):
        with pytest.raises(CertificateRefused):
            await membership.renew("default/site/fra", forged)
        assert vault.sealing_key("default/site/fra") != offered.public
    await membership.renew("default/site/fra", request)
    assert vault.sealing_key("default/site/fra") == offered.public
    await asyncio.sleep(0)
    await shop.ask("DELETE", "/namespaces/default/virtualhosts/shop")
    await shop.ask("DELETE", "/sites/fra")
    assert vault.sealing_key("default/site/fra") is None, "whoever bears the name next has to join"
