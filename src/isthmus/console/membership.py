"""Who belongs to the deployment: join tokens, certificates for new sites and regions, and renewals."""

import json
import time
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Literal

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from isthmus.console.deployment import Deployment
from isthmus.console.error import RequestRefused
from isthmus.console.keyring import Keyring
from isthmus.console.record import AuditEntry, IssuedCertificate, JoinGrant, StoredObject
from isthmus.console.store import Store
from isthmus.identity import (
    CLOCK_SKEW,
    CertificateRefused,
    Identity,
    IdentityError,
    JoinToken,
    RenewalRequest,
    Role,
    digest_secret,
    parse_csr,
    parse_leaf,
    verify_renewal,
)
from isthmus.model.envelope import emit_envelope
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.region import Region
from isthmus.protocol import Admission
from isthmus.slice.subject import subject_key

_KINDS = {"site": "Site", "region": "Region"}
_log = structlog.get_logger()


class Membership:
    """Issues join tokens and certificates.

    `urls` are the addresses of the API for join tokens; they are known when the API listens. `joined` says when each
    site and region joined last, by SPIFFE ID.
    """

    def __init__(
        self, deployment: Deployment, store: Store, keyring: Keyring, joined: dict[str, datetime] | None = None
    ) -> None:
        self._deployment = deployment
        self._store = store
        self._keyring = keyring
        self.urls: tuple[str, ...] = ()
        self.joins = {"accepted": 0, "refused": 0}
        self.joined = joined or {}
        self._refusals = Admission(per_second=0.2, burst=20)  # anybody can be refused, and the audit is kept for ever

    async def create_token(
        self, who: str, role: Literal["site", "region"], name: str, lifetime: timedelta
    ) -> tuple[JoinToken, datetime]:
        """A one-time token for a site or region that is declared, and when it expires.

        Raises:
            RequestRefused: 404 when it is not declared.
        """
        key = ObjectKey(DEFAULT_TENANT, _KINDS[role], "", name)
        if key in self._deployment.unreadable:
            raise self._deployment.missing(key)
        if key not in self._deployment.records:
            raise RequestRefused(404, "not-found", f"{key.title} does not exist; apply it first.")
        now = datetime.now(UTC)
        token = JoinToken.create(self.urls, self._keyring.authority.fingerprint, Role(role), name)
        grant = JoinGrant(token.secret_digest, DEFAULT_TENANT, role, name, who, now, now + lifetime)
        await self._deployment.call(self._store.add_join_grant, grant)
        await self._deployment.call(self._store.sweep_join_grants, now - timedelta(days=30))
        await self._audit(
            who, "join-token.created", f"{role} {name}, valid until {grant.expires_at:%Y-%m-%d %H:%M} UTC"
        )
        return token, grant.expires_at

    async def join(self, request: dict[str, str], peer: str) -> dict[str, Any]:
        """Consume a join token: the certificate and what a new process needs to know.

        A token is for one key: the same key may ask again while the token is valid, since its first answer may have
        been lost; any other key is refused.

        Raises:
            RequestRefused: 403 for a token that was not made here or is for somebody else, 410 when it was used or
                has expired, 422 for a signing request that cannot be used.
        """
        who = f"{request['role']} {request['name']} from {peer}"
        try:
            answer = await self._join(request)
        except RequestRefused as refusal:
            self.joins["refused"] += 1
            _log.warning("join.refused", code=refusal.code, role=request["role"], name=request["name"], peer=peer)
            if not self._refusals.admit(0, time.monotonic()):
                await self._audit(who, "join.refused", refusal.message)
            raise
        self.joins["accepted"] += 1
        self.joined[answer["uri"]] = datetime.now(UTC)
        _log.info("join.accepted", role=request["role"], name=request["name"], peer=peer)
        await self._audit(who, "join.accepted", answer["subject"])
        return answer

    async def _join(self, request: dict[str, str]) -> dict[str, Any]:
        csr = request["csr_pem"].encode()
        try:
            public = parse_csr(csr).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            role, name, tenant = Role(request["role"]), request["name"], request["tenant"]
            identity = Identity(self._keyring.authority.trust_domain, role, tenant, name)
        except (IdentityError, ValueError) as error:
            raise RequestRefused(422, "invalid-request", f"The join cannot be read: {error}") from error
        now = datetime.now(UTC)
        key_digest = sha256(public).hexdigest()
        grant = await self._deployment.call(
            self._store.use_join_grant, digest_secret(request["token_secret"]), tenant, str(role), name, key_digest, now
        )
        if grant is None:
            raise RequestRefused(
                403, "join-token-unknown", "The join token was not made by this console for this name."
            )
        if grant.expires_at <= now:
            raise RequestRefused(
                410, "join-token-expired", f"The join token expired at {grant.expires_at:%Y-%m-%d %H:%M} UTC."
            )
        if grant.used_by_key not in (None, key_digest):
            raise RequestRefused(410, "join-token-used", "The join token was used already; a token is for one process.")
        key = ObjectKey(tenant, _KINDS[grant.role], "", name)
        record = self._deployment.records.get(key)
        if key in self._deployment.unreadable:
            raise self._deployment.missing(key)
        if record is None:
            raise RequestRefused(403, "not-declared", f"{key.title} was deleted.")
        sealed = await self._take_sealing_key(identity, request.get("sealing_key") or "")
        chain = self._keyring.authority.issue(csr, identity, now)
        await self.log_certificate(chain, "join")
        trust = self._keyring.trust
        return {
            "chain_pem": chain.decode(),
            "bundle_pem": trust.bundle_pem.decode(),
            "signing_keys": [pem.decode() for pem in trust.signing_keys],
            "trust_version": trust.version,
            "trust_domain": identity.trust_domain,
            "subject": identity.subject,
            "uri": identity.uri,
            "object": json.loads(emit_envelope(record.object)),
            "regions": self._regions(key),
            "sealing": sealed,
        }

    async def _take_sealing_key(self, identity: Identity, text: str) -> bool:
        """Seal to the key of a joining site; whether it is known now. Sites of the release before have none."""
        if identity.role is not Role.SITE or not text:
            return False
        try:
            public = b64decode(text, validate=True)
        except ValueError:
            public = b""
        if not self._deployment.vault.can_seal_to(public):
            raise RequestRefused(422, "invalid-request", "The join cannot be read: its sealing key cannot be used.")
        await self._deployment.seal_to(identity.subject, public)
        return True

    def _regions(self, key: ObjectKey) -> list[dict[str, Any]]:
        if key.kind == "Region":
            return []
        objects = (
            self._deployment.records[ObjectKey(key.tenant, "Region", "", name)].object
            for name in self._deployment.index.regions_of(key)
        )
        return [
            {
                "name": region.metadata.name,
                "address": region.spec.address,
                "port": region.spec.port,
                "bgp_port": region.spec.bgp_port,
            }
            for region in objects
            if isinstance(region, Region)
        ]

    async def renew(self, subject: str, request: RenewalRequest) -> bytes:
        """The next certificate of a site or region, which proves itself with the present one.

        Raises:
            CertificateRefused: it does not, or was deleted meanwhile, be it to be declared again: whoever held the
                name before needs a new join token.
        """
        now = datetime.now(UTC)
        identity = verify_renewal(request, self._keyring.authority.bundle_pem, now)
        if identity.subject != subject or identity.role is Role.CONSOLE:
            raise CertificateRefused(f"{identity.uri} asks for the certificate of {subject}.")
        key = subject_key(subject)
        record = self._deployment.records.get(key) or self._deployment.unreadable.get(key)
        issued = parse_leaf(request.certificate_pem).valid_from + CLOCK_SKEW
        if record is None or issued + CLOCK_SKEW < record.created_at:  # the console's clock may have been set back
            raise CertificateRefused(f"{subject} was deleted.")
        if request.sealing_key and identity.role is Role.SITE:
            if not self._deployment.vault.can_seal_to(request.sealing_key):
                raise CertificateRefused(f"The sealing key of {subject} cannot be used.")
            await self._deployment.seal_to(subject, request.sealing_key)
        chain = self._keyring.authority.issue(request.csr_pem, identity, now)
        await self.log_certificate(chain, "renewal")
        return chain

    def joined_at(self, record: StoredObject) -> datetime | None:
        """When the process of a Site or Region object joined; None when it has not since it was declared."""
        key = record.object.key
        role = Role(key.kind.lower())
        identity = Identity(self._keyring.authority.trust_domain, role, key.tenant, key.name)
        at = self.joined.get(identity.uri)
        return at if at is not None and at + CLOCK_SKEW >= record.created_at else None

    async def log_certificate(self, chain_pem: bytes, reason: Literal["console", "join", "renewal"]) -> None:
        """Record a certificate that was signed."""
        await self._deployment.call(
            self._store.add_certificate, issued_certificate(chain_pem, reason, datetime.now(UTC))
        )

    async def _audit(self, who: str, action: str, detail: str) -> None:
        entry = AuditEntry(datetime.now(UTC), who[:255], action, detail)
        await self._deployment.call(self._store.add_audit, [entry])


def issued_certificate(
    chain_pem: bytes, reason: Literal["console", "join", "renewal"], now: datetime
) -> IssuedCertificate:
    """What the log keeps of a certificate."""
    leaf = parse_leaf(chain_pem)
    return IssuedCertificate(f"{leaf.serial:x}", leaf.identity.uri, reason, now, leaf.valid_until)
