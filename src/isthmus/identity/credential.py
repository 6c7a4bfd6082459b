"""What a process proves itself with and whom it trusts, kept in one directory.

identity.pem   private key and certificate chain in one file, so that they never disagree; mode 0600
trust.json     trust bundle and signing keys with their version
sealing.key    of a site: the private key for what is sealed to it, once the console knows the public one
"""

import contextlib
import json
import ssl
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from isthmus.identity.certificate import Leaf, emit_certificates, parse_certificates, parse_leaf, verify_leaf
from isthmus.identity.error import CertificateRefused, CredentialMissing
from isthmus.identity.file import write_file
from isthmus.identity.key import PrivateKey, emit_key, generate_key, parse_key, same_key
from isthmus.identity.name import Identity
from isthmus.identity.renewal import RenewalRequest, make_renewal, renewal_due
from isthmus.identity.sealing import SealingKey
from isthmus.identity.signature import SigningKeys, parse_signing_keys

_END = b"-----END PRIVATE KEY-----\n"
_PENDING_SEALING = "sealing.pending"


@dataclass(frozen=True, slots=True)
class TrustList:
    """Whom a process believes: authorities (PEM texts in one) and signing keys (one PEM text each).

    `version` only grows; a list with a lower one is an old message.
    """

    version: int
    bundle_pem: bytes
    signing_keys: tuple[bytes, ...]


@dataclass(frozen=True)
class Credential:
    """A private key, its certificate chain (PEM) and the trust list. Never changes; a renewal makes another one."""

    key: PrivateKey
    chain_pem: bytes
    trust: TrustList

    @cached_property
    def leaf(self) -> Leaf:
        """The process's own certificate."""
        return parse_leaf(self.chain_pem)

    @property
    def identity(self) -> Identity:
        """Who this process is."""
        return self.leaf.identity

    @cached_property
    def key_pem(self) -> bytes:
        """The private key as PEM, for Envoy and gRPC, which take it from memory."""
        return emit_key(self.key)

    @property
    def certificate_pem(self) -> bytes:
        """The process's own certificate without the authority's."""
        return emit_certificates([parse_certificates(self.chain_pem)[0]])

    @property
    def bundle_pem(self) -> bytes:
        """The certificates of the trusted authorities."""
        return self.trust.bundle_pem

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """The keys whose manifests are believed."""
        return parse_signing_keys(self.trust.signing_keys)

    def due(self, now: datetime) -> bool:
        """Whether the certificate is to be renewed at `now`."""
        return renewal_due(self.leaf, now)

    def ask_renewal(self, csr_pem: bytes, now: datetime, sealing_key: bytes = b"") -> RenewalRequest:
        """The request for a certificate for the key behind `csr_pem`, signed by the current key.

        With a site's public `sealing_key` it says too what the site's secrets are to be sealed to.
        """
        return make_renewal(self.certificate_pem, self.key, csr_pem, now, sealing_key)

    def renewed(self, key: PrivateKey, chain_pem: bytes, now: datetime) -> "Credential":
        """This credential with the next key and chain.

        Raises CertificateRefused unless a trusted authority issued the chain for the same identity and this key.
        """
        leaf = verify_leaf(chain_pem, self.bundle_pem, now)
        if leaf.identity != self.identity:
            raise CertificateRefused(f"The new certificate is {leaf.identity.uri}'s, not {self.identity.uri}'s.")
        if not same_key(leaf.public_key, key.public_key()):
            raise CertificateRefused("The new certificate is not for the key that was asked for.")
        return Credential(key, chain_pem, self.trust)

    def trusting(self, trust: TrustList) -> "Credential":
        """This credential with another trust list. The caller has verified its signature."""
        return replace(self, trust=trust)


class CredentialDirectory:
    """A credential on disk. `load` and `save` block for one fsync; their errors are OSError."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._identity = directory / "identity.pem"
        self._trust = directory / "trust.json"

    @property
    def exists(self) -> bool:
        """Whether this process has joined."""
        return self._identity.exists() and self._trust.exists()

    def load(self) -> Credential:
        """The credential. Raises CredentialMissing before the process has joined, CertificateRefused if damaged."""
        if not self.exists:
            raise CredentialMissing(f"{self.directory} holds no identity: start once with a join token.")
        key_pem, end, chain_pem = self._identity.read_bytes().partition(_END)
        document = json.loads(self._trust.read_bytes())
        trust = TrustList(
            int(document["version"]),
            str(document["bundle"]).encode(),
            tuple(str(key).encode() for key in document["signingKeys"]),
        )
        return Credential(parse_key(key_pem + end), chain_pem, trust)

    def save(self, credential: Credential) -> None:
        """Writes the credential; the trust list first, so that `exists` means complete."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        trust = {
            "version": credential.trust.version,
            "bundle": credential.trust.bundle_pem.decode(),
            "signingKeys": [key.decode() for key in credential.trust.signing_keys],
        }
        write_file(self._trust, json.dumps(trust, indent=1, sort_keys=True).encode() + b"\n")
        write_file(self._identity, credential.key_pem + credential.chain_pem)

    def pending_key(self) -> PrivateKey:
        """The key of a join under way, made and kept on first use: a join that is tried again asks for the same key."""
        path = self.directory / "pending.pem"
        if path.exists():
            return parse_key(path.read_bytes())
        key = generate_key()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(path, emit_key(key))
        return key

    def forget_pending_key(self) -> None:
        """Removes the key of a join that is done."""
        (self.directory / "pending.pem").unlink(missing_ok=True)

    def sealing_key(self) -> SealingKey | None:
        """The key that the console seals to; None as long as it was told none. Raises SealBroken if it is damaged."""
        return SealingKey.load(self.directory / "sealing.key")

    def offered_sealing_key(self) -> SealingKey:
        """The key to tell the console: the one that it knows, or a new one, kept until it does."""
        known = self.sealing_key() or SealingKey.load(self.directory / _PENDING_SEALING)
        if known is None:
            known = SealingKey.create()
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            known.save(self.directory / _PENDING_SEALING)
        return known

    def confirm_sealing_key(self) -> None:
        """The console knows the key that was offered."""
        with contextlib.suppress(FileNotFoundError):
            (self.directory / _PENDING_SEALING).replace(self.directory / "sealing.key")

    def server_context(self) -> ssl.SSLContext:
        """TLS 1.3 as server that demands a certificate of a trusted authority; whose it is, the caller checks."""
        return self._context(ssl.PROTOCOL_TLS_SERVER)

    def client_context(self) -> ssl.SSLContext:
        """TLS 1.3 as client with the own certificate; pass the peer's `Identity.dns_name` as server_hostname."""
        return self._context(ssl.PROTOCOL_TLS_CLIENT)

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self._identity)
        context.load_verify_locations(cadata=self.load().bundle_pem.decode())
        return context
