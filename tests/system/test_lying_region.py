"""A region whose operator changes what it relays: sites refuse it, keep what they have, and go on when it is honest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus import __version__
from isthmus.demo.deployment import wait_until
from isthmus.demo.example import load_example
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import summarise
from isthmus.identity import CredentialDirectory, Role
from isthmus.protocol import Chain, Hub, HubHandler, StreamServer, Uplink, UplinkHandler
from isthmus.protocol.cache import Cache
from isthmus.region.relay import RelayShelf

from .conftest import Measure, report, verdict, watching

SITE = "default/site/ams"


class LyingShelf(RelayShelf):
    """Hands on other bytes than it got: of objects, or of manifests."""

    def __init__(self, uplink: Uplink, what: str) -> None:
        super().__init__(uplink.holdings)
        self._what = what

    def chain(self, subject: str, peer: str) -> Chain | None:
        chain = super().chain(subject, peer)
        if chain is None or self._what != "manifest":
            return chain
        links = [replace(link, signed=_change(link.signed)) for link in (chain.full, *chain.deltas)]
        return replace(chain, full=links[0], deltas=tuple(links[1:]))

    def body(self, digest: str) -> bytes | None:
        body = super().body(digest)
        return _change(body) if body is not None and self._what == "object" else body


def _change(body: bytes) -> bytes:
    """The same length, other content: what was 5 becomes 6, or one bit turns."""
    changed = body.replace(b'"weight":5', b'"weight":6')
    return changed if changed != body else body[:20] + bytes([body[20] ^ 1]) + body[21:]


@asynccontextmanager
async def lying(shop: Shop, what: str) -> AsyncIterator[int]:
    """Take the place of region eu, with its key and all that it holds. Gives the revision that it holds for ams."""
    state = shop.deployment.state("eu")
    uplink = Uplink(state / "stream", CredentialDirectory(state), UplinkHandler(), release=__version__)
    trust = (state / "trust.signed").read_bytes()
    hub = Hub(
        LyingShelf(uplink, what), HubHandler(), trust=trust, release=__version__, roles=[Role.SITE], tenant="default"
    )
    server = StreamServer(hub, lambda: uplink.credential)
    spec = shop.document("Region", "eu")["spec"]
    await server.start(f"{spec['address']}:{spec['port']}")
    held = uplink.state(SITE)
    assert held is not None
    yield held.version.revision
    await server.stop(0.2)
    await hub.close()
    await uplink.stop()


async def until_held(shop: Shop, region: str, revision: int) -> None:
    """Wait until a region has a revision of the site's manifest on its disk."""

    def held() -> bool:
        cache = Cache(shop.deployment.state(region) / "stream" / "cache.sqlite")
        try:
            chains = {chain.state.subject: chain.state.version for chain in cache.load_chains()}
        finally:
            cache.close()
        return SITE in chains and chains[SITE].revision == revision

    await wait_until(held, 60, f"{region} holds revision {revision}", pause=0.2)


def _text(log: Path) -> str:
    return log.read_text(errors="replace")


def applied(shop: Shop) -> int:
    try:
        return int(report(shop, "ams")["manifest"]["applied"]["revision"])
    except Exception:  # its agent is starting
        return 0


@pytest.mark.parametrize("what", ["object", "manifest"])
async def test_site_refuses_what_a_region_changed(shop: Shop, measured: Measure, what: str) -> None:
    deployment = shop.deployment
    log = Path(deployment.processes["ams"].log)
    before = applied(shop)
    async with watching(shop) as watch:
        await deployment.kill("ams")
        answer = await deployment.apply(load_example("canary", deployment.plan))
        for region in shop.regions:
            await until_held(shop, region, answer["revision"])
        for region in shop.regions:
            await deployment.kill(region)
        start = len(_text(log))
        async with lying(shop, what) as held:
            assert held == answer["revision"]
            deployment.start("ams")
            await wait_until(lambda: "stream.refused" in _text(log)[start:], 90, "ams refuses it", pause=0.2)
            await asyncio.sleep(1)
            assert applied(shop) == before
            assert set(summarise(watch.last(1)).versions) <= {"v1"}
        for region in shop.regions:
            deployment.start(region)
        await wait_until(
            lambda: applied(shop) == answer["revision"], 60, "ams applies it from honest regions", pause=0.2
        )
        await wait_until(lambda: "v2" in summarise(watch.last(1)).versions, 60, "the next version is seen")
    measured(verdict(watch))
    assert watch.failed == 0
