"""Tells receivers of alerts: plans what is due, keeps it, and sends it.

A message is kept in one transaction with what its group has been told, and sent from there, in order for each receiver,
until the receiver has taken it: a console that ends at any moment loses none, and sends again only what it sent without
having noted so.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import structlog

from isthmus.alert.alert import Alert
from isthmus.alert.notification import GroupKey, Notification, emit_notification, parse_notification
from isthmus.alert.routing import Group, Prospect, find_prospects, plan_notifications
from isthmus.alert.silence import Silence
from isthmus.console.alert_register import Delivery
from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.error import ConsoleError, RequestRefused
from isthmus.console.place import Places
from isthmus.console.sender import Letter, SendFailed, send
from isthmus.console.store import Store
from isthmus.console.target import Networks
from isthmus.model.alert_policy import AlertPolicy
from isthmus.model.alert_receiver import AlertReceiver
from isthmus.model.key import DEFAULT_TENANT, ObjectKey, parse_key
from isthmus.model.trusted_authority import TrustedAuthority

KEPT = 30 * 86_400.0
"""Seconds that silences and deliveries are kept after their end."""
_GIVE_UP = 86_400.0
_FIRST, _LONGEST = 5.0, 300.0
"""Seconds between attempts, at first and at last."""
_LIMIT = 30.0
"""Seconds for one attempt."""
_AT_ONCE, _OF_ONE = 32, 4
"""Receivers that are sent to at the same time: of all, and of one namespace."""
_TESTS, _TESTS_OF_ONE = 8, 2
"""Tests of receivers at the same time: of all, and of one namespace or caller."""
_TEST_WAIT = 10
"""Seconds after which a test that was too many may be tried again: most have ended by then."""
_MOST_WAITING = 1000
"""Messages that wait for one receiver; beyond it the oldest are given up."""
_SWEEP = 3600.0

log = structlog.get_logger()


@dataclass(slots=True)
class Outcome:
    """The last that was heard of a receiver. Times are seconds since 1970."""

    delivered_at: float | None = None
    failed_at: float | None = None
    detail: str = ""


class Notifier:
    """`load`, then `plan` after every look, and `run` until cancelled.

    Attributes:
        silences: by id.
        counts: messages by type of receiver and outcome (`delivered`, `failed`, `retried`), since the console started.
        outcomes: the last of each receiver, by its key as text.
    """

    def __init__(
        self, deployment: Deployment, store: Store, allowed: Networks, console: Callable[[], str] = lambda: ""
    ) -> None:
        self._deployment = deployment
        self._store = store
        self._allowed = allowed
        self._console = console
        self._groups: dict[GroupKey, Group] = {}
        self._waiting: dict[str, list[Delivery]] = {}
        self._busy: set[str] = set()
        self._places = Places(_AT_ONCE, _OF_ONE)
        self._tested = Places(_TESTS, _TESTS_OF_ONE)
        self._testers = Places(_TESTS, _TESTS_OF_ONE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._swept = 0.0
        self.silences: dict[str, Silence] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.outcomes: dict[str, Outcome] = {}

    async def load(self) -> None:
        """Read what was kept. Raises StoreError."""
        call, store = self._deployment.call, self._store
        self.silences = {each.id: each for each in await call(store.silences)}
        self._groups = await call(store.alert_groups)
        for each in await call(store.waiting_deliveries):
            self._waiting.setdefault(each.receiver, []).append(each)
        for each in reversed(await call(store.deliveries, 1000)):
            self._note(each)

    # ---- what is due

    def policies(self) -> list[AlertPolicy]:
        """The policies, by key."""
        found = (record.object for record in self._deployment.of_kind("AlertPolicy", DEFAULT_TENANT))
        return [each for each in found if isinstance(each, AlertPolicy)]

    def prospects(self, alerts: Sequence[Alert], now: float) -> Iterator[Prospect]:
        """What would be told to whom, and when. Nothing is sent."""
        return find_prospects(alerts, self.policies(), list(self.silences.values()), self._groups, now)

    async def plan(self, alerts: Sequence[Alert], now: float) -> None:
        """Keep what is to be told now. Raises StoreError: nothing was kept, and the next call tries again."""
        plan = plan_notifications(alerts, self.policies(), list(self.silences.values()), self._groups, now, now)
        deliveries = [
            Delivery(secrets.token_hex(16), str(receiver), emit_notification(prospect.notification), now)
            for prospect in plan.due
            for receiver in prospect.receivers
            if prospect.notification.firing or self._hears_ends(receiver)
        ]
        if plan.groups or deliveries:
            await self._deployment.call(self._store.commit_alerting, plan.groups, deliveries)
        for key, group in plan.groups.items():
            if group is None:
                self._groups.pop(key, None)
            else:
                self._groups[key] = group
        for each in deliveries:
            self._waiting.setdefault(each.receiver, []).append(each)
        if deliveries:
            self._wake.set()
        if now - self._swept > _SWEEP:
            self._swept = now
            self.silences = {key: each for key, each in self.silences.items() if each.ends > now - KEPT}
            await self._deployment.call(self._store.sweep_alerting, now - KEPT)

    def _hears_ends(self, receiver: ObjectKey) -> bool:
        found = self._receiver(receiver)
        return found is None or found.spec.send_resolved

    def _receiver(self, key: ObjectKey) -> AlertReceiver | None:
        record = self._deployment.records.get(key)
        return record.object if record is not None and isinstance(record.object, AlertReceiver) else None

    # ---- silences

    async def put_silence(self, silence: Silence) -> None:
        """Keep a silence, or its new end. Raises StoreError."""
        await self._deployment.call(self._store.put_silence, silence)
        self.silences[silence.id] = silence

    # ---- sending

    def waiting(self, receiver: str = "") -> int:
        """Messages that are still to be sent: to one receiver or to all."""
        return len(self._waiting.get(receiver, ())) if receiver else sum(map(len, self._waiting.values()))

    async def run(self) -> None:
        """Send what waits, for ever."""
        try:
            while True:
                self._wake.clear()
                now = time.time()
                for namespace, receiver in self._ready(now):
                    if self._places.take(namespace):
                        self._busy.add(receiver)
                        task = asyncio.create_task(self._work(receiver))
                        self._tasks.add(task)
                        task.add_done_callback(self._tasks.discard)
                later = [q[0].next_at - now for r, q in self._waiting.items() if q and r not in self._busy]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min([30.0, *(max(0.05, each) for each in later)])):
                        await self._wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ready(self, now: float) -> list[tuple[str, str]]:
        """Namespaces and receivers with a message that is due, in turn: the namespace comes first of which the fewest
        are sent to, then who has waited longest."""
        due = sorted((q[0].next_at, r) for r, q in self._waiting.items() if q and r not in self._busy)
        ranks: Counter[str] = Counter()
        found = []
        for next_at, receiver in due:
            if next_at > now:
                break
            namespace = parse_key(receiver).namespace
            found.append((self._places.held(namespace) + ranks[namespace], next_at, namespace, receiver))
            ranks[namespace] += 1
        return [(namespace, receiver) for _, _, namespace, receiver in sorted(found)]

    async def _work(self, receiver: str) -> None:
        """Send the messages of one receiver until one has to wait."""
        try:
            while (queue := self._waiting.get(receiver)) and queue[0].next_at <= time.time():
                head = queue[0]
                if len(queue) > _MOST_WAITING:
                    done = replace(head, state="failed", ended=time.time(), detail="Too many messages wait for it.")
                else:
                    done = await self._try(head)
                queue[0] = done
                if done.state != "waiting":
                    queue.pop(0)
                with contextlib.suppress(StoreError):  # sent again after a start of the console, at worst
                    await self._deployment.call(self._store.put_delivery, done)
            if not queue:
                self._waiting.pop(receiver, None)
        except Exception:  # one receiver's must not end the others'
            log.exception("alert.delivery_failed", receiver=receiver)
            self._postpone(receiver)
        finally:
            self._busy.discard(receiver)
            self._places.leave(parse_key(receiver).namespace)
            self._wake.set()

    def _postpone(self, receiver: str) -> None:
        queue = self._waiting.get(receiver)
        if queue:
            queue[0] = replace(queue[0], next_at=time.time() + _LONGEST)

    async def _try(self, delivery: Delivery) -> Delivery:
        """One attempt, and what became of it."""
        attempts = delivery.attempts + 1
        key = parse_key(delivery.receiver)
        receiver = self._receiver(key)
        kind = receiver.spec.type if receiver is not None else "deleted"
        try:
            if receiver is None:
                raise SendFailed(f"{key.title} was deleted.", final=True)
            notification = parse_notification(delivery.notification)
            detail = await self._send(receiver, notification, delivery.id, delivery.created)
            done = replace(delivery, state="delivered", attempts=attempts, ended=time.time(), detail=detail)
        except SendFailed as error:
            now = time.time()
            done = replace(delivery, attempts=attempts, detail=str(error))
            if error.final or now - delivery.created > _GIVE_UP:
                done = replace(done, state="failed", ended=now)
            else:
                wait = min(_LONGEST, _FIRST * 2 ** min(attempts - 1, 10))
                done = replace(done, next_at=now + wait * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
        self.counts[kind, "retried" if done.state == "waiting" else done.state] += 1
        self._note(done)
        log.info("alert.delivery", receiver=delivery.receiver, state=done.state, attempts=attempts, detail=done.detail)
        return done

    def _note(self, delivery: Delivery) -> None:
        known = self.outcomes.setdefault(delivery.receiver, Outcome())
        if delivery.state == "delivered":
            known.delivered_at = delivery.ended
        elif delivery.attempts:
            known.failed_at = delivery.ended or time.time()
        if delivery.attempts:
            known.detail = delivery.detail

    async def _send(self, receiver: AlertReceiver, notification: Notification, name: str, created: float) -> str:
        texts, authority = {}, ""
        for use in receiver.uses():
            record = self._deployment.records.get(use.target)
            if record is None:
                raise SendFailed(f"{use.target.title} does not exist.")
            if isinstance(record.object, TrustedAuthority):
                authority = record.object.spec.certificates
            else:
                try:
                    texts[use.field.rpartition(".")[2]] = self._deployment.vault.texts(record.object)["value"]
                except ConsoleError as error:
                    raise SendFailed(str(error)) from error
        letter = Letter(receiver, texts, authority, notification, self._console(), name, created)
        try:
            async with asyncio.timeout(_LIMIT):
                return await send(letter, self._allowed)
        except TimeoutError:
            raise SendFailed(f"No answer within {_LIMIT:.0f} s.") from None

    async def test(self, key: ObjectKey, alert: Alert, now: float, who: str) -> Delivery:
        """Send a receiver a message at once that says that it is a test; what became of it. It is not tried again.

        Raises:
            RequestRefused: 404, there is no such receiver; 429 while too many tests are on their way: of its namespace,
                of the caller (`who`) or of all.
        """
        receiver = self._receiver(key)
        if receiver is None:
            raise self._deployment.missing(key)
        with _have(self._tested, key.namespace, key), _have(self._testers, who, key):
            return await self._test(receiver, key, alert, now)

    async def _test(self, receiver: AlertReceiver, key: ObjectKey, alert: Alert, now: float) -> Delivery:
        notification = Notification(GroupKey(str(key), (("alertname", "test"),)), (alert,), is_test=True)
        made = Delivery(secrets.token_hex(16), str(key), emit_notification(notification), now, attempts=1)
        try:
            detail = await self._send(receiver, notification, made.id, now)
            made = replace(made, state="delivered", ended=time.time(), detail=detail)
        except SendFailed as error:
            made = replace(made, state="failed", ended=time.time(), detail=str(error))
        self.counts[receiver.spec.type, made.state] += 1
        self._note(made)
        await self._deployment.call(self._store.put_delivery, made)
        return made


@contextlib.contextmanager
def _have(places: Places, owner: str, key: ObjectKey) -> Iterator[None]:
    """A place for a test of a receiver, at once or not at all."""
    if not places.take(owner):
        text = f"Too many tests are on their way; try {key.title} again in {_TEST_WAIT} seconds."
        raise RequestRefused(429, "too-many", text, retry_after=_TEST_WAIT)
    try:
        yield
    finally:
        places.leave(owner)
