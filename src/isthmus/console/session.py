"""Signed-in people: passwords, sessions of browsers, one-time codes, and how often anybody may try."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from isthmus.console.record import Account, ApiToken, Session
from isthmus.console.token import TokenBook
from isthmus.identity import digest_secret

SESSION_LIFETIME = timedelta(hours=12)
MOST_CODES = 10
"""Codes of one caller that work at a time; the oldest stop working first."""
CODE_LIFETIME = timedelta(minutes=10)
MOST_SESSIONS = 50
"""Browsers that one caller is signed in with at a time; the oldest are signed out first."""
MOST_TURNS = 60
"""What a caller that may only read can do in an hour of what the audit keeps for ever: sign in, make a code, change the
password."""
MOST_TESTS = 30
"""Tests of alert receivers that a caller, administrator or not, can ask for in a minute: each is a message to somebody
and a line of the audit."""
SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
_PASSES, _LANES, _MEMORY_KIB = 3, 4, 64 * 1024
"""RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes."""

_ONE = threading.Lock()
"""Held while a hash is made: of two at once, each of which waits for OpenSSL's threads, neither ever ends."""

Role = Literal["admin", "read"]


def hash_password(password: str) -> str:
    """The Argon2id hash (RFC 9106) of a password, in PHC form. Takes about a tenth of a second: not for the loop."""
    kdf = Argon2id(salt=secrets.token_bytes(16), length=32, iterations=_PASSES, lanes=_LANES, memory_cost=_MEMORY_KIB)
    with _ONE:
        return kdf.derive_phc_encoded(password.encode())


def verify_password(password: str, encoded: str) -> bool:
    """Whether a password is the one of a hash. As slow as hashing it."""
    try:
        with _ONE:
            Argon2id.verify_phc_encoded(password.encode(), encoded)
    except InvalidKey:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Code:
    token_id: str | None
    account: str | None
    expires_at: datetime


