"""What goes into an order: a new key, and the request for a certificate of it (PKCS #10)."""

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def make_private_key(key_type: str) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    """A new key, `ECDSA_P256` or `RSA_2048`."""
    if key_type == "RSA_2048":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def emit_private_key(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    """The key as PEM (PKCS #8), unencrypted."""
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()


def make_request(domains: Iterable[str], key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """The request as PEM."""
    names = x509.SubjectAlternativeName([x509.DNSName(each) for each in domains])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
