"""Ed25519 signatures of the console over what sites act on: manifests and the list of trusted keys."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from isthmus.identity.error import SignatureRefused


@dataclass(frozen=True, slots=True)
class Signer:
    """A private signing key of the console. `purpose` of `sign` keeps one kind of bytes from passing as another."""

    key: Ed25519PrivateKey
    key_id: str

    @classmethod
    def create(cls) -> "Signer":
        """A new key."""
        return cls._of(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, pem: bytes) -> "Signer":
        """The key of `private_pem`. Raises SignatureRefused when it is no Ed25519 key."""
        try:
            key = load_pem_private_key(pem, password=None)
        except ValueError as error:
            raise SignatureRefused(f"The signing key cannot be read: {error}.") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise SignatureRefused("The signing key is not an Ed25519 key.")
        return cls._of(key)

    @classmethod
    def _of(cls, key: Ed25519PrivateKey) -> "Signer":
        return cls(key, key_id_of(key.public_key()))

    @property
    def private_pem(self) -> bytes:
        """The private key, for the console's own state and its backup."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_pem(self) -> bytes:
        """The public key, which regions and sites get when they join."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, purpose: str, body: bytes) -> bytes:
        """64 bytes that prove this key signed `body` for `purpose`."""
        return self.key.sign(_signed(purpose, body))


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The public keys whose signatures are believed, by key id."""

    keys: Mapping[str, Ed25519PublicKey]

    def verify(self, purpose: str, body: bytes, signature: bytes, key_id: str) -> None:
        """Returns when a trusted key signed `body` for `purpose`; raises SignatureRefused otherwise."""
        key = self.keys.get(key_id)
        if key is None:
            raise SignatureRefused(f"Signed by the key {key_id!r}, which is not trusted here.")
        try:
            key.verify(signature, _signed(purpose, body))
        except InvalidSignature:
            raise SignatureRefused("The signature is not of these bytes: they were changed on the way.") from None

    @property
    def pems(self) -> tuple[bytes, ...]:
        """The keys as PEM texts, in the order of their ids."""
        return tuple(
            self.keys[key_id].public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            for key_id in sorted(self.keys)
        )


def parse_signing_keys(pems: Iterable[bytes]) -> SigningKeys:
    """The trusted keys of some PEM texts, one key each. Raises SignatureRefused for a text that is none."""
    keys: dict[str, Ed25519PublicKey] = {}
    for pem in pems:
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise SignatureRefused(f"A signing key cannot be read: {error}.") from error
        if not isinstance(key, Ed25519PublicKey):
            raise SignatureRefused("A signing key is not an Ed25519 key.")
        keys[key_id_of(key)] = key
    return SigningKeys(MappingProxyType(keys))


def key_id_of(key: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of the key's SHA-256."""
    return sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _signed(purpose: str, body: bytes) -> bytes:
    return b"isthmus " + purpose.encode() + b" v1\0" + body
