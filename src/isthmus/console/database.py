"""An open database: SQLite by default, PostgreSQL by URL.

Calls block; the process makes them in one thread. A write is durable when its call returns: SQLite runs with
write-ahead log and synchronous=FULL, PostgreSQL with its own default.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, Table, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from isthmus.console import schema
from isthmus.console.error import ConsoleError


class StoreError(Exception):
    """The database refused or cannot be reached. The text is a sentence for people."""


class Database:
    """Connections, transactions and copies. `open` migrates to this release's schema."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str) -> Self:
        """Open, create or migrate the database at SQLAlchemy's `url`.

        Raises:
            ConsoleError: it cannot be reached, or was written by a newer release.
        """
        engine = create_engine(url, pool_size=2, max_overflow=2, pool_pre_ping=True)
        try:
            if engine.dialect.name == "sqlite":
                event.listen(engine, "connect", _configure_sqlite)
                _keep_private(engine.url.database)
            with engine.connect() as connection:
                _migrate(connection)
                connection.commit()
        except SQLAlchemyError as error:
            engine.dispose()
            raise ConsoleError(f"The database cannot be opened: {_reason(error)}.") from error
        except OSError as error:
            engine.dispose()
            raise ConsoleError(f"The database cannot be opened: {error.strerror}.") from error
        except Exception:
            engine.dispose()
            raise
        return cls(engine)

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self.engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreError(f"The database refused: {_reason(error)}.") from error

    def _upsert(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        if not rows:
            return
        insert = (postgresql.insert if self.kind == "postgresql" else sqlite.insert)(table)
        keys = [column.name for column in table.primary_key]
        others = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=others), rows)

    # Copies

    def is_empty(self) -> bool:
        """Whether no deployment was kept here yet."""
        with self._transaction() as connection:
            return connection.execute(select(func.count()).select_from(schema.fact)).scalar_one() == 0

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Every row by table, as of one moment. Sessions are left out: who restores a copy signs in again. So are
        messages to receivers of alerts: they would be sent again, of alerts that are long over."""
        with self.engine.connect() as connection:
            if self.kind == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                return {
                    table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                    for table in schema.metadata.sorted_tables
                    if table not in (schema.session, schema.alert_delivery)
                }

    def load(self, tables: Mapping[str, list[dict[str, Any]]]) -> None:
        """Put the rows of a dump into an empty store, all or nothing."""
        with self._transaction() as connection:
            for table in schema.metadata.sorted_tables:
                rows = tables.get(table.name, [])
                if table is schema.audit:
                    rows = [{name: value for name, value in row.items() if name != "id"} for row in rows]
                if rows:
                    connection.execute(table.insert(), rows)


def _keep_private(path: str | None) -> None:
    """Make SQLite's file its owner's alone, whatever the directory; SQLite gives its other files the same mode."""
    if path:
        for file in (Path(path), Path(f"{path}-wal"), Path(f"{path}-shm")):
            with suppress(FileNotFoundError, PermissionError):  # another owner's: that one decides
                file.chmod(0o600)
        Path(path).touch(mode=0o600)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "isthmus.console:migration")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        newest = ScriptDirectory.from_config(config).get_current_head()
        raise ConsoleError(
            f"The database was written by a newer release than this one (schema {newest}): {error}."
        ) from error


def _reason(error: SQLAlchemyError) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__
