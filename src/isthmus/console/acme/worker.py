"""Gets and renews certificates.

One at a time for each certificate:
1. Order; learn what the server will ask.
2. Publish the answers with the certificate, to the sites that serve it.
3. Wait until each of them that is connected uses that version; only then tell the server to ask.
4. Wait for its verdict; have the certificate issued; publish chain and key in place of the old ones, and take the
   answers back.

Whatever goes wrong, the old certificate stays; the answers are taken back, and it is tried again later. Only the
console that leads does this, since no other reads or writes anything.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

import structlog

from isthmus.console.acme.account import account_key
from isthmus.console.acme.answering import AnsweringSites
from isthmus.console.acme.caller import Caller
from isthmus.console.acme.due import next_attempt, why_due
from isthmus.console.acme.request import emit_private_key, make_private_key, make_request
from isthmus.console.acme.server import AcmeFailed, AcmeServer, External, MakeServer, Order
from isthmus.console.acme.standing import Standing
from isthmus.console.cipher import Encrypted, Place
from isthmus.console.database import StoreError
from isthmus.console.deployment import Deployment
from isthmus.console.error import RequestRefused
from isthmus.console.observation import Observation
from isthmus.console.place import Places
from isthmus.console.record import AcmeAttempt
from isthmus.console.store import Store
from isthmus.identity import write_file
from isthmus.model.acme import AcmeSpec, AcmeState, Challenge
from isthmus.model.certificate import Certificate
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object
from isthmus.model.private import Private
from isthmus.model.reference import resolve
from isthmus.model.trusted_authority import TrustedAuthority

_WHO = "acme"
"""As which it changes objects."""
_AT_ONCE, _OF_ONE = 12, 4
"""Certificates that are got at the same time: of all, and of one namespace."""
_NOWHERE = "no site is to serve it: no virtual host that is advertised somewhere names it"
_IDLE = Standing()
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things may take, in seconds.

    Attributes:
        start: before the first look, so that sites have connected to a console that was started again.
        look: between looks at what is due.
        sites: for the sites to take up a challenge.
        settle: between that and the server's question, for Envoy's threads to take it up.
        verdict: for the server to ask.
        issue: for the server to issue.
        poll: between questions to the server.
        call: for all the requests of one step, such as an order with its names.
    """

    start: float = 15.0
    look: float = 2.0
    sites: float = 60.0
    settle: float = 0.5
    verdict: float = 120.0
    issue: float = 120.0
    poll: float = 1.0
    call: float = 120.0


