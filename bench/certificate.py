"""A certificate for localhost, as clients see it, for every proxy alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bench.world import Document, document


@dataclass(frozen=True, slots=True)
class Issued:
    """PEM of a self-signed certificate (ECDSA, P-256) and its key."""

    chain: str
    key: str

    def write(self, path: Path) -> Path:
        """Both in one file, as nginx and HAProxy take them."""
        path.write_text(self.chain + self.key)
        return path

    def declare(self, name: str) -> Document:
        """The Certificate object."""
        return document("Certificate", name, "bench", chain=self.chain, privateKey=self.key)


def issue(*names: str) -> Issued:
    """A certificate for these names, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Issued(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())
