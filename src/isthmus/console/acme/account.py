"""Accounts at ACME servers, each with a key that is kept as every private value is.

There is one for each namespace, server, mail address and account elsewhere that it is bound to. Namespaces share none:
what a server believes of one's names would let another get certificates for them without a challenge.
"""

from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256

from isthmus.console.acme.request import emit_private_key, make_private_key
from isthmus.console.cipher import Encrypted, Place
from isthmus.console.vault import Vault
from isthmus.model.acme import AcmeSpec
from isthmus.model.key import ObjectKey
from isthmus.model.reference import resolve

_FIELD = "accountKey"
Keep = Callable[[Mapping[Place, Encrypted]], Awaitable[None]]
"""Stores encrypted values."""


def account_place(certificate: ObjectKey, spec: AcmeSpec) -> str:
    """Where the key of the account that a certificate is asked for with is kept, in the form of an object's key."""
    parts = [certificate.namespace, spec.directory, spec.email or ""]
    if spec.external_account is not None:
        secret = resolve(spec.external_account.mac_key, "Secret", certificate.tenant, certificate.namespace)
        parts += [spec.external_account.key_id, secret.namespace]
    digest = sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{certificate.tenant}/AcmeAccount//{digest}"


async def account_key(vault: Vault, keep: Keep, certificate: ObjectKey, spec: AcmeSpec) -> str:
    """PEM of an account's key, made when there is none yet. It is stored before anybody hears of it."""
    place = account_place(certificate, spec)
    known = vault.text_at(place, _FIELD)
    if known is not None:
        return known
    text = emit_private_key(make_private_key("ECDSA_P256"))
    fresh = vault.encrypt(place, _FIELD, text)
    await keep(fresh)
    vault.add(fresh)
    return text
