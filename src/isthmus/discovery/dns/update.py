"""Publishing by dynamic update (RFC 2136), signed with TSIG (RFC 8945), on a server that others use too.

Beside the addresses of a domain stand records that say whose they are:

    shop.example.                 A     192.0.2.1, 192.0.2.2
    _isthmus.shop.example.        TXT   "owner=<owner>" "192.0.2.1"      one per site that publishes the domain
    _<hash of owner>._isthmus.<zone>.   PTR   shop.example., ...         what an owner has published

1. The owner's PTR records name what it has published, also by a process before this one. These domains and those that
   are wanted are looked at one by one.
2. A domain without a TXT record of any site, but with addresses or an alias, is somebody else's: it stays, and that is
   the record's error.
3. Otherwise one message adds the wanted addresses and takes away those that this owner has added before, but for those
   that another owner lists too; with it go the owner's TXT and PTR records.
4. The message's prerequisites are the TXT records as they were read, and for a new domain that there is nothing. When
   somebody was faster, all is read again.
"""

import asyncio
import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update

from isthmus.backoff import Backoff
from isthmus.discovery.error import RegistryError, SettingError
from isthmus.discovery.publisher import Publisher, Report
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsUpdate
from isthmus.model.dns_discovery import parse_tsig_secret

MAX_OWNER = 240
"""Bytes of an owner that fit one text of a TXT record; of a longer one its hash is written."""
REFRESH = 300.0
"""Seconds between looks whether everything is still there: others may have changed the zone."""
TIMEOUT = 5.0
"""Seconds for one exchange with the server."""
FAREWELL = 3.0
"""Seconds to take everything back when the site ends for good."""
_RACES = 5
"""Tries when others change the same domain at the same time."""
_ADDRESS_TYPES = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}
_RACE = (dns.rcode.NXRRSET, dns.rcode.YXRRSET, dns.rcode.NXDOMAIN, dns.rcode.YXDOMAIN)


class _Raced(Exception):
    """Somebody else changed the domain meanwhile."""


class _Foreign(Exception):
    """The domain is somebody else's."""


@dataclass(frozen=True, slots=True)
class _State:
    """What the server holds for a domain: all TXT records as they are, and addresses by owner."""

    claims: tuple[Any, ...]
    listed: dict[str, frozenset[str]]
    taken: bool


