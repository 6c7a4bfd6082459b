"""Renewal: the holder of a certificate asks for the next one, through relays that cannot change the question."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from isthmus.identity.certificate import Leaf, verify_leaf
from isthmus.identity.error import CertificateRefused
from isthmus.identity.key import PrivateKey, parse_csr
from isthmus.identity.name import Identity

DUE_AFTER = 4 / 14
"""The part of a certificate's life after which it is renewed: day 4 of 14."""

FRESHNESS = timedelta(minutes=10)
"""How far a request's time may be from the console's clock."""

_DOMAIN = b"isthmus renewal v1\0"
_SEALING_DOMAIN = b"isthmus sealing key v1\0"
"""Signed apart from the rest, which consoles that know of no sealing verify too."""


@dataclass(frozen=True, slots=True)
class RenewalRequest:
    """`csr_pem` is for the new key; `signature` is by the key of `certificate_pem` over request and time.

    `at` is in seconds since 1970. A relay that puts another CSR in its place cannot sign it.

    `sealing_key` is the public key (32 bytes) that a site's secrets are to be sealed to, with a signature of its own;
    empty when it is not said.
    """

    certificate_pem: bytes
    csr_pem: bytes
    at: int
    signature: bytes
    sealing_key: bytes = b""
    sealing_signature: bytes = b""


def make_renewal(
    certificate_pem: bytes, key: PrivateKey, csr_pem: bytes, now: datetime, sealing_key: bytes = b""
) -> RenewalRequest:
    """The request of the holder of `certificate_pem`, whose key is `key`."""
    at = int(now.timestamp())
    request = RenewalRequest(certificate_pem, csr_pem, at, key.sign(_signed(csr_pem, at), ec.ECDSA(hashes.SHA256())))
    if not sealing_key:
        return request
    signature = key.sign(_signed_sealing(sealing_key, at), ec.ECDSA(hashes.SHA256()))
    return replace(request, sealing_key=sealing_key, sealing_signature=signature)


def verify_renewal(request: RenewalRequest, bundle_pem: bytes, now: datetime) -> Identity:
    """Who asks. Raises CertificateRefused for a certificate, time, signature or CSR that does not hold."""
    leaf = verify_leaf(request.certificate_pem, bundle_pem, now)
    if abs(datetime.fromtimestamp(request.at, UTC) - now) > FRESHNESS:
        raise CertificateRefused(f"The renewal of {leaf.identity.uri} is not from now: compare the clocks.")
    try:
        leaf.public_key.verify(request.signature, _signed(request.csr_pem, request.at), ec.ECDSA(hashes.SHA256()))
        if request.sealing_key:
            sealing = _signed_sealing(request.sealing_key, request.at)
            leaf.public_key.verify(request.sealing_signature, sealing, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise CertificateRefused(
            f"The renewal of {leaf.identity.uri} is not signed by the key of its current certificate."
        ) from None
    parse_csr(request.csr_pem)
    return leaf.identity


def _signed_sealing(sealing_key: bytes, at: int) -> bytes:
    return _SEALING_DOMAIN + at.to_bytes(8, "big") + sealing_key


def renewal_due(leaf: Leaf, now: datetime) -> bool:
    """Whether a certificate has lived long enough to be renewed."""
    return now >= leaf.valid_from + (leaf.valid_until - leaf.valid_from) * DUE_AFTER


def _signed(csr_pem: bytes, at: int) -> bytes:
    return _DOMAIN + at.to_bytes(8, "big") + csr_pem
