"""Tokens, certificates and the audit log on disk."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import func, or_, select

from isthmus.console import schema
from isthmus.console.account import Accounts
from isthmus.console.record import ApiToken, AuditEntry, IssuedCertificate, JoinGrant, emit_time, parse_time


class Register(Accounts):
    """Who may do what, and what was done beside changes of objects."""

    def api_tokens(self) -> list[ApiToken]:
        """Every API token, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(select(schema.api_token).order_by(schema.api_token.c.created_at)).all()
        return [
            ApiToken(
                row.id,
                row.digest,
                row.role,
                row.name,
                parse_time(row.created_at),
                parse_time(row.expires_at) if row.expires_at else None,
            )
            for row in rows
        ]

    def add_api_token(self, token: ApiToken) -> None:
        """Keep a new API token."""
        row = {
            "id": token.id,
            "digest": token.digest,
            "role": token.role,
            "name": token.name,
            "created_at": emit_time(token.created_at),
            "expires_at": emit_time(token.expires_at) if token.expires_at else None,
        }
        with self._transaction() as connection:
            connection.execute(schema.api_token.insert(), row)

    def remove_api_token(self, token_id: str) -> bool:
        """Revoke an API token; False when there is none of that id."""
        with self._transaction() as connection:
            result = connection.execute(schema.api_token.delete().where(schema.api_token.c.id == token_id))
            return result.rowcount > 0

    def add_join_grant(self, grant: JoinGrant) -> None:
        """Keep a new join token."""
        row = {
            "digest": grant.digest,
            "tenant": grant.tenant,
            "role": grant.role,
            "name": grant.name,
            "created_by": grant.created_by,
            "created_at": emit_time(grant.created_at),
            "expires_at": emit_time(grant.expires_at),
        }
        with self._transaction() as connection:
            connection.execute(schema.join_token.insert(), row)

    def use_join_grant(
        self, digest: str, tenant: str, role: str, name: str, key_digest: str, now: datetime
    ) -> JoinGrant | None:
        """Consume a join token for the public key with this SHA-256: whoever comes first gets it.

        Returns the token as it was before, with `used_by_key` of an earlier use; None when there is none for this
        site or region. An expired token, or one used before, is left as it is.
        """
        table = schema.join_token
        with self._transaction() as connection:
            row = connection.execute(
                select(table).where(
                    table.c.digest == digest, table.c.tenant == tenant, table.c.role == role, table.c.name == name
                )
            ).one_or_none()
            if row is None:
                return None
            claimed = connection.execute(
                table.update()
                .where(table.c.digest == digest, table.c.used_at.is_(None), table.c.expires_at > emit_time(now))
                .values(used_at=emit_time(now), used_by_key=key_digest)
            )
            if claimed.rowcount == 0:
                row = connection.execute(select(table).where(table.c.digest == digest)).one()
            return JoinGrant(
                row.digest,
                row.tenant,
                row.role,
                row.name,
                row.created_by,
                parse_time(row.created_at),
                parse_time(row.expires_at),
                parse_time(row.used_at) if row.used_at else None,
                row.used_by_key,
            )

    def sweep_join_grants(self, before: datetime) -> None:
        """Forget join tokens that expired before a moment."""
        with self._transaction() as connection:
            connection.execute(schema.join_token.delete().where(schema.join_token.c.expires_at < emit_time(before)))

    def add_certificate(self, certificate: IssuedCertificate) -> None:
        """Record a certificate."""
        row = {
            "serial": certificate.serial,
            "uri": certificate.uri,
            "reason": certificate.reason,
            "issued_at": emit_time(certificate.issued_at),
            "expires_at": emit_time(certificate.expires_at),
        }
        with self._transaction() as connection:
            connection.execute(schema.certificate.insert(), row)

    def certificates(self, limit: int = 100) -> list[IssuedCertificate]:
        """The newest certificates, newest first."""
        table = schema.certificate
        with self._transaction() as connection:
            rows = connection.execute(select(table).order_by(table.c.issued_at.desc()).limit(limit)).all()
        return [
            IssuedCertificate(row.serial, row.uri, row.reason, parse_time(row.issued_at), parse_time(row.expires_at))
            for row in rows
        ]

    def last_joins(self) -> dict[str, datetime]:
        """When each site and region joined last, by SPIFFE ID."""
        table = schema.certificate
        query = select(table.c.uri, func.max(table.c.issued_at).label("at")).where(table.c.reason == "join")
        with self._transaction() as connection:
            return {row.uri: parse_time(row.at) for row in connection.execute(query.group_by(table.c.uri))}

    def add_audit(self, entries: Iterable[AuditEntry]) -> None:
        """Record what was done or refused."""
        rows = [
            {"at": emit_time(entry.at), "who": entry.who, "action": entry.action, "detail": entry.detail}
            for entry in entries
        ]
        with self._transaction() as connection:
            connection.execute(schema.audit.insert(), rows)

    def audit(self, limit: int = 100, before: int | None = None, text: str = "") -> list[AuditEntry]:
        """The newest entries, newest first: below a number, with a text in them."""
        table = schema.audit
        query = select(table).order_by(table.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.id < before)
        if text:
            columns = (table.c.who, table.c.action, table.c.detail)
            query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        with self._transaction() as connection:
            rows = connection.execute(query).all()
        return [AuditEntry(parse_time(row.at), row.who, row.action, row.detail, row.id) for row in rows]