class UpdatePublisher(Publisher):
    """See above and `Publisher`. `secret` is the TSIG key in base64."""

    def __init__(self, update: DnsUpdate, secret: str, report: Report, *, random: Random | None = None) -> None:
        self._update = update
        self._secret = secret
        self._report = report
        self._random = random or Random()  # noqa: S311 - spreads load, keeps no secret
        self._key: dns.tsig.Key | None = None
        self._zone = dns.name.from_text(update.zone)
        digest = hashlib.sha256(update.owner.encode()).hexdigest()
        self._owner = update.owner if len(update.owner) <= MAX_OWNER else digest
        self._index = dns.name.from_text(f"_{digest[:16]}._isthmus", self._zone)
        self._records: frozenset[VipRecord] | None = None
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Publisher`."""
        self._task = asyncio.create_task(self._run())

    async def stop(self, *, withdraw: bool) -> None:
        """See `Publisher`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if withdraw and self._records is not None:
            with contextlib.suppress(TimeoutError, RegistryError, SettingError):
                async with asyncio.timeout(FAREWELL):
                    await self._reconcile({})

    def publish(self, records: frozenset[VipRecord]) -> None:
        """See `Publisher`."""
        if records != self._records:
            self._records = records
            self._wake.set()

    async def _run(self) -> None:
        backoff = Backoff(self._random)
        while True:
            if self._records is None:
                await self._wake.wait()
            self._wake.clear()
            records = self._records or frozenset()
            try:
                failed = await self._reconcile(_by_domain(records))
            except (RegistryError, SettingError) as error:
                for record in sorted(records):
                    self._report(record, str(error))
                failed = True
            if not failed:
                backoff.reset()
            wait = backoff.next_wait() if failed else REFRESH * self._random.uniform(0.9, 1.1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._wake.wait()

    async def _reconcile(self, wanted: dict[dns.name.Name, list[VipRecord]]) -> bool:
        """Bring the server to what is wanted; whether anything failed. Raises RegistryError, SettingError."""
        failed = False
        published = await self._published()
        for name in sorted(published | wanted.keys()):
            records = wanted.get(name, [])
            try:
                await self._bring(name, frozenset(a for record in records for a in record.addresses))
                error = ""
            except _Foreign as why:
                error = str(why)
            except RegistryError as why:
                error = str(why)
            failed = failed or bool(error)
            for record in sorted(records):
                self._report(record, error)
        return failed

    async def _published(self) -> set[dns.name.Name]:
        return {record.target for record in await self._read(self._index, dns.rdatatype.PTR)}

    async def _bring(self, name: dns.name.Name, addresses: frozenset[str]) -> None:
        """Make a domain's addresses of this owner these. Raises _Foreign, RegistryError."""
        for _ in range(_RACES):
            state = await self._state(name)
            own = state.listed.get(self._owner)
            if state.taken and not state.listed and addresses:
                raise _Foreign(f"{_text(name)} has records already that Isthmus has not made")
            if own == addresses and (not addresses or await self._holds(name, addresses)):
                return
            with contextlib.suppress(_Raced):
                await self._change(name, addresses, state)
                return
        raise RegistryError(f"others keep changing {_text(name)}")

    async def _holds(self, name: dns.name.Name, addresses: frozenset[str]) -> bool:
        """Whether all that this owner lists is there, so that nothing needs to be written."""
        there = {record.address for rdtype in _ADDRESS_TYPES.values() for record in await self._read(name, rdtype)}
        return addresses <= there

    async def _state(self, name: dns.name.Name) -> _State:
        claims = tuple(await self._read(_claim_name(name), dns.rdatatype.TXT))
        listed = dict(parsed for parsed in map(_parse_claim, claims) if parsed is not None)
        taken = False
        if not listed:
            for rdtype in (*_ADDRESS_TYPES.values(), dns.rdatatype.CNAME):
                taken = taken or bool(await self._read(name, rdtype))
        return _State(claims, listed, taken)

    async def _change(self, name: dns.name.Name, addresses: frozenset[str], state: _State) -> None:
        """One atomic change. Raises _Raced, RegistryError."""
        claim_name, ttl = _claim_name(name), self._update.ttl // 1000
        message = dns.update.UpdateMessage(self._zone)
        if state.claims:
            message.present(claim_name, dns.rrset.from_rdata_list(claim_name, 0, state.claims))
        else:
            message.absent(claim_name, "TXT")
            for rdtype in (*_ADDRESS_TYPES.values(), dns.rdatatype.CNAME) if addresses else ():
                message.absent(name, rdtype)
        others = {a for owner, found in state.listed.items() if owner != self._owner for a in found}
        for address in sorted(state.listed.get(self._owner, frozenset()) - addresses - others):
            message.delete(name, _rdata(address))
        for claim in state.claims:
            parsed = _parse_claim(claim)
            if parsed is not None and parsed[0] == self._owner:
                message.delete(claim_name, claim)
        for address in sorted(addresses):
            message.add(name, ttl, _rdata(address))
        if addresses:
            message.add(claim_name, ttl, _claim(self._owner, addresses))
            message.add(self._index, ttl, "PTR", name.to_text())
        else:
            message.delete(self._index, dns.rdata.from_text("IN", "PTR", name.to_text()))
        code = (await self._exchange(message)).rcode()
        if code in _RACE:
            raise _Raced
        if code != dns.rcode.NOERROR:
            raise RegistryError(f"{self._update.server} refuses the change of {_text(name)}: {dns.rcode.to_text(code)}")

    async def _read(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[Any]:
        """The records of a name; none when it does not exist. Raises RegistryError."""
        response = await self._exchange(dns.message.make_query(name, rdtype, flags=0))
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            code = dns.rcode.to_text(response.rcode())
            raise RegistryError(f"{self._update.server} does not say what is at {_text(name)}: {code}")
        rrset = response.get_rrset(response.answer, name, dns.rdataclass.IN, rdtype)
        return list(rrset) if rrset is not None else []

    async def _exchange(self, message: dns.message.Message) -> dns.message.Message:
        """Ask the server over TCP, signed. Raises RegistryError, SettingError."""
        message.use_tsig(self._tsig_key())
        server = self._update.server
        try:
            # Not dnspython's own limit: it waits in a way that can lose a cancellation (Python 3.11's `wait_for`).
            async with asyncio.timeout(TIMEOUT):
                return await dns.asyncquery.tcp(message, server.address, port=server.port)
        except dns.tsig.PeerError as error:
            reason = type(error).__name__.removeprefix("Peer")
            raise RegistryError(f"{server} refuses the key {self._update.key_name}: {reason}") from None
        except (dns.exception.Timeout, TimeoutError):
            raise RegistryError(f"{server} did not answer within {TIMEOUT:g} s") from None
        except (OSError, EOFError) as error:
            raise RegistryError(f"{server} is not reached: {getattr(error, 'strerror', None) or error}") from None
        except dns.exception.DNSException as error:
            kind = type(error).__name__
            raise RegistryError(f"{server} gave an answer that is not understood or not signed: {kind}") from None

    def _tsig_key(self) -> dns.tsig.Key:
        if self._key is None:
            try:
                secret = parse_tsig_secret(self._secret.encode())
            except ValueError as error:
                raise SettingError(f"the key {self._update.key_name} cannot be used: {error}") from None
            self._key = dns.tsig.Key(self._update.key_name, secret, self._update.algorithm)
        return self._key


def _by_domain(records: Iterable[VipRecord]) -> dict[dns.name.Name, list[VipRecord]]:
    found: defaultdict[dns.name.Name, list[VipRecord]] = defaultdict(list)
    for record in records:
        found[dns.name.from_text(record.domain)].append(record)
    return dict(found)


def _claim_name(name: dns.name.Name) -> dns.name.Name:
    """Where a domain's owners are written; of a wildcard beside it, for it would answer there otherwise."""
    if name.labels[0] == b"*":
        return dns.name.Name((b"_any", b"_isthmus", *name.labels[1:]))
    return dns.name.Name((b"_isthmus", *name.labels))


def _claim(owner: str, addresses: Iterable[str]) -> Any:
    """Texts of at most 255 bytes: the owner, then addresses."""
    texts = (f"owner={owner}", *sorted(addresses))
    return dns.rdata.from_text("IN", "TXT", " ".join(f'"{text}"' for text in texts))


def _parse_claim(record: Any) -> tuple[str, frozenset[str]] | None:
    texts = [text.decode("ascii", "replace") for text in record.strings]
    if not texts or not texts[0].startswith("owner="):
        return None
    return texts[0].removeprefix("owner="), frozenset(texts[1:])


def _rdata(address: str) -> Any:
    return dns.rdata.from_text("IN", "AAAA" if ":" in address else "A", address)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
