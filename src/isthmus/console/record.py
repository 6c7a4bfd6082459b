"""What the store keeps, as values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from isthmus.console.cipher import Encrypted, Place
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.stored import Unreadable

Action = Literal["created", "updated", "deleted"]
Level = Literal["good", "warn", "bad", "info"]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object with the revision of its last change and when (aware, UTC) it was created and changed."""

    object: Object
    revision: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class UnreadableObject:
    """What is stored under a key and cannot be used by this release: `unreadable` says why."""

    body: bytes
    unreadable: Unreadable
    revision: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one object: `object` is its new form, None when deleted; `diff` is for people."""

    key: ObjectKey
    action: Action
    object: Object | None
    diff: str


@dataclass(frozen=True, slots=True)
class SubjectVersion:
    """The version of a subject's manifest, and the regions that it left without having heard of it.

    Of a site that was deleted: the version of the deletion, and the regions that it had.
    """

    epoch: int
    revision: int
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """One revision to be stored, all or nothing.

    Attributes:
        revision: its number.
        at: when (aware, UTC).
        who: name of the token.
        changes: what it changes.
        counters: numbers given out with it, the highest by name.
        subjects: new versions of manifests; None forgets a subject.
        private: private values that are new.
        forgotten: places of private values that are needed no more.
        left: subjects of deleted sites, to which nothing is sealed any more.
    """

    revision: int
    at: datetime
    who: str
    changes: tuple[Change, ...]
    counters: Mapping[str, int] = field(default_factory=dict)
    subjects: Mapping[str, SubjectVersion | None] = field(default_factory=dict)
    private: Mapping[Place, Encrypted] = field(default_factory=dict)
    forgotten: Collection[Place] = ()
    left: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class PastChange:
    """A change as history shows it."""

    key: str
    action: str
    diff: str


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision as history shows it."""

    revision: int
    at: datetime
    who: str
    changes: tuple[PastChange, ...]


@dataclass(frozen=True, slots=True)
class RevisionLine:
    """A revision in a line: its first changes, as (action, key), and how many there are."""

    revision: int
    at: datetime
    who: str
    first: tuple[tuple[str, str], ...]
    changes: int

    @property
    def others(self) -> int:
        """Changes that are not named."""
        return self.changes - len(self.first)


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token without its secret. `digest` is the SHA-256 of the secret."""

    id: str
    digest: str
    role: Literal["admin", "read"]
    name: str
    created_at: datetime
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """A person who signs in with a password. `password` is its Argon2id hash (RFC 9106) in PHC form."""

    name: str
    role: Literal["admin", "read"]
    password: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser without its secret: `digest` is the SHA-256 of that. Of an API token or of an account."""

    digest: str
    token_id: str | None
    account: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class JoinGrant:
    """A one-time token for one site or region. `digest` is the SHA-256 of its secret."""

    digest: str
    tenant: str
    role: Literal["site", "region"]
    name: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    used_by_key: str | None = None


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate that the authority has signed."""

    serial: str
    uri: str
    reason: Literal["console", "join", "renewal"]
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something that was done or refused, beside changes of objects."""

    at: datetime
    who: str
    action: str
    detail: str
    number: int = 0
    """Grows with every entry; given by the store."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was noticed.

    Attributes:
        number: grows with every event.
        at: seconds since 1970.
        level: what it means to people.
        subject: the site or region that it happened to, `default/site/fra`.
        text: a sentence without a final stop.
        key: the object that it is about; empty when it is about the subject itself.
    """

    number: int
    at: float
    level: Level
    subject: str
    text: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class AcmeAttempt:
    """A certificate that could not be got by ACME.

    Attributes:
        key: of the certificate.
        declared: SHA-256 of the declaration that was tried.
        failures: how often in a row.
        error: why, the last time.
        failed_at: when that was (aware, UTC).
        next_at: when it is tried again.
    """

    key: str
    declared: str
    failures: int
    error: str
    failed_at: datetime
    next_at: datetime


def emit_time(moment: datetime) -> str:
    """ISO 8601 in UTC, to the microsecond, so that text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """What `emit_time` gave."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
