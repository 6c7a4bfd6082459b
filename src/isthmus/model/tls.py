"""TLS parameters: of the connections of clients, and of those to endpoints."""

import ipaddress
import re
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Reference, Use
from isthmus.model.reference import resolve

_SERVER_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*", re.I)
TlsVersion = Literal["TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"]
CipherSuite = Literal[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
]
"""The suites below TLS 1.3 that Envoy has. Those of TLS 1.3 are all good and cannot be chosen."""


class Parameters(Frozen):
    """Versions and suites."""

    min_version: TlsVersion = Field("TLSv1.2", description="Oldest version that is spoken.")
    max_version: TlsVersion = Field("TLSv1.3", description="Newest version that is spoken.")
    cipher_suites: tuple[CipherSuite, ...] = Field(
        (),
        description="Suites of TLS 1.2 and older, best first; Envoy's own choice (forward secrecy and AEAD) when "
        "empty. Those of TLS 1.3 are fixed.",
    )

    @check_whole
    def _versions(self) -> Self:
        if self.min_version > self.max_version:
            raise ValueError("minVersion is newer than maxVersion")
        if self.min_version < "TLSv1.2" and not any(suite.endswith("-SHA") for suite in self.cipher_suites):
            raise ValueError(
                "versions before TLSv1.2 need cipherSuites that they know, for example ECDHE-RSA-AES128-SHA: none is "
                "on by default"
            )
        if self.cipher_suites and self.min_version == "TLSv1.3":
            raise ValueError("the suites of TLSv1.3 cannot be chosen; remove cipherSuites")
        if len(set(self.cipher_suites)) != len(self.cipher_suites):
            raise ValueError("the same suite stands twice in cipherSuites")
        return self


class ClientCertificates(Frozen):
    """Certificates of clients. The application learns of one by the header x-forwarded-client-cert."""

    mode: Literal["optional", "required"] = Field(
        "required",
        description="`required`: clients without a certificate are refused. `optional`: they are taken, but a "
        "certificate that is shown must be by the trusted authority.",
    )
    trusted_authority: Reference = Field(description="The TrustedAuthority whose certificates are believed.")


class DownstreamTls(Parameters):
    """How TLS of clients is terminated."""

    certificates: tuple[Reference, ...] = Field(
        min_length=1,
        max_length=16,
        description="Certificate objects; of several, the first whose names fit what the client asks for.",
    )
    client_certificates: ClientCertificates | None = Field(
        None, description="What is asked of clients; no certificate when left out."
    )
    http3: bool = Field(
        False,
        description="Serve HTTP/3 too, on the UDP port of the same number; clients hear of it by the header alt-svc.",
    )

    @check_whole
    def _quic(self) -> Self:
        if self.http3 and self.client_certificates is not None:
            raise ValueError("Envoy asks no client for a certificate over HTTP/3; remove clientCertificates or http3")
        if self.http3 and self.max_version != "TLSv1.3":
            raise ValueError("HTTP/3 speaks TLSv1.3 alone; raise maxVersion or remove http3")
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """Certificates, then the authority."""
        for index, reference in enumerate(self.certificates):
            yield Use(f"{field}.certificates[{index}]", resolve(reference, "Certificate", tenant, namespace))
        if self.client_certificates is not None:
            trusted = resolve(self.client_certificates.trusted_authority, "TrustedAuthority", tenant, namespace)
            yield Use(f"{field}.clientCertificates.trustedAuthority", trusted)


def _check_server_name(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        pass
    if not _SERVER_NAME.fullmatch(value):
        raise ValueError(f"{value!r} is not a host name or IP address")
    return value.lower()


ServerName = Annotated[str, Field(max_length=253), AfterValidator(_check_server_name)]


class UpstreamTls(Parameters):
    """TLS of the connections to endpoints, which the site of the endpoints makes."""

    sni: ServerName | None = Field(
        None, description="Host name that is asked for in the handshake; none when left out. Not an address."
    )
    subject_names: tuple[ServerName, ...] = Field(
        (),
        max_length=16,
        description="Host names or IP addresses, one of which the endpoint's certificate must be for; `sni` when "
        "empty.",
    )
    trusted_authority: Reference | None = Field(
        None,
        description="The TrustedAuthority whose certificates are believed; those of the site's system when left out.",
    )
    verify: bool = Field(
        True,
        description="Check the endpoint's certificate: issued by a trusted authority, for one of `subjectNames`. With "
        "false, anybody who answers is believed.",
    )
    certificate: Reference | None = Field(
        None, description="The Certificate that is shown to endpoints that ask for one."
    )

    @check_whole
    def _verifiable(self) -> Self:
        if self.sni is not None and _is_address(self.sni):
            raise ValueError("sni must be a host name (RFC 6066); put the address into subjectNames")
        if self.verify and self.sni is None and not self.subject_names:
            raise ValueError("nothing says whom the endpoint's certificate must be for; set sni or subjectNames")
        if not self.verify and (self.subject_names or self.trusted_authority is not None):
            raise ValueError(
                "subjectNames and trustedAuthority mean nothing with verify: false; remove one or the other"
            )
        return self

    def uses(self, tenant: str, namespace: str, field: str) -> Iterator[Use]:
        """The authority, then the certificate."""
        if self.trusted_authority is not None:
            trusted = resolve(self.trusted_authority, "TrustedAuthority", tenant, namespace)
            yield Use(f"{field}.trustedAuthority", trusted)
        if self.certificate is not None:
            yield Use(f"{field}.certificate", resolve(self.certificate, "Certificate", tenant, namespace))


def _is_address(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True