class SessionBook:
    """Accounts, sessions and codes in memory, so that a request costs one hash.

    A session ends with the token or the account that signed in, and has that one's role of now.
    """

    def __init__(self, tokens: TokenBook, accounts: list[Account] = [], sessions: list[Session] = []) -> None:  # noqa: B006 - read only
        self._tokens = tokens
        self._accounts = {account.name: account for account in accounts}
        self._sessions = {session.digest: session for session in sessions}
        self._codes: dict[str, _Code] = {}
        self._turns = Attempts(MOST_TURNS, 3600)
        self.guesses = Attempts(10, 300)
        """At the password of somebody who is signed in, by account."""
        self.tests = Attempts(MOST_TESTS, 60)
        """Of alert receivers, by caller."""

    # Accounts

    def account(self, name: str) -> Account | None:
        """The account of a name."""
        return self._accounts.get(name)

    def accounts(self) -> list[Account]:
        """Every account by name."""
        return [self._accounts[name] for name in sorted(self._accounts)]

    def put_account(self, account: Account) -> None:
        """A new account, or a changed one; sessions under another password end."""
        known = self._accounts.get(account.name)
        if known is not None and known.password != account.password:
            self.end_of(account.name)
        self._accounts[account.name] = account

    def remove_account(self, name: str) -> None:
        """An account is removed, and its sessions end."""
        self._accounts.pop(name, None)
        self.end_of(name)

    # Sessions

    def turn(self, caller: ApiToken, now: datetime) -> float:
        """Take one of the caller's turns (see MOST_TURNS); or the seconds until there is one. Of administrators, who
        can write what they like, nothing is counted."""
        moment = now.timestamp()
        wait = self._turns.wait(caller.id, moment) if caller.role != "admin" else 0.0
        if not wait:
            self._turns.fail(caller.id, moment)
        return wait

    def open(self, caller: ApiToken, now: datetime) -> tuple[Session, str, frozenset[str]]:
        """A session of whoever signed in, the secret of its cookie, and the digests of those that end for it."""
        secret = secrets.token_urlsafe(32)
        account = account_name(caller)
        session = Session(digest_secret(secret), None if account else caller.id, account, now, now + SESSION_LIFETIME)
        if caller.expires_at is not None and caller.expires_at < session.expires_at:
            session = Session(session.digest, session.token_id, account, now, caller.expires_at)
        self._sessions = {digest: each for digest, each in self._sessions.items() if each.expires_at > now}
        own = [each for each in self._sessions.values() if _owner(each) == _owner(session)]
        own.sort(key=lambda each: each.created_at)
        ended = frozenset(each.digest for each in own[: max(0, len(own) + 1 - MOST_SESSIONS)])
        for digest in ended:
            del self._sessions[digest]
        self._sessions[session.digest] = session
        return session, secret, ended

    def find(self, secret: str, now: datetime) -> tuple[Session, ApiToken] | None:
        """The session of a cookie, and who it is of; None when it has ended."""
        session = self._sessions.get(digest_secret(secret))
        if session is None:
            return None
        caller = self._caller(session.token_id, session.account, now)
        if session.expires_at <= now or caller is None:
            del self._sessions[session.digest]
            return None
        return session, caller

    def _caller(self, token_id: str | None, account: str | None, now: datetime) -> ApiToken | None:
        if account is not None:
            known = self._accounts.get(account)
            return caller_of(known) if known is not None else None
        token = next((each for each in self._tokens.list() if each.id == token_id), None)
        return None if token is None or (token.expires_at is not None and token.expires_at <= now) else token

    def end(self, digest: str) -> None:
        """A browser signs out."""
        self._sessions.pop(digest, None)

    def end_of(self, account: str) -> None:
        """Every session of an account ends."""
        self._sessions = {key: each for key, each in self._sessions.items() if each.account != account}

    # Codes

    def add_code(self, caller: ApiToken, now: datetime) -> tuple[str, datetime]:
        """A code that signs in one browser as the caller, once, for a short while; and until when."""
        secret, expires = secrets.token_urlsafe(24), now + CODE_LIFETIME
        account = account_name(caller)
        token = None if account else caller.id
        self._codes = {key: code for key, code in self._codes.items() if code.expires_at > now}
        own = [key for key, code in self._codes.items() if (code.token_id, code.account) == (token, account)]
        for key in own[: 1 - MOST_CODES]:
            del self._codes[key]
        self._codes[digest_secret(secret)] = _Code(token, account, expires)
        return secret, expires

    def use_code(self, secret: str, now: datetime) -> ApiToken | None:
        """Whom a code signs in; it is used up by this."""
        code = self._codes.pop(digest_secret(secret), None)
        if code is None or code.expires_at <= now:
            return None
        return self._caller(code.token_id, code.account, now)


def _owner(session: Session) -> tuple[str | None, str | None]:
    return session.token_id, session.account


def caller_of(account: Account) -> ApiToken:
    """An account as the API knows callers: no secret leads to it."""
    return ApiToken(f"account:{account.name}", "", account.role, account.name, account.created_at)


def account_name(caller: ApiToken) -> str | None:
    """The account that a caller is, if it is one."""
    return caller.id.removeprefix("account:") if caller.id.startswith("account:") else None


def csrf_token(secret: str) -> str:
    """What forms of a session carry: only who sees its pages knows it, and it does not give the cookie away."""
    return sha256(b"csrf:" + secret.encode()).hexdigest()


class Attempts:
    """Failed attempts by key (an address, a name) within a window. Bounded: the oldest keys are forgotten first."""

    def __init__(self, allowed: int, seconds: float, most: int = 10_000) -> None:
        self._allowed = allowed
        self._seconds = seconds
        self._most = most
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, key: str, now: float) -> float:
        """Seconds until the key may try again; 0 when it may now."""
        recent = [moment for moment in self._failed.get(key, ()) if moment > now - self._seconds]
        if len(recent) < self._allowed:
            return 0.0
        return recent[-self._allowed] + self._seconds - now

    def fail(self, key: str, now: float) -> None:
        """An attempt failed."""
        recent = [moment for moment in self._failed.pop(key, ()) if moment > now - self._seconds]
        self._failed[key] = [*recent, now][-self._allowed :]
        while len(self._failed) > self._most:
            self._failed.popitem(last=False)

    def forgive(self, key: str, moment: float) -> None:
        """The attempt that was counted as failed at a moment has succeeded."""
        if moment in self._failed.get(key, ()):
            self._failed[key].remove(moment)

    def forget(self, key: str) -> None:
        """Nothing of the key counts any more."""
        self._failed.pop(key, None)
