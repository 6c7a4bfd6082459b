"""ACME (RFC 8555): how a certificate is asked for, and what the console has got of it."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from isthmus.model.object import Frozen, Reference, Use
from isthmus.model.private import Private
from isthmus.model.reference import resolve
from isthmus.model.value import PositiveDuration

_DNS_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_DIRECTORY = re.compile(r"https://[^\s/?#@]+(/[^\s?#]*)?(\?[^\s#]*)?")
_ADDRESS = re.compile(r"[^\s@,<>]+@[^\s@,<>]+\.[^\s@,<>]+")
ChallengeType = Literal["HTTP_01", "TLS_ALPN_01"]


def _check_dns_name(value: str) -> str:
    if value.startswith("*."):
        raise ValueError("names with a wildcard need a challenge by DNS, which is not supported; write each name")
    if not _DNS_NAME.fullmatch(value.lower()):
        raise ValueError(f"{value!r} is not a full host name, such as shop.example")
    return value.lower()


def _check_directory(value: str) -> str:
    if not _DIRECTORY.fullmatch(value):
        raise ValueError("must be an https:// address without user name")
    return value


def _check_email(value: str) -> str:
    if not _ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is not a mail address")
    return value


DnsName = Annotated[str, AfterValidator(_check_dns_name)]
"""A full host name, lower-case."""
DirectoryUrl = Annotated[str, Field(max_length=1024), AfterValidator(_check_directory)]
"""Where an ACME server says what it offers."""
Email = Annotated[str, Field(max_length=254), AfterValidator(_check_email)]


class ExternalAccount(Frozen):
    """The account elsewhere that the ACME server wants to know the new one by (RFC 8555, 7.3.4)."""

    key_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")] = Field(
        description="As the server's operator gave it."
    )
    mac_key: Reference = Field(
        description="The Secret with the MAC key, in base64url as the operator gave it. No site gets it."
    )


class AcmeSpec(Frozen):
    """What is asked for, of whom, and how it is proven."""

    domains: tuple[DnsName, ...] = Field(
        min_length=1, max_length=100, description="Host names that the certificate is for; wildcards are not possible."
    )
    directory: DirectoryUrl = Field(
        "https://acme-v02.api.letsencrypt.org/directory",
        description="The ACME server's directory; Let's Encrypt's when left out.",
    )
    terms_of_service_agreed: bool = Field(
        description="That you agree to the server's terms of service; must be `true`."
    )
    challenge: ChallengeType = Field(
        "HTTP_01",
        description="`HTTP_01`: the server asks for a page on port 80 of every name. `TLS_ALPN_01`: it asks for a "
        "handshake on port 443. Sites that serve the certificate answer both.",
    )
    email: Email | None = Field(None, description="Whom the server may write to, of the account.")
    external_account: ExternalAccount | None = Field(
        None, description="What servers need that serve only accounts which they know from elsewhere."
    )
    trusted_authority: Reference | None = Field(
        None,
        description="The TrustedAuthority that the server's own certificate is by; those of the console's system when "
        "left out.",
    )
    key_type: Literal["ECDSA_P256", "RSA_2048"] = Field("ECDSA_P256", description="Kind of private key.")
    renew_before: PositiveDuration | None = Field(
        None, description="How long before it expires it is renewed; a third of its lifetime when left out."
    )

    # each of its field alone, and not of the whole, so that they are told together with what is wrong with the others

    @field_validator("domains")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in value if value.count(name) > 1})
        if twice:
            raise ValueError(f"the same name stands twice: {', '.join(twice)}")
        return value

    @field_validator("terms_of_service_agreed")
    @classmethod
    def _agreed(cls, value: bool) -> bool:
        if not value:
            raise ValueError("the terms of service of the ACME server are yours to agree to; set it to true")
        return value

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The MAC key, then the authority of the server."""
        if self.external_account is not None:
            key = resolve(self.external_account.mac_key, "Secret", tenant, namespace)
            yield Use("spec.acme.externalAccount.macKey", key)
        if self.trusted_authority is not None:
            trusted = resolve(self.trusted_authority, "TrustedAuthority", tenant, namespace)
            yield Use("spec.acme.trustedAuthority", trusted)


class Challenge(Frozen):
    """A question that the ACME server asks about a name, and the answer.

    The answer is no secret: whoever knows the token may ask for it, and it serves nobody but the account.
    """

    type: ChallengeType
    domain: DnsName
    token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
    answer: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,256}$")]


class AcmeState(Frozen):
    """What the console has got.

    Attributes:
        chain: PEM; None until the first was issued.
        private_key: of the chain.
        directory: of the server that issued it; empty when it was no ACME server.
        challenges: what the sites are to answer at the moment.
    """

    chain: str | None = None
    private_key: Private | None = None
    directory: str = ""
    challenges: tuple[Challenge, ...] = ()
