"""The certificate that answers an ACME server's handshake (RFC 8737).

Its key is made here and now: the server looks at the name and the digest alone, so nothing private has to travel.
"""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTETS = b"\x04\x20"
"""Tag and length of an ASN.1 octet string of 32 bytes."""


def make_challenge(domain: str, answer: str, now: datetime | None = None) -> tuple[str, str]:
    """A self-signed certificate for a domain that holds the digest of an answer, and its key (PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    title = x509.Name([])
    start = (now or datetime.now(UTC)) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=8))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=True)
        .add_extension(
            x509.UnrecognizedExtension(_IDENTIFIER, _OCTETS + sha256(answer.encode()).digest()), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(pem).decode(), private.decode()
