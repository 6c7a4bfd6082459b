"""SPIFFE names: who a process is, on every connection between the planes."""

import re
from dataclasses import dataclass
from enum import StrEnum

from isthmus.identity.error import NameInvalid

DEFAULT_TENANT = "default"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_URI = re.compile(
    r"spiffe://(?P<domain>[a-z0-9.-]+)"
    r"/(?:console|tenant/(?P<tenant>[a-z0-9-]+)/(?P<role>site|region)/(?P<name>[a-z0-9-]+))"
    r"/node/(?P<node>[a-z0-9-]+)"
)


class Role(StrEnum):
    """The plane that a process belongs to."""

    CONSOLE = "console"
    REGION = "region"
    SITE = "site"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """One process of the deployment.

    `tenant` and `name` are empty for the console and DNS labels (RFC 1123, at most 63 characters) for
    regions and sites. `node` tells the processes of one site apart.

    Raises NameInvalid when a part is not of that form, so an Identity that exists is well-formed.
    """

    trust_domain: str
    role: Role
    tenant: str = ""
    name: str = ""
    node: str = "0"

    def __post_init__(self) -> None:
        if len(self.trust_domain) > 200 or not _DOMAIN.fullmatch(self.trust_domain):
            raise NameInvalid(f"{self.trust_domain!r} is not a trust domain: use a DNS name in lower case.")
        if not _LABEL.fullmatch(self.node):
            raise NameInvalid(f"{self.node!r} is not a node name: use a DNS label in lower case.")
        if self.role is Role.CONSOLE:
            if self.tenant or self.name:
                raise NameInvalid("The console has neither a tenant nor a name.")
            return
        for part, text in (("tenant", self.tenant), ("name", self.name)):
            if not _LABEL.fullmatch(text):
                raise NameInvalid(f"{text!r} is not a {part}: use a DNS label in lower case.")

    @property
    def uri(self) -> str:
        """The SPIFFE ID, the URI SAN of the certificate."""
        if self.role is Role.CONSOLE:
            return f"spiffe://{self.trust_domain}/console/node/{self.node}"
        return f"spiffe://{self.trust_domain}/tenant/{self.tenant}/{self.role}/{self.name}/node/{self.node}"

    @property
    def dns_name(self) -> str:
        """The DNS SAN of the certificate, what a TLS client expects of a server with this identity."""
        if self.role is Role.CONSOLE:
            return f"console.{self.trust_domain}"
        if self.role is Role.REGION:
            return f"{self.name}.{self.tenant}.region.{self.trust_domain}"
        return f"{self.node}.{self.name}.{self.tenant}.site.{self.trust_domain}"

    @property
    def subject(self) -> str:
        """The subject of its manifest, as "default/site/fra"; "console" for the console."""
        if self.role is Role.CONSOLE:
            return "console"
        return f"{self.tenant}/{self.role}/{self.name}"


def parse_identity(uri: str) -> Identity:
    """The identity that a SPIFFE ID names. Raises NameInvalid for any other text."""
    match = _URI.fullmatch(uri)
    if match is None:
        raise NameInvalid(f"{uri!r} is not the SPIFFE ID of a console, region or site.")
    role = Role(match["role"] or Role.CONSOLE)
    return Identity(match["domain"], role, match["tenant"] or "", match["name"] or "", match["node"])


def identity_of(subject: str, trust_domain: str, node: str = "0") -> Identity:
    """The identity behind a manifest's subject ("default/site/fra"). Raises NameInvalid."""
    tenant, role, name = parse_subject(subject)
    return Identity(trust_domain, role, tenant, name, node)


def parse_subject(subject: str) -> tuple[str, Role, str]:
    """(tenant, role, name) of a manifest's subject ("default/site/fra"). Raises NameInvalid."""
    parts = subject.split("/")
    if len(parts) != 3 or parts[1] not in (Role.SITE, Role.REGION):
        raise NameInvalid(f"{subject!r} is not a subject: expected tenant/site/name or tenant/region/name.")
    tenant, role, name = parts
    for text in (tenant, name):
        if not _LABEL.fullmatch(text):
            raise NameInvalid(f"{text!r} in {subject!r} is not a DNS label in lower case.")
    return tenant, Role(role), name
