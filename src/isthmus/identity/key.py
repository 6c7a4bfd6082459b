"""Private keys and signing requests. A private key never leaves the machine that made it."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.identity.error import CertificateRefused

PrivateKey = ec.EllipticCurvePrivateKey
PublicKey = ec.EllipticCurvePublicKey


def generate_key() -> PrivateKey:
    """A new ECDSA P-256 key: what Envoy, gRPC and OpenSSL all accept and verify quickly."""
    return ec.generate_private_key(ec.SECP256R1())


def emit_key(key: PrivateKey) -> bytes:
    """PKCS #8 PEM, unencrypted: the file that holds it must be its owner's alone."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def parse_key(pem: bytes) -> PrivateKey:
    """The key in a PEM text. Raises CertificateRefused when it holds no ECDSA private key."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except ValueError as error:
        raise CertificateRefused(f"The private key cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateRefused("The private key is not an ECDSA key.")
    return key


def make_csr(key: PrivateKey) -> bytes:
    """A certificate signing request (PEM) that proves possession of the key.

    It names nobody: the console decides the names, from the token or from the current certificate.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def parse_csr(pem: bytes) -> PublicKey:
    """The public key that a request proves possession of. Raises CertificateRefused."""
    try:
        request = x509.load_pem_x509_csr(pem)
    except ValueError as error:
        raise CertificateRefused(f"The signing request cannot be read: {error}.") from error
    key = request.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CertificateRefused("The signing request is not for an ECDSA P-256 key.")
    if not request.is_signature_valid:
        raise CertificateRefused("The signing request is not signed by its own key.")
    return key


def same_key(one: PublicKey, other: PublicKey) -> bool:
    """Whether both are the same public key."""
    return one.public_numbers() == other.public_numbers()
