"""Sealing: a text becomes one that a single site can read, and only in the place that it was sealed for.

The scheme is that of HPKE's base mode (RFC 9180) with X25519, HKDF-SHA256 and ChaCha20-Poly1305, but for one thing: the
sender's one-time key is derived from a seed of the console, the recipient, the place and the text, instead of drawn at
random. So the same text sealed again for the same place is the same bytes, whose hash in a manifest does not change
when a console starts anew. Another text, place or recipient has another one-time key, so no key ever encrypts twice.

A sealed copy tells its reader nothing of who made it: the manifest that names its hash is signed.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from isthmus.identity.error import SealBroken
from isthmus.identity.file import write_file

SEALING_KEY_BYTES = 32
_NONCE = bytes(12)
"""Each derived key encrypts one text."""


@dataclass(frozen=True, slots=True)
class SealingKey:
    """A site's private key for what is sealed to it. It is made when the site joins and never leaves its disk."""

    key: X25519PrivateKey

    @classmethod
    def create(cls) -> "SealingKey":
        """A new key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "SealingKey | None":
        """The key of a file that `save` wrote; None when there is none. Raises OSError, or SealBroken if damaged."""
        try:
            return cls(X25519PrivateKey.from_private_bytes(path.read_bytes()))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise SealBroken(f"The sealing key in {path} is damaged: {error}.") from error

    def save(self, path: Path) -> None:
        """Write the key, readable by its owner alone."""
        write_file(path, self.key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))

    @property
    def public(self) -> bytes:
        """The public key, 32 bytes, for the console."""
        return self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def unseal(self, sealed: str, place: str) -> str:
        """The text that `seal` was given. Raises SealBroken when it is for another site or place, or was changed."""
        try:
            raw = b64decode(sealed, validate=True)
            once, body = raw[:SEALING_KEY_BYTES], raw[SEALING_KEY_BYTES:]
            shared = self.key.exchange(X25519PublicKey.from_public_bytes(once))
            return _cipher(shared, once, self.public).decrypt(_NONCE, body, place.encode()).decode()
        except (Base64Error, ValueError, InvalidTag) as error:
            raise SealBroken("It was not sealed to this site for this place, or was changed on the way.") from error


def sealing_place(subject: str, key: str, field: str) -> str:
    """What a sealed value is bound to: the site, the object and the field."""
    return f"{subject} {key} {field}"


def seal(text: str, place: str, recipient: bytes, seed: bytes) -> str:
    """`text` for the holder of the public key `recipient` (32 bytes), bound to `place`; base64.

    Raises SealBroken for a recipient that is no usable key.
    """
    try:
        public = X25519PublicKey.from_public_bytes(recipient)
        once = X25519PrivateKey.from_private_bytes(_once(text, place, recipient, seed))
        shared = once.exchange(public)
    except ValueError as error:
        raise SealBroken(f"The recipient's sealing key cannot be used: {error}.") from error
    head = once.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    body = _cipher(shared, head, recipient).encrypt(_NONCE, text.encode(), place.encode())
    return b64encode(head + body).decode()


def _once(text: str, place: str, recipient: bytes, seed: bytes) -> bytes:
    mac = hmac.HMAC(seed, hashes.SHA256())
    for part in (b"isthmus sealing v1", recipient, place.encode(), text.encode()):
        mac.update(len(part).to_bytes(8, "big") + part)
    return mac.finalize()


def _cipher(shared: bytes, once: bytes, recipient: bytes) -> ChaCha20Poly1305:
    derived = HKDF(hashes.SHA256(), 32, salt=once + recipient, info=b"isthmus sealing v1").derive(shared)
    return ChaCha20Poly1305(derived)
