"""A caller that is taken off keeps its access for a while; nobody else gains any."""

import asyncio

from isthmus.compile.intent import Access
from isthmus.emit.envoy.fabric import emit_access
from isthmus.emit.envoy.name import FABRIC_ACCESS
from isthmus.model import ObjectKey
from isthmus.site.access import CallerAccess, Extensions, linger_access

WEB, API = ObjectKey("default", "Cluster", "shop", "web"), ObjectKey("default", "Cluster", "shop", "api")


def test_union_of_before_and_after() -> None:
    before = (Access(WEB, ("ams", "fra")),)
    after = (Access(API, ("nyc",)), Access(WEB, ("fra",)))
    assert linger_access(before, after) == (Access(API, ("nyc",)), Access(WEB, ("ams", "fra")))


def test_nothing_taken_off_changes_nothing() -> None:
    after = (Access(API, ("nyc",)), Access(WEB, ("ams", "fra")))
    assert linger_access((Access(WEB, ("ams",)),), after) == after
    assert linger_access((), after) == after
    assert linger_access(after, ()) == after


async def test_who_is_taken_off_loses_access_after_a_while_however_many_plans_come() -> None:
    updates: list[dict[str, bytes]] = []
    done = asyncio.Event()

    def update(extensions: Extensions) -> None:
        updates.append(dict(extensions))
        done.set()

    access = CallerAccess(update, delay=0.05)
    first, fewer = (Access(WEB, ("ams", "fra")),), (Access(WEB, ("fra",)),)
    exact = {FABRIC_ACCESS: emit_access(fewer)}
    assert access.use(first, {FABRIC_ACCESS: b"first"}) == {FABRIC_ACCESS: b"first"}
    assert access.use(fewer, exact) == {FABRIC_ACCESS: emit_access(first)}
    async with asyncio.timeout(60):
        while not done.is_set():  # plan after plan puts nothing off
            access.use(fewer, exact)
            await asyncio.sleep(0.005)
    assert updates == [exact]
    assert access.use(fewer, exact) == exact
    access.use((), {})
    access.cancel()
