"""The shapes of answers. Objects themselves are given as they were declared: see the object reference."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from isthmus.console.session import LONGEST_PASSWORD, SHORTEST_PASSWORD
from isthmus.model.diagnostic import Diagnostic


class Answer(BaseModel):
    """Base: camelCase outside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class DiagnosticAnswer(Answer):
    """One error of an object."""

    code: str
    object: str | None = Field(description="`default/Cluster/shop/web`; null when a document could not be identified.")
    field: str
    message: str
    mend: str


class ErrorBody(Answer):
    """What went wrong."""

    code: str
    message: str


class ErrorAnswer(Answer):
    """Every error of the API."""

    error: ErrorBody
    diagnostics: list[DiagnosticAnswer] = []


class ChangeAnswer(Answer):
    """What happened to an object."""

    key: str
    action: Literal["created", "updated", "unchanged", "deleted"]
    diff: str = ""


class ApplyRequest(Answer):
    """A set of documents, applied all or nothing."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    documents: list[Any] = []
    delete: list[str] = Field([], description="Keys of objects to delete in the same revision.")
    dry_run: bool = False


class ApplyAnswer(Answer):
    """What an apply did, or would do."""

    revision: int = Field(description="The newest revision afterwards.")
    dry_run: bool
    changes: list[ChangeAnswer]
    diagnostics: list[DiagnosticAnswer] = []


class RevisionAnswer(Answer):
    """One revision of the deployment."""

    revision: int
    at: str
    who: str
    changes: list[ChangeAnswer]


class RevisionList(Answer):
    """Revisions, newest first."""

    items: list[RevisionAnswer]


class VersionAnswer(Answer):
    """The version of a manifest."""

    epoch: int
    revision: int


class RejectionAnswer(Answer):
    """An object that a site could not use; its last good version serves on."""

    object: str
    code: str
    field: str
    message: str


class Delivery(Answer):
    """How it goes with a receiver of telemetry. Times are seconds since 1970."""

    target: str = Field(description="Where it is sent to; empty when nothing is sent any more.")
    since: float | None = Field(description="Since when, with the settings of now.")
    delivered: int = Field(description="Records, spans and points that the receiver took.")
    waiting: int = Field(description="Those that wait.")
    waiting_bytes: int
    lost: dict[str, int] = Field(description="Those that it will never get, by reason.")
    lost_at: float | None
    error: str = Field(description="Why the last try failed; empty when it did not.")
    error_since: float | None


class SignalStatus(Delivery):
    """Logs or metrics of a process itself, on their way to a collector."""

    signal: str
    delivered_at: float | None = Field(description="When the collector last took something.")


class RegionStatus(Answer):
    """What is known of a region."""

    name: str
    connected: bool
    since: float | None = Field(description="Seconds since 1970.")
    release: str | None
    manifest: VersionAnswer | None
    applied: VersionAnswer | None
    lag_seconds: float = Field(description="How long it has not used its newest manifest; 0 when it does.")
    sites: int = Field(description="Sites that name it.")
    otlp: list[SignalStatus] = Field([], description="What it sends of itself to a collector (`--otlp`).")
    status: Any = None


class SiteStatus(Answer):
    """What is known of a site."""

    name: str
    regions: list[str]
    connected: bool
    via: list[str] = Field(description="The regions through which it is connected now.")
    manifest: VersionAnswer | None
    applied: VersionAnswer | None
    applied_at: float | None
    lag_seconds: float = Field(description="How long it has not used its newest manifest; 0 when it does.")
    rejections: list[RejectionAnswer]
    drained: bool
    status: Any = Field(None, description="Its last report.")
    status_at: float | None = None


class ConsoleStatus(Answer):
    """The console itself."""

    release: str
    started: float
    database: str
    objects: int
    otlp: list[SignalStatus] = Field([], description="What it sends of itself to a collector (`--otlp`).")


class StatusAnswer(Answer):
    """The whole deployment."""

    epoch: int
    revision: int
    console: ConsoleStatus
    regions: list[RegionStatus]
    sites: list[SiteStatus]
    diagnostics: list[DiagnosticAnswer] = Field(description="Standing errors between objects.")


class ObjectSite(Answer):
    """One site that an object concerns."""

    site: str
    revision: int | None = Field(description="The revision that the site uses.")
    applied: bool = Field(description="Whether it uses its newest manifest, and this object in it.")
    lag_seconds: float
    rejected: RejectionAnswer | None = None


class ReceiverStatus(Delivery):
    """A TelemetryReceiver at one site. Times are seconds since 1970."""

    site: str


class ObjectStatus(Answer):
    """Where an object is in use, and what stands against it."""

    key: str
    revision: int
    sites: list[ObjectSite]
    diagnostics: list[DiagnosticAnswer]
    receivers: list[ReceiverStatus] = Field([], description="Of a TelemetryReceiver, as its sites told last.")


class TokenRequest(Answer):
    """For a site or region to join with, or for people and programs to use the API with."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    role: Literal["site", "region", "admin", "read"]
    name: str = Field(min_length=1, max_length=63)
    ttl_seconds: int | None = Field(
        None,
        ge=1,
        le=3_153_600_000,
        description="One hour for joining when left out, at most 7 days; an API token does not expire.",
    )


