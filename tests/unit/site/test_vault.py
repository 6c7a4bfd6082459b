"""The site's vault: sealed copies in, plain values out, and word of what changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from isthmus.identity import CredentialDirectory, SealingKey, seal, sealing_place
from isthmus.model import ObjectKey, SealedSecret, Secret, sealed_key
from isthmus.model.object import Metadata
from isthmus.model.sealed import SealedSpec
from isthmus.site.vault import Vault

SUBJECT = "default/site/fra"
TOKEN, OTHER = (ObjectKey("default", "Secret", "shop", name) for name in ("token", "other"))


@pytest.fixture
def credentials(tmp_path: Path) -> CredentialDirectory:
    credentials = CredentialDirectory(tmp_path)
    credentials.offered_sealing_key()
    credentials.confirm_sealing_key()
    return credentials


def sealed(key: ObjectKey, text: str, to: SealingKey, subject: str = SUBJECT) -> SealedSecret:
    value = seal(text, sealing_place(subject, str(key), "value"), to.public, b"s" * 32)
    metadata = Metadata(tenant=key.tenant, namespace=key.namespace, name=key.name)
    return SealedSecret(kind="SealedSecret", metadata=metadata, spec=SealedSpec(values={"value": value}))


def copy_key(key: ObjectKey) -> ObjectKey:
    found = sealed_key(key)
    assert found is not None
    return found


def test_values_come_change_and_go_and_watchers_hear_of_it(credentials: CredentialDirectory) -> None:
    key = credentials.sealing_key()
    assert key is not None
    vault, heard = Vault(credentials, SUBJECT), []
    end = vault.watch(heard.append)
    vault.tell(vault.take({copy_key(TOKEN): sealed(TOKEN, "one", key), copy_key(OTHER): sealed(OTHER, "x", key)}))
    assert (vault.value(TOKEN), vault.value(OTHER)) == ("one", "x")
    vault.tell(vault.take({copy_key(TOKEN): sealed(TOKEN, "two", key), copy_key(OTHER): sealed(OTHER, "x", key)}))
    assert vault.value(TOKEN) == "two"
    vault.tell(vault.take({copy_key(TOKEN): None}))
    assert vault.value(TOKEN) is None
    assert heard == [{TOKEN, OTHER}, {TOKEN}, {TOKEN}]
    end()
    vault.tell(vault.take({copy_key(OTHER): None}))
    assert len(heard) == 3


def test_a_copy_that_cannot_be_opened_leaves_the_value_and_says_so(credentials: CredentialDirectory) -> None:
    key = credentials.sealing_key()
    assert key is not None
    vault = Vault(credentials, SUBJECT)
    vault.take({copy_key(TOKEN): sealed(TOKEN, "good", key)})
    for wrong in (
        sealed(TOKEN, "evil", SealingKey.create()),
        sealed(OTHER, "evil", key),
        sealed(TOKEN, "evil", key, "default/site/nyc"),
    ):
        assert vault.take({copy_key(TOKEN): wrong}) == frozenset()
        assert vault.value(TOKEN) == "good"
        assert vault.refusals[TOKEN].code == "not-opened"
        assert "evil" not in str(vault.refusals)
    vault.take({copy_key(TOKEN): sealed(TOKEN, "better", key)})
    assert vault.value(TOKEN) == "better"
    assert not vault.refusals


def test_it_knows_which_values_it_was_given_no_copy_of(credentials: CredentialDirectory) -> None:
    key = credentials.sealing_key()
    assert key is not None
    vault = Vault(credentials, SUBJECT)
    metadata = {"tenant": "default", "namespace": "shop", "name": "token"}
    document = {"kind": "Secret", "metadata": metadata, "spec": {"value": "kept:"}}
    secret = Secret.model_validate_json(json.dumps(document))
    vault.take({TOKEN: secret})
    assert vault.missing == {TOKEN}
    vault.take({copy_key(TOKEN): sealed(TOKEN, "x", key)})
    assert vault.missing == frozenset()
    vault.take({copy_key(TOKEN): None, TOKEN: None})
    assert vault.missing == frozenset()
