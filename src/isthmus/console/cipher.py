"""Encryption at rest: private values under a key that is in a file, and never in the database.

The file holds 32 random bytes as a seed, from which fingerprints and sealing are derived, and one or more encryption
keys of 32 bytes, the first of which encrypts. To change the key, put a new one before it: the next start encrypts
everything anew, and the old one can then go.

A value is encrypted with AES-256-GCM under a random nonce, bound to the object and field that it is of, so that whoever
writes to the database cannot put one value in another's place.
"""

import json
import secrets
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from isthmus.console.error import ConsoleError
from isthmus.identity import write_file

_KEY_BYTES = 32
_NONCE_BYTES = 12


class Place(NamedTuple):
    """Where a private value belongs: object key as text, field of the spec, fingerprint of the value."""

    key: str
    field: str
    fingerprint: str


class Encrypted(NamedTuple):
    """An encrypted value: which key, and nonce with ciphertext."""

    key_id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Cipher:
    """Encrypts with the first key and decrypts with any."""

    seed: bytes
    keys: Mapping[str, bytes]

    @classmethod
    def create(cls) -> "Cipher":
        """New keys."""
        return cls._of(secrets.token_bytes(_KEY_BYTES), [secrets.token_bytes(_KEY_BYTES)])

    @classmethod
    def load(cls, path: Path) -> "Cipher":
        """The keys of a file that `save` wrote.

        Raises:
            ConsoleError: it is missing, damaged, or others than its owner can read it.
        """
        try:
            if path.stat().st_mode & 0o077:
                raise ConsoleError(f"{path} can be read by others than its owner: chmod 600, and change the keys.")
            document = json.loads(path.read_bytes())
            seed, *keys = (b64decode(text, validate=True) for text in (document["seed"], *document["keys"]))
        except FileNotFoundError as error:
            raise ConsoleError(
                f"The database holds private values, but the key to them is not in {path}: copy it from the "
                "deployment's console, or restore a backup."
            ) from error
        except OSError as error:
            raise ConsoleError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, KeyError, TypeError, Base64Error) as error:
            raise ConsoleError(f"{path} is damaged: it holds no keys.") from error
        if not keys or any(len(key) != _KEY_BYTES for key in (seed, *keys)):
            raise ConsoleError(f"{path} is damaged: seed and keys have {_KEY_BYTES} bytes each.")
        return cls._of(seed, keys)

    @classmethod
    def _of(cls, seed: bytes, keys: list[bytes]) -> "Cipher":
        return cls(seed, {sha256(b"isthmus key id" + key).hexdigest()[:16]: key for key in keys})

    def save(self, path: Path) -> None:
        """Write the keys, readable by their owner alone."""
        document = {
            "seed": b64encode(self.seed).decode(),
            "keys": [b64encode(key).decode() for key in self.keys.values()],
        }
        write_file(path, json.dumps(document, indent=1).encode() + b"\n")

    @property
    def key_id(self) -> str:
        """The key that encrypts."""
        return next(iter(self.keys))

    @property
    def sealing_seed(self) -> bytes:
        """What sealing derives one-time keys from, 32 bytes."""
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"isthmus sealing seed").derive(self.seed)

    def place(self, key: str, field: str, text: str) -> Place:
        """Where a value belongs. The fingerprint says nothing about the value to those without the seed."""
        derived = HKDF(hashes.SHA256(), 32, salt=None, info=b"isthmus fingerprint").derive(self.seed)
        mac = hmac.HMAC(derived, hashes.SHA256())
        for part in (key.encode(), field.encode(), text.encode()):
            mac.update(len(part).to_bytes(8, "big") + part)
        return Place(key, field, mac.finalize()[:16].hex())

    def encrypt(self, place: Place, text: str) -> Encrypted:
        """Encrypt a value for its place."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        body = AESGCM(self.keys[self.key_id]).encrypt(nonce, text.encode(), _bound(place))
        return Encrypted(self.key_id, nonce + body)

    def decrypt(self, place: Place, encrypted: Encrypted) -> str:
        """The value.

        Raises:
            ConsoleError: the key is not among these, or the value was not encrypted for this place.
        """
        key = self.keys.get(encrypted.key_id)
        if key is None:
            raise ConsoleError(f"{place.key} {place.field} is encrypted under a key that is not in the key file.")
        nonce, body = encrypted.body[:_NONCE_BYTES], encrypted.body[_NONCE_BYTES:]
        try:
            return AESGCM(key).decrypt(nonce, body, _bound(place)).decode()
        except (InvalidTag, ValueError) as error:
            raise ConsoleError(f"{place.key} {place.field} was changed in the database.") from error


def _bound(place: Place) -> bytes:
    return "\0".join(("isthmus private value v1", *place)).encode()