class AcmeWorker:
    """`run` works until it is cancelled. `standing` is what people are told."""

    def __init__(
        self,
        deployment: Deployment,
        observation: Observation,
        store: Store,
        directory: Path,
        make_server: MakeServer,
        pace: Pace | None = None,
    ) -> None:
        """Args: `directory`: for the authorities of servers, which the library reads from files."""
        self._deployment = deployment
        self._store = store
        self._directory = directory
        self._make_server = make_server
        self._pace = pace or Pace()
        self._sites = AnsweringSites(deployment, observation, self._pace.sites)
        self._standings: dict[ObjectKey, Standing] = {}
        self._tried: dict[ObjectKey, str] = {}
        self._known: tuple[int, list[ObjectKey]] = (-1, [])
        self._tasks: dict[ObjectKey, asyncio.Task[None]] = {}
        self._places = Places(_AT_ONCE, _OF_ONE)
        # more than places: a thread that asks for an address ends only when the resolver does
        self._caller = Caller(2 * _AT_ONCE, self._pace.call)

    def standing(self, key: ObjectKey) -> Standing:
        """How it stands with a certificate."""
        return self._standings.get(key, _IDLE)

    # Looking

    async def run(self) -> None:
        """Work until cancelled."""
        await self._recall()
        await asyncio.sleep(self._pace.start)
        try:
            while True:
                try:
                    await self._look(datetime.now(UTC))
                except Exception:  # one certificate must not keep the others from being renewed
                    _log.exception("acme.failed")
                await asyncio.sleep(self._pace.look)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._caller.close()

    async def _recall(self) -> None:
        """What failed before this console started, so that a start is no way round the wait."""
        keys = {str(each.key): each.key for each in self._certificates()}
        for attempt in await self._deployment.call(self._store.acme_attempts):
            key = keys.get(attempt.key)
            if key is None:
                await self._deployment.call(self._store.forget_acme_attempt, attempt.key)
                continue
            self._tried[key] = attempt.declared
            self._standings[key] = Standing("", attempt.failures, attempt.error, attempt.failed_at, attempt.next_at)

    def _certificates(self) -> list[Certificate]:
        """Those by ACME. All objects are looked at only when some have changed."""
        records, revision = self._deployment.records, self._deployment.revision
        if self._known[0] != revision:
            self._known = (revision, [key for key in records if key.kind == "Certificate"])
        found = (records[key].object for key in self._known[1] if key in records)
        mine = (obj for obj in found if isinstance(obj, Certificate) and obj.spec.acme is not None)
        return [obj for obj in mine if obj.refused is None]  # what is got for one that cannot be changed would be lost

    async def _look(self, now: datetime) -> None:
        certificates = {each.key: each for each in self._certificates()}
        for gone in (self._standings.keys() | self._tried.keys()) - certificates.keys() - self._tasks.keys():
            await self._forget(gone)
        for key, certificate in certificates.items():
            if key in self._tasks:
                continue
            if why_due(certificate, now) is None:
                await self._forget(key)
            elif self._is_wanted(key, certificate, now):
                self._tried[key] = _digest(certificate)
                task = self._tasks[key] = asyncio.create_task(self._attempt(key))
                task.add_done_callback(lambda _, key=key: self._tasks.pop(key, None))  # type: ignore[misc]

    async def _forget(self, key: ObjectKey) -> None:
        """There is nothing to tell of a certificate any more."""
        self._standings.pop(key, None)
        if self._tried.pop(key, None) is not None:
            await self._deployment.call(self._store.forget_acme_attempt, str(key))

    def _is_wanted(self, key: ObjectKey, certificate: Certificate, now: datetime) -> bool:
        """Whether to try now to get a certificate that is due: some site is to serve it, and no attempt with the same
        declaration failed a short while ago."""
        known = self.standing(key)
        if self._tried.get(key) != _digest(certificate):
            known = replace(known, failures=0, next_attempt=None)
        if not self._deployment.index.sites_of(key):
            self._standings[key] = replace(known, activity=_NOWHERE)
            return False
        self._standings[key] = replace(known, activity="")
        return known.next_attempt is None or known.next_attempt <= now

    # One certificate

    async def _attempt(self, key: ObjectKey) -> None:
        before = self.standing(key)
        try:
            async with self._places.place(key.namespace):
                await self._get(key)
            why = why_due(self._current(key), datetime.now(UTC))
            if why is None:
                await self._forget(key)
            else:  # the next one would be as this one is
                await self._fail(key, before, f"the server issued one, but {why}", None)
        except (AcmeFailed, RequestRefused) as error:
            await self._fail(key, before, str(error), error.retry_after if isinstance(error, AcmeFailed) else None)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            _log.exception("acme.attempt_failed", certificate=str(key))
            await self._fail(key, before, f"{type(error).__name__}: see the console's log", None)

    async def _fail(self, key: ObjectKey, before: Standing, reason: str, asked: timedelta | None) -> None:
        now = datetime.now(UTC)
        failures = before.failures + 1
        again = next_attempt(failures, now, asked, random.random)
        offline = self.standing(key).offline
        self._standings[key] = Standing("", failures, reason, now, again, offline)
        _log.warning("acme.refused", certificate=str(key), reason=reason, next_attempt=again.isoformat())
        with contextlib.suppress(AcmeFailed, RequestRefused):
            await self._put_challenges(key, ())
        attempt = AcmeAttempt(str(key), self._tried.get(key, ""), failures, reason, now, again)
        try:
            await self._deployment.call(self._store.put_acme_attempt, attempt)
        except StoreError as error:
            _log.warning("acme.attempt_not_stored", certificate=str(key), reason=str(error))

    def _say(self, key: ObjectKey, activity: str, offline: tuple[str, ...] | None = None) -> None:
        known = self.standing(key)
        self._standings[key] = replace(known, activity=activity, offline=known.offline if offline is None else offline)

    async def _get(self, key: ObjectKey) -> None:
        certificate = self._current(key)
        spec = certificate.spec.acme
        assert spec is not None
        why = why_due(certificate, datetime.now(UTC))
        if why is None:
            return
        _log.info("acme.order", certificate=str(key), reason=why, directory=spec.directory)
        self._say(key, "ordering", ())
        server = await self._server(key, spec)
        try:
            await self._issue(key, spec, server)
        finally:
            server.close()
        _log.info("acme.issued", certificate=str(key))

    async def _issue(self, key: ObjectKey, spec: AcmeSpec, server: AcmeServer) -> None:
        await self._caller.ask(server, server.open, spec.email, self._external(key, spec))
        private = await self._caller.run(make_private_key, spec.key_type)
        order = await self._caller.ask(server, server.order, make_request(spec.domains, private), spec.challenge)
        if order.challenges:
            await self._prove(key, server, order)
        self._say(key, "waiting for the server to issue it")
        await self._caller.ask(server, server.finalize, order)
        chain = await self._fetch(server, order)
        state = AcmeState(chain=chain, private_key=Private(text=emit_private_key(private)), directory=spec.directory)
        await self._publish(key, lambda _: state)

    async def _server(self, key: ObjectKey, spec: AcmeSpec) -> AcmeServer:
        async def keep(values: Mapping[Place, Encrypted]) -> None:
            await self._deployment.call(self._store.put_private_values, values)

        secret = await account_key(self._deployment.vault, keep, key, spec)
        return self._make_server(spec.directory, secret, await self._caller.run(self._authorities, key, spec))

    def _external(self, key: ObjectKey, spec: AcmeSpec) -> External | None:
        if spec.external_account is None:
            return None
        target = resolve(spec.external_account.mac_key, "Secret", key.tenant, key.namespace)
        record = self._deployment.records.get(target)
        if record is None:
            raise AcmeFailed(f"{target.title} does not exist")
        return External(spec.external_account.key_id, self._deployment.vault.texts(record.object)["value"].strip())

    def _authorities(self, key: ObjectKey, spec: AcmeSpec) -> str | None:
        """The file of those that are believed; None for the system's."""
        if spec.trusted_authority is None:
            return None
        target = resolve(spec.trusted_authority, "TrustedAuthority", key.tenant, key.namespace)
        record = self._deployment.records.get(target)
        if record is None or not isinstance(record.object, TrustedAuthority):
            raise AcmeFailed(f"{target.title} does not exist")
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{target.tenant}.{target.namespace}.{target.name}.pem"
        write_file(path, record.object.spec.certificates.encode())
        return str(path)

    async def _prove(self, key: ObjectKey, server: AcmeServer, order: Order) -> None:
        self._say(key, "bringing the answers to the sites")
        await self._put_challenges(key, order.challenges)
        await self._deployment.published()
        offline = await self._sites.taken_up(key)
        self._say(key, "waiting for the server to ask the sites", offline)
        await asyncio.sleep(self._pace.settle)
        await self._caller.ask(server, server.answer, order)
        try:
            await self._validated(server, order)
        except AcmeFailed as failure:
            hints = self._sites.hints(key, {each.domain for each in order.challenges})
            if not hints:
                raise
            raise AcmeFailed("; ".join((str(failure), *hints)), failure.retry_after) from failure

    async def _validated(self, server: AcmeServer, order: Order) -> None:
        deadline = time.monotonic() + self._pace.verdict
        while not await self._caller.ask(server, server.is_validated, order):
            if time.monotonic() > deadline:
                raise AcmeFailed(f"the server has not asked for {self._pace.verdict:.0f} seconds")
            await asyncio.sleep(self._pace.poll)

    async def _fetch(self, server: AcmeServer, order: Order) -> str:
        deadline = time.monotonic() + self._pace.issue
        while (chain := await self._caller.ask(server, server.fetch, order)) is None:
            if time.monotonic() > deadline:
                raise AcmeFailed(f"the server has not issued it for {self._pace.issue:.0f} seconds")
        return chain

    # Objects

    def _current(self, key: ObjectKey) -> Certificate:
        record = self._deployment.records.get(key)
        certificate = record.object if record is not None else None
        if not isinstance(certificate, Certificate) or certificate.spec.acme is None:
            raise AcmeFailed("it was taken out of the declaration meanwhile")
        return certificate

    async def _put_challenges(self, key: ObjectKey, challenges: tuple[Challenge, ...]) -> None:
        await self._publish(key, lambda state: (state or AcmeState()).model_copy(update={"challenges": challenges}))

    async def _publish(self, key: ObjectKey, change: Callable[[AcmeState | None], AcmeState]) -> None:
        """Change what the console got, whatever people change meanwhile."""

        def changed(obj: Object) -> Object:
            assert isinstance(obj, Certificate)
            return obj.with_acme(change(obj.system.acme))

        while True:
            self._current(key)
            try:
                await self._deployment.update(_WHO, key, changed)
                return
            except RequestRefused as refused:
                if refused.code != "conflict":
                    raise


def _digest(certificate: Certificate) -> str:
    """What tells a declaration from another."""
    return sha256(certificate.spec.model_dump_json().encode()).hexdigest()
