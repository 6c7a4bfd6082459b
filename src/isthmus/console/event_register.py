"""Events on disk: the newest, for as long as they are kept."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import Row, or_, select

from isthmus.console import schema
from isthmus.console.record import Event
from isthmus.console.register import Register

_AT_ONCE = 500
"""Numbers in one statement."""


class EventRegister(Register):
    """What was noticed of regions and sites."""

    def events(
        self, limit: int, before: int | None = None, subject: str = "", level: str = "", text: str = ""
    ) -> list[Event]:
        """What happened, newest first: below a number, of one subject, of one level, with a text in it."""
        table = schema.event
        query = select(table).order_by(table.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(table.c.number < before)
        if subject:
            query = query.where(table.c.subject == subject)
        if level:
            query = query.where(table.c.level == level)
        if text:
            columns = (table.c.subject, table.c.text, table.c.key)
            query = query.where(or_(*(column.icontains(text, autoescape=True) for column in columns)))
        with self._transaction() as connection:
            return [_event(row) for row in connection.execute(query)]

    def add_events(self, events: Sequence[Event], oldest: int, before: float) -> None:
        """Keep events; forget those of lower numbers than `oldest`, and those from before a moment."""
        table = schema.event
        rows = [{name: getattr(each, name) for name in Event.__dataclass_fields__} for each in events]
        with self._transaction() as connection:
            self._upsert(connection, table, rows)
            connection.execute(table.delete().where(or_(table.c.number < oldest, table.c.at < before)))

    def trim_events(self, part: Literal["subject", "namespace"], name: str, most: int) -> int:
        """Forget all but the newest of one subject, or about objects of one namespace; how many were forgotten."""
        table = schema.event
        near = table.c.subject == name if part == "subject" else table.c.key.contains(f"/{name}/", autoescape=True)
        newest = select(table.c.number, table.c.key).where(near).order_by(table.c.number.desc())
        with self._transaction() as connection:
            found = [
                number for number, key in connection.execute(newest) if part == "subject" or _namespace(key) == name
            ]
            for begin in range(most, len(found), _AT_ONCE):
                connection.execute(table.delete().where(table.c.number.in_(found[begin : begin + _AT_ONCE])))
        return max(0, len(found) - most)


def _namespace(key: str) -> str:
    """Of a key as it is written: tenant/kind/namespace/name."""
    return [*key.split("/"), "", "", ""][2]


def _event(row: Row[Any]) -> Event:
    return Event(row.number, row.at, row.level, row.subject, row.text, row.key)
