"""Bearer tokens of the API: high-entropy secrets of which the store keeps the SHA-256."""

import secrets
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from isthmus.console.record import ApiToken
from isthmus.identity import digest_secret, write_file

ADMIN_FILE = "admin.token"


def create_api_token(
    role: Literal["admin", "read"], name: str, now: datetime, lifetime: timedelta | None = None
) -> tuple[ApiToken, str]:
    """A new token, and its secret to be shown once."""
    secret = f"isthmus-{role}.{secrets.token_urlsafe(32)}"
    expires = now + lifetime if lifetime is not None else None
    return ApiToken(secrets.token_hex(8), digest_secret(secret), role, name, now, expires), secret


def save_admin_token(state: Path, secret: str) -> Path:
    """Write the administrator's token where only its owner can read it."""
    path = state / ADMIN_FILE
    write_file(path, secret.encode() + b"\n")
    return path


class TokenBook:
    """The valid tokens in memory, so that a request costs one hash."""

    def __init__(self, tokens: list[ApiToken]) -> None:
        self._by_digest = {token.digest: token for token in tokens}

    def find(self, secret: str, now: datetime) -> ApiToken | None:
        """The token with a secret, unless there is none or it has expired.

        Looked up by the SHA-256 of 256 random bits: how long that takes tells nothing about a secret.
        """
        token = self._by_digest.get(digest_secret(secret))
        if token is None or (token.expires_at is not None and token.expires_at <= now):
            return None
        return token

    def list(self) -> "list[ApiToken]":
        """Every token, oldest first."""
        return sorted(self._by_digest.values(), key=lambda token: token.created_at)

    def add(self, token: ApiToken) -> None:
        """A new token."""
        self._by_digest[token.digest] = token

    def remove(self, token_id: str) -> None:
        """A token is revoked."""
        self._by_digest = {digest: token for digest, token in self._by_digest.items() if token.id != token_id}
