"""Registries as a site runs them: secrets that come late and change, settings that change, answers that are kept."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from isthmus.compile.intent import Registry
from isthmus.discovery.found import Found
from isthmus.discovery.ledger import Ledger, Lookup, parse_ledger
from isthmus.discovery.query import DnsQuery
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsSettings, DnsUpdate
from isthmus.model.key import ObjectKey
from isthmus.site.discovery import Discovery

from .knot import KEY_NAME, OTHER_SECRET, SECRET, ZONE, Knot, until

REGISTRY = ObjectKey("default", "ServiceDiscovery", "shared", "dns")
TSIG = ObjectKey("default", "Secret", "shared", "tsig")
HOST = ObjectKey("default", "VirtualHost", "shop", "web")


class Site:
    """What an agent gives and hears."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.secrets: dict[ObjectKey, str] = {}
        self.saved = b"[]"
        self.taken: dict[Lookup, tuple[Found, ...] | None] = {}
        self.compilations = 0
        self.discovery = Discovery(
            ledger or Ledger(),
            secret=lambda key: self.secrets.get(key),
            changed=self._compile,
            told=lambda: None,
            save=self._save,
        )

    def _compile(self) -> None:
        self.compilations += 1
        self.taken.update(self.discovery.take())

    def _save(self, data: bytes) -> None:
        self.saved = data

    def errors(self) -> dict[str, str | None]:
        return {each.record.domain: each.error for each in self.discovery.published()}


@contextlib.asynccontextmanager
async def running(*registries: Registry, ledger: Ledger | None = None, **secrets: str) -> AsyncIterator[Site]:
    site = Site(ledger)
    site.secrets = {TSIG: secrets["tsig"]} if secrets else {}
    site.discovery.start()
    site.discovery.use(registries)
    try:
        yield site
    finally:
        await site.discovery.stop(withdraw=True)


def settings(knot: Knot, *, update: bool = False) -> DnsSettings:
    change = DnsUpdate(ZONE, knot.server, KEY_NAME, "hmac-sha256", TSIG, "default/fra", 30_000)
    return DnsSettings((knot.server,), timeout=1000, min_ttl=50, update=change if update else None)


async def test_a_secret_that_comes_late_and_one_that_changes(knot: Knot) -> None:
    """Without the key nothing is published, but names are resolved all the same."""
    knot.replace("r1", "A", "192.0.2.1", ttl=0)
    query, domain = DnsQuery(f"r1.{ZONE}", "A", 80), f"r1vip.{ZONE}"
    record = VipRecord(domain, 80, ("192.0.2.9",), "outside", HOST)
    registry = Registry(REGISTRY, settings(knot, update=True), (query,), (record,))
    async with running(registry) as site:
        await until(lambda: Lookup(REGISTRY, query) in site.taken)
        assert site.errors() == {domain: "Secret shared/tsig is not known at this site"}
        site.secrets[TSIG] = OTHER_SECRET
        site.discovery.use((registry,))
        await until(lambda: "refuses the key" in (site.errors()[domain] or ""))
        site.secrets[TSIG] = SECRET
        site.discovery.use((registry,))
        await until(lambda: site.errors() == {domain: ""})
        assert knot.records("r1vip", "A") == {"192.0.2.9"}
        site.discovery.use(())
        await until(lambda: knot.records("r1vip", "A") == set())
        assert dict(site.discovery.entries()) == {}


async def test_answers_are_kept_and_handed_on(knot: Knot) -> None:
    knot.replace("r2", "A", "192.0.2.1", ttl=0)
    query = DnsQuery(f"r2.{ZONE}", "A", 80)
    lookup = Lookup(REGISTRY, query)
    registry = Registry(REGISTRY, settings(knot), (query,))
    async with running(registry) as site:
        await until(lambda: site.taken.get(lookup) == (Found("192.0.2.1", 80),))
    unreachable = replace(settings(knot), servers=(replace(knot.server, port=1),), timeout=100)
    async with running(replace(registry, settings=unreachable), ledger=parse_ledger(site.saved)) as again:
        assert dict(again.discovery.take()) == {lookup: (Found("192.0.2.1", 80),)}
        await until(lambda: bool(again.discovery.entries()[lookup].error))
        assert again.discovery.entries()[lookup].found == (Found("192.0.2.1", 80),)
        again.discovery.use((registry,))
        await until(lambda: not again.discovery.entries()[lookup].error)


async def test_churn_is_compiled_once_a_second(knot: Knot) -> None:
    """Twenty changes in a row are far fewer compilations, and the last one is always among them."""
    query = DnsQuery(f"r3.{ZONE}", "A", 80)
    lookup = Lookup(REGISTRY, query)
    knot.replace("r3", "A", "192.0.2.100", ttl=0)
    began = time.monotonic()
    async with running(Registry(REGISTRY, settings(knot), (query,))) as site:
        await until(lambda: lookup in site.taken)
        for last in range(1, 21):
            knot.replace("r3", "A", f"192.0.2.{last}", ttl=0)
            await until(lambda last=last: site.discovery.entries()[lookup].found == (Found(f"192.0.2.{last}", 80),))
        await until(lambda: site.taken[lookup] == (Found("192.0.2.20", 80),))
        assert site.compilations <= 3 + (time.monotonic() - began)
