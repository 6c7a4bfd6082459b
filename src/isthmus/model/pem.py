"""Certificates and private keys as PEM text (RFC 7468): what Envoy takes of them, and which names they are for."""

from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import AfterValidator

_LEAST_RSA_BITS = 2048
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_LONGEST = 256 * 1024


@lru_cache(maxsize=4096)
def parse_pem_certificates(text: str) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, in its order.

    Raises:
        ValueError: there is none, or one cannot be read; the text says why and never quotes the PEM.
    """
    if "PRIVATE KEY-----" in text:
        raise ValueError("holds a private key: it would be shown to everybody who may read objects; take it out")
    if len(text) > _LONGEST:
        raise ValueError(f"must have at most {_LONGEST} characters")
    try:
        return tuple(x509.load_pem_x509_certificates(text.encode()))
    except ValueError:
        raise ValueError(
            "is not PEM of certificates: it needs -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"
        ) from None


def check_chain(text: str) -> str:
    """Check a server's or client's chain: the leaf first, each certificate issued by the next, keys that Envoy takes.

    Raises:
        ValueError: what is wrong, and how to mend it.
    """
    leaf, *issuers = parse_pem_certificates(text)
    _check_strength(leaf)
    _names_of(leaf)
    issued = leaf
    for number, issuer in enumerate(issuers, 2):
        try:
            issued.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise ValueError(
                f"certificate {number} did not issue certificate {number - 1}: put the own certificate first, then the "
                "one that issued it, and so on"
            ) from None
        issued = issuer
    return text


def _check_strength(certificate: x509.Certificate) -> None:
    key = _public_key(certificate)
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise ValueError(f"the RSA key has {key.key_size} bits, fewer than {_LEAST_RSA_BITS}")
    elif not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVES):
        raise ValueError("the key is neither RSA nor ECDSA P-256, P-384 or P-521, which is what Envoy takes")
    try:
        weak = isinstance(certificate.signature_hash_algorithm, _WEAK_HASHES)
    except UnsupportedAlgorithm:
        weak = True
    if weak and certificate.issuer != certificate.subject:
        raise ValueError("the certificate is signed with MD5 or SHA-1, which no client takes")


def check_key(text: str, chain: str) -> None:
    """Check that a private key is the one of a chain's first certificate.

    Raises:
        ValueError: it is not, or cannot be read; the text never quotes the key.
    """
    if "ENCRYPTED" in text.partition("\n\n")[0]:
        raise ValueError("the private key is encrypted with a password; decrypt it first (openssl pkey)")
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not PEM of a private key") from None
    raw = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = key.public_key().public_bytes(*raw)
    chain_keys = [_public_key(certificate).public_bytes(*raw) for certificate in parse_pem_certificates(chain)]
    if public == chain_keys[0]:
        return
    if public in chain_keys:
        raise ValueError("is the key of another certificate of the chain than the first; put that one first")
    raise ValueError("is not the key of the certificate")


def _public_key(certificate: x509.Certificate) -> Any:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("the certificate is for a kind of key that Envoy does not take") from None


def certificate_names(text: str) -> tuple[str, ...]:
    """The DNS names and IP addresses that a chain's first certificate is for, lower-case; none of one that cannot be
    read."""
    try:
        return _names_of(parse_pem_certificates(text)[0])
    except ValueError:
        return ()


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise ValueError("the extensions of the certificate cannot be read") from None
    found = [each.lower() for each in names.get_values_for_type(x509.DNSName)]
    return (*found, *(str(each) for each in names.get_values_for_type(x509.IPAddress)))


def certificate_expiry(text: str) -> datetime:
    """Until when every certificate of a chain is valid (aware, UTC)."""
    return min(certificate.not_valid_after_utc for certificate in parse_pem_certificates(text))


def covers(names: tuple[str, ...], domain: str) -> bool:
    """Whether a certificate for `names` is one for `domain`, which may begin with `*.` (RFC 9525, section 6.3)."""
    host = domain.partition(":")[0]
    if host in names:
        return True
    first, _, rest = host.partition(".")
    return bool(rest) and first != "*" and f"*.{rest}" in names


def _check_certificates(text: str) -> str:
    parse_pem_certificates(text)
    return text


Certificates = Annotated[str, AfterValidator(_check_certificates)]
"""PEM of one or more certificates."""
Chain = Annotated[str, AfterValidator(check_chain)]
"""PEM of a certificate and those that issued it, in order."""
