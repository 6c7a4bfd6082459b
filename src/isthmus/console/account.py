"""People and their sessions on disk."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from isthmus.console import schema
from isthmus.console.database import Database
from isthmus.console.record import Account, Session, emit_time, parse_time


class Accounts(Database):
    """Who signs in with a password, and which browsers are signed in."""

    def accounts(self) -> list[Account]:
        """Every account by name."""
        with self._transaction() as connection:
            rows = connection.execute(select(schema.account).order_by(schema.account.c.name)).all()
        return [Account(row.name, row.role, row.password, parse_time(row.created_at)) for row in rows]

    def put_account(self, account: Account) -> None:
        """Keep a new account, or one with a new role or password."""
        row = {
            "name": account.name,
            "role": account.role,
            "password": account.password,
            "created_at": emit_time(account.created_at),
        }
        with self._transaction() as connection:
            self._upsert(connection, schema.account, [row])

    def remove_account(self, name: str) -> bool:
        """Forget an account and its sessions; False when there is none of that name."""
        with self._transaction() as connection:
            connection.execute(schema.session.delete().where(schema.session.c.account == name))
            return connection.execute(schema.account.delete().where(schema.account.c.name == name)).rowcount > 0

    def sessions(self, now: datetime) -> list[Session]:
        """Every session that lasts, those that have expired being forgotten."""
        table = schema.session
        with self._transaction() as connection:
            connection.execute(table.delete().where(table.c.expires_at <= emit_time(now)))
            rows = connection.execute(select(table)).all()
        return [_session(row) for row in rows]

    def add_session(self, session: Session, ended: Collection[str] = ()) -> None:
        """Keep a new session; forget those of these digests, and those that have expired."""
        table = schema.session
        row = {
            "digest": session.digest,
            "token_id": session.token_id,
            "account": session.account,
            "created_at": emit_time(session.created_at),
            "expires_at": emit_time(session.expires_at),
        }
        with self._transaction() as connection:
            old = (table.c.expires_at <= row["created_at"]) | table.c.digest.in_(ended)
            connection.execute(table.delete().where(old))
            connection.execute(table.insert(), row)

    def remove_session(self, digest: str) -> None:
        """End one session."""
        with self._transaction() as connection:
            connection.execute(schema.session.delete().where(schema.session.c.digest == digest))

    def remove_sessions_of(self, account: str) -> None:
        """End every session of an account."""
        with self._transaction() as connection:
            connection.execute(schema.session.delete().where(schema.session.c.account == account))


def _session(row: Row[Any]) -> Session:
    return Session(row.digest, row.token_id, row.account, parse_time(row.created_at), parse_time(row.expires_at))
