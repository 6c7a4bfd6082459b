"""Who a process is: SPIFFE names, keys, certificates, signatures, join tokens, joining, renewal.

Imports nothing else of Isthmus. Times are arguments, aware and in UTC. Everything refused is an IdentityError
whose text is a sentence for people.
"""

from isthmus.identity.authority import AUTHORITY_LIFETIME, CLOCK_SKEW, LIFETIME, Authority
from isthmus.identity.certificate import Leaf, fingerprint, parse_certificates, parse_leaf, parse_leaf_der, verify_leaf
from isthmus.identity.credential import Credential, CredentialDirectory, TrustList
from isthmus.identity.error import (
    CertificateRefused,
    CredentialMissing,
    IdentityError,
    JoinRefused,
    JoinUnreachable,
    NameInvalid,
    SealBroken,
    SignatureRefused,
    TokenInvalid,
)
from isthmus.identity.file import write_file
from isthmus.identity.join import Membership, RegionAddress, join, load_membership, parse_membership
from isthmus.identity.key import PrivateKey, emit_key, generate_key, make_csr, parse_csr, parse_key
from isthmus.identity.name import DEFAULT_TENANT, Identity, Role, identity_of, parse_identity, parse_subject
from isthmus.identity.renewal import RenewalRequest, make_renewal, renewal_due, verify_renewal
from isthmus.identity.sealing import SEALING_KEY_BYTES, SealingKey, seal, sealing_place
from isthmus.identity.signature import Signer, SigningKeys, parse_signing_keys
from isthmus.identity.token import JoinToken, digest_secret, parse_token

__all__ = [
    "AUTHORITY_LIFETIME",
    "CLOCK_SKEW",
    "DEFAULT_TENANT",
    "LIFETIME",
    "SEALING_KEY_BYTES",
    "Authority",
    "CertificateRefused",
    "Credential",
    "CredentialDirectory",
    "CredentialMissing",
    "Identity",
    "IdentityError",
    "JoinRefused",
    "JoinToken",
    "JoinUnreachable",
    "Leaf",
    "Membership",
    "NameInvalid",
    "PrivateKey",
    "RegionAddress",
    "RenewalRequest",
    "Role",
    "SealBroken",
    "SealingKey",
    "SignatureRefused",
    "Signer",
    "SigningKeys",
    "TokenInvalid",
    "TrustList",
    "digest_secret",
    "emit_key",
    "fingerprint",
    "generate_key",
    "identity_of",
    "join",
    "load_membership",
    "make_csr",
    "make_renewal",
    "parse_certificates",
    "parse_csr",
    "parse_identity",
    "parse_key",
    "parse_leaf",
    "parse_leaf_der",
    "parse_membership",
    "parse_signing_keys",
    "parse_subject",
    "parse_token",
    "renewal_due",
    "seal",
    "sealing_place",
    "verify_leaf",
    "verify_renewal",
    "write_file",
]
