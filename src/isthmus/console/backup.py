"""A deployment in one file: everything in the store, and the keys. A zip archive, readable by its owner alone: whoever
has it can sign in the deployment's name.

    manifest.json     format, release, when
    tables.json       every row of every table
    authority/…       the keys
"""

import base64
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

from isthmus import __version__
from isthmus.console.database import StoreError
from isthmus.console.error import ConsoleError
from isthmus.console.keyring import Keyring, keyring_files, restore_keyring
from isthmus.console.record import AuditEntry
from isthmus.console.settings import database_url
from isthmus.console.store import Store
from isthmus.identity import write_file

FORMAT = 1
_NUMBERS_SKIPPED = 10_000
"""A restore leaves out so many numbers of each kind: those may have been given out after the backup, and are in use."""


class BackupError(ConsoleError):
    """A backup cannot be made, or not be restored here."""


@dataclass(frozen=True, slots=True)
class BackupSummary:
    """What a backup holds, or what a restore brought back (with the new epoch)."""

    objects: int
    revision: int
    epoch: int
    trust_domain: str


def backup(state: Path, database: str | None, out: Path) -> BackupSummary:
    """Write a backup of the deployment of `state` and `database` to `out`, with mode 0600. The console may run.

    Raises:
        BackupError: there is no deployment, or the file cannot be written.
    """
    if database is None and not (state / "console.db").exists():
        raise BackupError(f"{state} holds no deployment.")
    store = Store.open(database_url(state, database))
    try:
        if store.is_empty():
            raise BackupError("The database holds no deployment.")
        tables = store.dump()
    finally:
        store.close()
    try:
        keys = keyring_files(state)
    except OSError as error:
        raise BackupError(f"The keys in {state / 'authority'} cannot be read: {error.strerror}.") from error
    manifest = {"format": FORMAT, "release": __version__, "at": datetime.now(UTC).isoformat()}
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("tables.json", json.dumps(tables, default=_encode))
        for name, content in keys.items():
            archive.writestr(f"authority/{name}", content)
    try:
        write_file(out, body.getvalue())
    except OSError as error:
        raise BackupError(f"{out} cannot be written: {error.strerror}.") from error
    return _summary(tables)


def restore(state: Path, database: str | None, source: Path) -> BackupSummary:
    """Bring a backup back into an empty state directory and database.

    The epoch grows, so that regions and sites take the restored manifests although their revisions may be lower than
    what they hold. It is the time in seconds: the same backup restored once more is a later epoch than the first time.
    The keys are those of the backup: nobody has to join again.

    Raises:
        BackupError: the file is not a backup, or there is a deployment here already.
    """
    tables, keys = _read(source)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (state / "authority").exists():
        raise BackupError(f"{state} holds a deployment already; restore into an empty directory.")
    store = Store.open(database_url(state, database))
    try:
        if not store.is_empty():
            raise BackupError("The database holds a deployment already; restore into an empty one.")
        facts = {row["name"]: row["value"] for row in tables["fact"]}
        now = datetime.now(UTC)
        epoch = max(int(facts["epoch"]) + 1, int(now.timestamp()))
        restore_keyring(state, keys)
        keyring = Keyring.load(state, facts["trust_domain"])
        if keyring.authority.fingerprint != facts["authority"]:
            raise BackupError(f"{source} is damaged: its authority is of another deployment.")
        keyring.publish(state)
        _raise_epoch(tables, epoch)
        store.load(tables)
        store.add_audit([AuditEntry(now, "restore", "deployment.restored", f"from {source.name}, epoch {epoch}")])
    except (KeyError, ValueError, StoreError) as error:
        raise BackupError(f"{source} cannot be restored: {error}") from error
    finally:
        store.close()
    return _summary(tables)


def _raise_epoch(tables: dict[str, list[dict[str, Any]]], epoch: int) -> None:
    """A new epoch; numbers that may be in use are left out; manifests get new versions, join tokens are void."""
    for row in tables["fact"]:
        if row["name"] == "epoch":
            row["value"] = str(epoch)
    for row in tables["counter"]:
        if row["name"] not in ("revision", "created"):
            row["value"] += _NUMBERS_SKIPPED
    tables["subject"] = []
    tables["join_token"] = []


def _summary(tables: Mapping[str, list[dict[str, Any]]]) -> BackupSummary:
    facts = {row["name"]: row["value"] for row in tables["fact"]}
    counters = {row["name"]: row["value"] for row in tables["counter"]}
    return BackupSummary(len(tables["object"]), counters.get("revision", 0), int(facts["epoch"]), facts["trust_domain"])


def _read(source: Path) -> tuple[dict[str, list[dict[str, Any]]], dict[str, bytes]]:
    try:
        with zipfile.ZipFile(source) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if manifest["format"] != FORMAT:
                raise BackupError(
                    f"{source} was made by release {manifest['release']} in a form that this release cannot read."
                )
            tables = json.loads(archive.read("tables.json"), object_hook=_decode)
            keys = {
                name.removeprefix("authority/"): archive.read(name)
                for name in archive.namelist()
                if name.startswith("authority/")
            }
    except FileNotFoundError as error:
        raise BackupError(f"{source} does not exist.") from error
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise BackupError(f"{source} is not a backup: {error}.") from error
    return tables, keys


def _encode(value: object) -> dict[str, str]:
    if isinstance(value, bytes | memoryview):
        return {"$bytes": base64.b64encode(bytes(value)).decode()}
    raise TypeError(f"no form in a backup for {type(value).__name__}")


def _decode(document: dict[str, Any]) -> Any:
    return base64.b64decode(document["$bytes"]) if set(document) == {"$bytes"} else document
