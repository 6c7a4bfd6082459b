"""Alerts, silences, and messages to receivers on disk."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, or_, select

from isthmus.alert.alert import RULES, Alert, AlertState, Condition
from isthmus.alert.notification import GroupKey, emit_alert, parse_alert
from isthmus.alert.routing import Group
from isthmus.alert.silence import Matcher, Silence
from isthmus.console import schema
from isthmus.console.event_register import EventRegister

DeliveryState = Literal["waiting", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to one receiver. Times are seconds since 1970.

    Attributes:
        receiver: key of the AlertReceiver, as text.
        notification: what is told, as `isthmus.alert.notification` writes it.
        attempts: how often it was tried.
        next_at: when it is tried next.
        ended: when it was delivered, or given up.
        detail: what the receiver said, or why it was not reached.
    """

    id: str
    receiver: str
    notification: str
    created: float
    state: DeliveryState = "waiting"
    attempts: int = 0
    next_at: float = 0.0
    ended: float | None = None
    detail: str = ""


class AlertRegister(EventRegister):
    """What is or was wrong, what is silent, and who was told."""

    def alerts(self, resolved_after: float) -> list[Alert]:
        """The alerts that are not resolved, or were after a moment."""
        table = schema.alert
        query = select(table).where(or_(table.c.resolved_at.is_(None), table.c.resolved_at > resolved_after))
        with self._transaction() as connection:
            # a rule of another release is none of ours
            return [_alert(row) for row in connection.execute(query) if row.rule in RULES]

    def put_alerts(self, alerts: Iterable[Alert], gone: Sequence[str], before: float) -> None:
        """Keep alerts as they are now, forget some by their ids, and those that were resolved before a moment."""
        rows = [_alert_row(each) for each in alerts]
        table = schema.alert
        with self._transaction() as connection:
            self._upsert(connection, table, rows)
            if gone:
                connection.execute(table.delete().where(table.c.id.in_(gone)))
            connection.execute(table.delete().where(table.c.resolved_at < before))

    def alert_history(self, limit: int, before: float | None = None, rule: str = "", text: str = "") -> list[Alert]:
        """Alerts that fire or did, the newest first: begun before a moment, of one rule, with a text in them."""
        table = schema.alert
        query = select(table).where(table.c.fired_at.is_not(None)).order_by(table.c.since.desc(), table.c.id)
        if before is not None:
            query = query.where(table.c.since < before)
        if rule:
            query = query.where(table.c.rule == rule)
        if text:
            query = query.where(
                or_(table.c.subject.icontains(text, autoescape=True), table.c.text.icontains(text, autoescape=True))
            )
        with self._transaction() as connection:
            return [_alert(row) for row in connection.execute(query.limit(limit)) if row.rule in RULES]

    # Silences

    def silences(self) -> list[Silence]:
        """Every silence that is kept."""
        with self._transaction() as connection:
            return [
                Silence(
                    row.id,
                    tuple(Matcher(*each) for each in json.loads(row.matchers)),
                    row.starts,
                    row.ends,
                    row.author,
                    row.comment,
                )
                for row in connection.execute(select(schema.silence))
            ]

    def put_silence(self, silence: Silence) -> None:
        """Keep a silence, or its new end."""
        row = {
            "id": silence.id,
            "matchers": json.dumps([[each.label, each.operator, each.value] for each in silence.matchers]),
            "starts": silence.starts,
            "ends": silence.ends,
            "author": silence.author,
            "comment": silence.comment,
        }
        with self._transaction() as connection:
            self._upsert(connection, schema.silence, [row])

    def sweep_alerting(self, before: float) -> None:
        """Forget silences and deliveries that ended before a moment."""
        silence, delivery = schema.silence, schema.alert_delivery
        with self._transaction() as connection:
            connection.execute(silence.delete().where(silence.c.ends < before))
            connection.execute(delivery.delete().where(delivery.c.ended < before))

    # Groups and deliveries

    def alert_groups(self) -> dict[GroupKey, Group]:
        """What the receivers of every group know."""
        found = {}
        with self._transaction() as connection:
            for row in connection.execute(select(schema.alert_group)):
                labels = tuple((name, value) for name, value in json.loads(row.labels))
                told = [parse_alert(each) for each in json.loads(row.told) if each["condition"]["rule"] in RULES]
                key = GroupKey(row.policy, labels)
                found[key] = Group(row.began, row.told_at, {each.id: each for each in told})
        return found

    def commit_alerting(self, groups: Mapping[GroupKey, Group | None], deliveries: Sequence[Delivery]) -> None:
        """Keep what groups are told now, and the messages that tell it, all or nothing."""
        rows = [
            {
                "id": key.digest,
                "policy": key.policy,
                "labels": json.dumps(key.labels),
                "began": group.began,
                "told_at": group.told_at,
                "told": json.dumps([emit_alert(each) for each in group.told.values()]),
            }
            for key, group in groups.items()
            if group is not None
        ]
        gone = [key.digest for key, group in groups.items() if group is None]
        with self._transaction() as connection:
            self._upsert(connection, schema.alert_group, rows)
            if gone:
                connection.execute(schema.alert_group.delete().where(schema.alert_group.c.id.in_(gone)))
            self._upsert(connection, schema.alert_delivery, [_delivery_row(each) for each in deliveries])

    def put_delivery(self, delivery: Delivery) -> None:
        """Keep what became of a message."""
        with self._transaction() as connection:
            self._upsert(connection, schema.alert_delivery, [_delivery_row(delivery)])

    def waiting_deliveries(self) -> list[Delivery]:
        """The messages that are still to be sent, oldest first."""
        table = schema.alert_delivery
        query = select(table).where(table.c.state == "waiting").order_by(table.c.created, table.c.id)
        with self._transaction() as connection:
            return [_delivery(row) for row in connection.execute(query)]

    def deliveries(self, limit: int, receiver: str = "") -> list[Delivery]:
        """The newest messages, newest first: of one receiver or of all."""
        table = schema.alert_delivery
        query = select(table).order_by(table.c.created.desc(), table.c.id).limit(limit)
        if receiver:
            query = query.where(table.c.receiver == receiver)
        with self._transaction() as connection:
            return [_delivery(row) for row in connection.execute(query)]


def _alert_row(alert: Alert) -> dict[str, Any]:
    condition = alert.condition
    return {
        "id": alert.id,
        "rule": condition.rule,
        "subject": condition.subject,
        "text": condition.text,
        "site": condition.site,
        "namespace": condition.namespace,
        "object": condition.object,
        "state": str(alert.state),
        "since": alert.since,
        "fired_at": alert.fired_at,
        "resolved_at": alert.resolved_at,
    }


def _alert(row: Row[Any]) -> Alert:
    condition = Condition(row.rule, row.subject, row.text, row.site, row.namespace, row.object)
    return Alert(condition, AlertState(row.state), row.since, row.fired_at, row.resolved_at)


def _delivery_row(delivery: Delivery) -> dict[str, Any]:
    return {name: getattr(delivery, name) for name in Delivery.__dataclass_fields__}


def _delivery(row: Row[Any]) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__})
