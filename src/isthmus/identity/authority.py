"""The deployment's certificate authority. Only the console holds one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from isthmus.identity.certificate import emit_certificates, fingerprint, parse_certificates, verify_leaf
from isthmus.identity.error import CertificateRefused
from isthmus.identity.key import PrivateKey, emit_key, generate_key, parse_csr, parse_key, same_key
from isthmus.identity.name import Identity
from isthmus.identity.renewal import RenewalRequest, verify_renewal

LIFETIME = timedelta(days=14)
"""How long a process certificate is valid."""

AUTHORITY_LIFETIME = timedelta(days=3650)

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of a joining machine may be behind the console's."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A key and its self-signed certificate, and older authorities that are still trusted.

    `Authority.create` makes one, `Authority.load` reads what `key_pem` and `bundle_pem` gave. It does no IO:
    the console keeps both texts where it keeps its state, and the key's file must be its owner's alone.
    """

    trust_domain: str
    key: PrivateKey
    certificate: x509.Certificate
    older: tuple[x509.Certificate, ...] = ()

    @classmethod
    def create(cls, trust_domain: str, now: datetime) -> "Authority":
        """A new authority with a new key, valid for ten years from `now` (an aware time)."""
        key = generate_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Isthmus {trust_domain}"[:64])])
        public = key.public_key()
        identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(identifier, critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(trust_domain, key, certificate)

    @classmethod
    def load(cls, trust_domain: str, key_pem: bytes, bundle_pem: bytes) -> "Authority":
        """The authority of `key_pem`; its certificate is the first of `bundle_pem`, the rest are older ones.

        Raises CertificateRefused when the two do not belong together.
        """
        key = parse_key(key_pem)
        certificate, *older = parse_certificates(bundle_pem)
        public = certificate.public_key()
        if not isinstance(public, type(key.public_key())) or not same_key(public, key.public_key()):
            raise CertificateRefused("The first certificate of the bundle is not of the authority's key.")
        return cls(trust_domain, key, certificate, tuple(older))

    @property
    def key_pem(self) -> bytes:
        """The private key, for the console's own state and its backup."""
        return emit_key(self.key)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate of this authority alone."""
        return emit_certificates((self.certificate,))

    @property
    def bundle_pem(self) -> bytes:
        """The trust bundle: this authority first, then the older ones."""
        return emit_certificates((self.certificate, *self.older))

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the certificate: what a join token pins."""
        return fingerprint(self.certificate)

    def issue(
        self,
        csr_pem: bytes,
        identity: Identity,
        now: datetime,
        lifetime: timedelta = LIFETIME,
        hosts: tuple[str, ...] = (),
    ) -> bytes:
        """A certificate chain (PEM: the leaf, then this authority) for the key of the request.

        The names are `identity`'s SPIFFE ID and DNS name and nothing that the request asks for; `hosts` adds
        names and addresses under which people reach the console. Raises CertificateRefused for a request that
        does not prove possession of its key or an identity of another trust domain.
        """
        if identity.trust_domain != self.trust_domain:
            raise CertificateRefused(f"{identity.uri} is not of the trust domain {self.trust_domain}.")
        public = parse_csr(csr_pem)
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(identity.uri),
            x509.DNSName(identity.dns_name),
            *(_general_name(host) for host in hosts),
        ]
        label = identity.name or str(identity.role)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label)]))
            .issuer_name(self.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(now + lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return emit_certificates((certificate, self.certificate))

    def renew(self, request: RenewalRequest, now: datetime, lifetime: timedelta = LIFETIME) -> tuple[Identity, bytes]:
        """(identity, chain) for a request that the holder of a valid certificate signed, whoever relayed it.

        Raises CertificateRefused. Whether that site or region still exists is the caller's to ask first:
        `verify_renewal` gives its identity.
        """
        identity = verify_renewal(request, self.bundle_pem, now)
        return identity, self.issue(request.csr_pem, identity, now, lifetime)

    def verify(self, chain_pem: bytes, now: datetime) -> Identity:
        """Whose certificate it is. Raises CertificateRefused when it is not by this deployment or not valid."""
        return verify_leaf(chain_pem, self.bundle_pem, now).identity


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
