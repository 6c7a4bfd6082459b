"""Reading certificates: whose they are, until when, and whether an authority of the bundle issued them."""

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.identity.error import CertificateRefused, NameInvalid
from isthmus.identity.key import PublicKey
from isthmus.identity.name import Identity, parse_identity


@dataclass(frozen=True, slots=True)
class Leaf:
    """A process certificate. `valid_from` and `valid_until` are aware UTC times."""

    identity: Identity
    public_key: PublicKey
    valid_from: datetime
    valid_until: datetime
    serial: int


def parse_certificates(pem: bytes) -> list[x509.Certificate]:
    """Every certificate of a PEM text, in order. Raises CertificateRefused when there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CertificateRefused(f"The certificate cannot be read: {error}.") from error


def emit_certificates(certificates: list[x509.Certificate] | tuple[x509.Certificate, ...]) -> bytes:
    """One PEM text of them all, in order."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def parse_leaf(pem: bytes) -> Leaf:
    """The first certificate of a PEM text, without asking who issued it. Raises CertificateRefused."""
    return _leaf(parse_certificates(pem)[0])


def parse_leaf_der(der: bytes) -> Leaf:
    """As `parse_leaf`, of the DER bytes that a TLS socket gives. Raises CertificateRefused."""
    try:
        return _leaf(x509.load_der_x509_certificate(der))
    except ValueError as error:
        raise CertificateRefused(f"The certificate cannot be read: {error}.") from error


def verify_leaf(pem: bytes, bundle: bytes, now: datetime) -> Leaf:
    """The first certificate of `pem`, issued by an authority of `bundle` and valid at `now`.

    Raises CertificateRefused otherwise. Authorities sign leaves directly, so there is no path to build.
    """
    certificate = parse_certificates(pem)[0]
    leaf = _leaf(certificate)
    if not any(_issued(certificate, authority) for authority in parse_certificates(bundle)):
        raise CertificateRefused(f"The certificate of {leaf.identity.uri} is not by an authority of this deployment.")
    if not leaf.valid_from <= now <= leaf.valid_until:
        raise CertificateRefused(
            f"The certificate of {leaf.identity.uri} is valid from {leaf.valid_from:%Y-%m-%d %H:%M} "
            f"to {leaf.valid_until:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}."
        )
    return leaf


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _leaf(certificate: x509.Certificate) -> Leaf:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise CertificateRefused("The certificate has no alternative name, so it is nobody's here.") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CertificateRefused(f"The certificate has {len(uris)} URI names; a process has exactly one.")
    try:
        identity = parse_identity(uris[0])
    except NameInvalid as error:
        raise CertificateRefused(str(error)) from error
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateRefused(f"The key of {identity.uri} is not an ECDSA key.")
    return Leaf(
        identity, key, certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.serial_number
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of the certificate's DER, as 64 hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()
