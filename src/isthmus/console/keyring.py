"""The deployment's private keys: files of `{state}/authority`, readable by their owner alone.

    authority.key, authority.pem    the certificate authority; the PEM is the trust bundle, this authority first
    signing.key                     the Ed25519 key that signs manifests
    secrets.key                     the key to the private values in the database, unless it is kept elsewhere

They stay in files with PostgreSQL too, so that whoever reads the database cannot sign in the deployment's name. A
second console on the same database is given a copy of the directory.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from isthmus.console.error import ConsoleError
from isthmus.identity import Authority, IdentityError, Signer, TrustList, write_file

_NAMES = ("authority.key", "authority.pem", "signing.key")
SECRETS_KEY = "secrets.key"


@dataclass(frozen=True, slots=True)
class Keyring:
    """The authority and the signer. `trust_version` grows with every change of what is to be trusted."""

    authority: Authority
    signer: Signer
    trust_version: int = 1

    @classmethod
    def create(cls, trust_domain: str, now: datetime) -> "Keyring":
        """New keys for a new deployment."""
        return cls(Authority.create(trust_domain, now), Signer.create())

    @classmethod
    def load(cls, state: Path, trust_domain: str) -> "Keyring":
        """The keys in a state directory.

        Raises:
            ConsoleError: they are missing or damaged.
        """
        directory = state / "authority"
        try:
            key, bundle, signing = ((directory / name).read_bytes() for name in _NAMES)
            return cls(Authority.load(trust_domain, key, bundle), Signer.load(signing))
        except FileNotFoundError as error:
            raise ConsoleError(
                f"The database belongs to the deployment {trust_domain}, whose authority is not in {directory}: "
                "copy that directory from its console, or restore a backup."
            ) from error
        except IdentityError as error:
            raise ConsoleError(f"The keys in {directory} cannot be used: {error}") from error

    def save(self, state: Path) -> None:
        """Write the keys, and the public trust bundle beside the directory as ca.pem."""
        directory = state / "authority"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(directory / "signing.key", self.signer.private_pem)
        write_file(directory / "authority.key", self.authority.key_pem)
        write_file(directory / "authority.pem", self.authority.bundle_pem)
        self.publish(state)

    def publish(self, state: Path) -> None:
        """Write the trust bundle where people find it."""
        write_file(state / "ca.pem", self.authority.bundle_pem, 0o644)

    @property
    def trust(self) -> TrustList:
        """What regions and sites are to believe."""
        return TrustList(self.trust_version, self.authority.bundle_pem, (self.signer.public_pem,))


def keyring_files(state: Path) -> dict[str, bytes]:
    """The files of a keyring, for a backup. A key to the private values that is kept elsewhere is not among them."""
    directory = state / "authority"
    names = (*_NAMES, SECRETS_KEY) if (directory / SECRETS_KEY).exists() else _NAMES
    return {name: (directory / name).read_bytes() for name in names}


def restore_keyring(state: Path, files: dict[str, bytes]) -> None:
    """Put the files of a backup back in place."""
    directory = state / "authority"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _NAMES:
        write_file(directory / name, files[name])
    if SECRETS_KEY in files:
        write_file(directory / SECRETS_KEY, files[SECRETS_KEY])
