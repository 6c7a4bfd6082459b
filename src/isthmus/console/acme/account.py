"""Accounts at ACME servers, each with a key that is kept as every private value is.

There is one for each tenant, server, mail address and account elsewhere that it is bound to.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256

from isthmus.console.acme.request import emit_private_key, make_private_key
from isthmus.console.cipher import Encrypted, Place
from isthmus.console.vault import Vault
from isthmus.model.acme import AcmeSpec

_FIELD = "accountKey"
Keep = Callable[[Mapping[Place, Encrypted]], Awaitable[None]]
"""Stores encrypted values."""


def account_place(tenant: str, spec: AcmeSpec) -> str:
    """Where an account's key is kept, in the form of an object's key."""
    parts = [spec.directory, spec.email or ""]
    if spec.external_account is not None:
        parts.append(spec.external_account.key_id)
    digest = sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{tenant}/AcmeAccount//{digest}"


async def account_key(vault: Vault, keep: Keep, tenant: str, spec: AcmeSpec) -> str:
    """PEM of an account's key, made when there is none yet. It is stored before anybody hears of it."""
    place = account_place(tenant, spec)
    known = vault.text_at(place, _FIELD)
    if known is not None:
        return known
    text = emit_private_key(make_private_key("ECDSA_P256"))
    fresh = vault.encrypt(place, _FIELD, text)
    await keep(fresh)
    vault.add(fresh)
    return text