class TokenAnswer(Answer):
    """A new token; it is shown this once."""

    token: str
    expires: str | None
    id: str | None = None


class TokenInfo(Answer):
    """An API token without its secret."""

    id: str
    role: str
    name: str
    created: str
    expires: str | None


class TokenList(Answer):
    """API tokens."""

    items: list[TokenInfo]


class AccountRequest(Answer):
    """A person who signs in with a password."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9]([-a-z0-9._@]{0,61}[a-z0-9])?$", description="As it is typed to sign in.")
    role: Literal["admin", "read"] = "read"
    password: str = Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)


class PasswordRequest(Answer):
    """A new password."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    password: str = Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)
    current: str = Field(
        "",
        max_length=LONGEST_PASSWORD,
        description="The password of now, which whoever is signed in as the user has to know.",
    )


class AccountInfo(Answer):
    """An account without its password."""

    name: str
    role: str
    created: str


class AccountList(Answer):
    """Accounts by name."""

    items: list[AccountInfo]


class SignInCodeAnswer(Answer):
    """A code that signs one browser in, once."""

    code: str
    expires: str


class JoinRequest(BaseModel):
    """What a new site or region sends."""

    token_secret: str = Field(max_length=256)
    role: Literal["site", "region"]
    tenant: str = Field("default", max_length=63)
    name: str = Field(max_length=63)
    csr_pem: str = Field(max_length=8192)
    sealing_key: str = Field(
        "", max_length=64, description="Of a site: the X25519 public key (base64) that its secrets are sealed to."
    )


class JoinAnswer(BaseModel):
    """Certificate, whom to trust, and where to connect."""

    chain_pem: str
    bundle_pem: str
    signing_keys: list[str]
    trust_version: int
    trust_domain: str
    subject: str
    object: dict[str, Any]
    regions: list[dict[str, Any]]
    console: dict[str, Any]
    sealing: bool = Field(False, description="Whether the site's secrets are sealed to the key that it sent.")


class CertificateInfo(Answer):
    """A certificate that the authority signed."""

    serial: str
    uri: str
    reason: str
    issued: str
    expires: str


class CertificateList(Answer):
    """Certificates, newest first."""

    items: list[CertificateInfo]


class AuditInfo(Answer):
    """Something that was done or refused, beside changes of objects."""

    at: str
    who: str
    action: str
    detail: str


class AuditList(Answer):
    """Audit entries, newest first."""

    items: list[AuditInfo]


class ExplainRequest(BaseModel):
    """A request to be explained by a site."""

    model_config = ConfigDict(populate_by_name=True)

    url: str
    method: str = "GET"
    headers: dict[str, str] = {}
    site: str = Field(alias="from", description="Name of the site that the request enters.")


def answer_diagnostic(diagnostic: Diagnostic) -> DiagnosticAnswer:
    """A diagnostic as the API gives it."""
    return DiagnosticAnswer(
        code=diagnostic.code,
        object=str(diagnostic.object) if diagnostic.object is not None else None,
        field=diagnostic.field,
        message=diagnostic.message,
        mend=diagnostic.mend,
    )
