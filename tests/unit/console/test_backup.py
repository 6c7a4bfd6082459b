"""Backup and restore of a whole deployment."""

import stat
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.console.backup import BackupError, BackupSummary, backup, restore
from isthmus.console.settings import ConsoleSettings
from isthmus.identity import CredentialDirectory, join, parse_token


async def test_a_restored_deployment_goes_on_where_it_was(shop: Any, directory: Path, documents: Any) -> None:
    answer = await shop.ask("POST", "/tokens", {"role": "site", "name": "fra"}, status=201)
    pending = await shop.ask("POST", "/tokens", {"role": "site", "name": "nyc"}, status=201)
    await join(parse_token(answer["token"]), directory / "fra")
    file = directory / "backup.zip"
    summary = backup(shop.state, None, file)
    assert summary == BackupSummary(10, 1, 1, "test.example")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await shop.apply(documents("Site", "ams"))
    await shop.stop()

    restored = directory / "restored"
    before = int(time.time())
    epoch = restore(restored, None, file).epoch
    assert before <= epoch <= time.time(), "restored again later, the same backup is a later epoch"
    assert backup(restored, None, directory / "again.zip") == BackupSummary(10, 1, epoch, "test.example")
    assert restore(directory / "twice", None, directory / "again.zip").epoch > epoch
    for path in ("authority/authority.key", "authority/signing.key"):
        assert stat.S_IMODE((restored / path).stat().st_mode) == 0o600
    assert (restored / "ca.pem").read_bytes() == (shop.state / "ca.pem").read_bytes()
    admin = (shop.state / "admin.token").read_text()
    (restored / "admin.token").write_text(admin)

    second = type(shop)(replace(shop.settings, state=restored))
    await second.start()
    try:
        status = await second.ask("GET", "/status")
        assert (status["epoch"], status["revision"]) == (epoch, 1)
        assert {s["name"]: s["manifest"] for s in status["sites"]} == {
            "fra": {"epoch": epoch, "revision": 1},
            "nyc": {"epoch": epoch, "revision": 1},
        }
        assert [r["revision"] for r in (await second.ask("GET", "/revisions"))["items"]] == [1]
        number = (await second.ask("POST", "/sites", documents("Site", "new"), status=201))["system"]["number"]
        assert number > 3, "the number of a site made after the backup is not given out again"
        authority = second.console.keyring.authority
        from datetime import UTC, datetime

        credential = CredentialDirectory(directory / "fra").load()
        assert authority.verify(credential.chain_pem, datetime.now(UTC)) == credential.identity
        assert "deployment.restored" in [e["action"] for e in (await second.ask("GET", "/audit"))["items"]]
        secret = parse_token(pending["token"]).secret
        body = {"token_secret": secret, "role": "site", "tenant": "default", "name": "nyc", "csr_pem": CSR}
        refused = await second.ask("POST", "/join", body, status=403)
        assert refused["error"]["code"] == "join-token-unknown", "join tokens of before are void"
    finally:
        await second.stop()


async def test_a_restore_never_overwrites(shop: Any, directory: Path) -> None:
    file = directory / "backup.zip"
    backup(shop.state, None, file)
    with pytest.raises(BackupError, match="holds a deployment already"):
        restore(shop.state, None, file)
    database = f"sqlite:///{shop.state}/console.db"
    with pytest.raises(BackupError, match="database holds a deployment already"):
        restore(directory / "new", database, file)
    assert not (directory / "new" / "authority").exists()


async def test_what_is_no_backup_is_refused(shop: Any, directory: Path) -> None:
    with pytest.raises(BackupError, match="does not exist"):
        restore(directory / "new", None, directory / "none.zip")
    (directory / "text.zip").write_text("text")
    with pytest.raises(BackupError, match="not a backup"):
        restore(directory / "new", None, directory / "text.zip")
    with zipfile.ZipFile(directory / "other.zip", "w") as archive:
        archive.writestr("manifest.json", '{"format": 99, "release": "9.9.9"}')
    with pytest.raises(BackupError, match=r"release 9\.9\.9"):
        restore(directory / "new", None, directory / "other.zip")
    with pytest.raises(BackupError, match="holds no deployment"):
        backup(directory / "nothing", None, directory / "x.zip")
    with pytest.raises(BackupError, match="cannot be written"):
        backup(shop.state, None, directory / "no" / "x.zip")


def _csr() -> str:
    from isthmus.identity import generate_key, make_csr

    return make_csr(generate_key()).decode()


CSR = _csr()


def test_settings_know_their_database(directory: Path) -> None:
    assert ConsoleSettings(directory).database_url == f"sqlite:///{directory}/console.db"
    assert ConsoleSettings(directory, database="postgresql://u@h/d").database_url == "postgresql+psycopg://u@h/d"
