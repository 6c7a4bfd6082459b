"""Join tokens: one line that a person carries from the console to a new machine."""

import base64
import json
import secrets
from dataclasses import dataclass
from hashlib import sha256

from isthmus.identity.error import NameInvalid, TokenInvalid
from isthmus.identity.name import DEFAULT_TENANT, Identity, Role

_PREFIX = "isthmus1."


@dataclass(frozen=True, slots=True)
class JoinToken:
    """Where the console is (`urls`), how to know it (`ca_sha256`, hexadecimal), who joins, and the one-time secret."""

    urls: tuple[str, ...]
    ca_sha256: str
    role: Role
    tenant: str
    name: str
    secret: str

    @classmethod
    def create(
        cls, urls: tuple[str, ...], ca_sha256: str, role: Role, name: str, tenant: str = DEFAULT_TENANT
    ) -> "JoinToken":
        """A token with a new secret of 256 bits. The console keeps only its `secret_digest`."""
        return cls(urls, ca_sha256, role, tenant, name, secrets.token_urlsafe(32))

    @property
    def secret_digest(self) -> str:
        """What the console stores in place of the secret."""
        return digest_secret(self.secret)

    def encode(self) -> str:
        """The line of text, "isthmus1." and base64url."""
        document = {
            "urls": list(self.urls),
            "ca": self.ca_sha256,
            "role": str(self.role),
            "tenant": self.tenant,
            "name": self.name,
            "secret": self.secret,
        }
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return _PREFIX + base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_token(text: str) -> JoinToken:
    """The token in a line of text (spaces around it are ignored). Raises TokenInvalid."""
    text = text.strip()
    if not text.startswith(_PREFIX):
        raise TokenInvalid(f"A join token starts with {_PREFIX!r}.")
    coded = text.removeprefix(_PREFIX)
    try:
        document = json.loads(base64.b64decode(coded + "=" * (-len(coded) % 4), altchars=b"-_", validate=True))
        token = JoinToken(
            urls=tuple(_text(url) for url in document["urls"]),
            ca_sha256=_text(document["ca"]),
            role=Role(document["role"]),
            tenant=_text(document["tenant"]),
            name=_text(document["name"]),
            secret=_text(document["secret"]),
        )
        Identity("check", token.role, token.tenant, token.name)
    except (ValueError, KeyError, TypeError, NameInvalid) as error:
        raise TokenInvalid("The join token is damaged: copy it again, as one line.") from error
    if not token.urls or len(token.ca_sha256) != 64:
        raise TokenInvalid("The join token is damaged: copy it again, as one line.")
    return token


def digest_secret(secret: str) -> str:
    """SHA-256 (hexadecimal) of a token's secret. The secret has 256 random bits, so it needs no salt."""
    return sha256(secret.encode()).hexdigest()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
