"""Measuring the time to other sites, and what an ingress site makes of it."""

from __future__ import annotations

import asyncio

from isthmus.compile.intent import Cluster, Intent, Member, Shape, Socket
from isthmus.health.event import Announced
from isthmus.health.route import EndpointRoute
from isthmus.health.table import Table
from isthmus.model.key import ObjectKey
from isthmus.site.ingress import Ingress
from isthmus.site.round_trip import keep_measuring, measure_round_trip

WEB = ObjectKey("default", "Cluster", "shop", "web")


def intent(port: int, **more: object) -> Intent:
    members = tuple(
        Member(site, number, False, (Socket("127.0.0.1", port),), f"{site}.test", None, False, ())
        for number, site in enumerate(("fra", "nyc"), 1)
    )
    cluster = Cluster(
        WEB, 5, Shape.FABRIC, "LOCAL_PREFERRED", "ROUND_ROBIN", members, 1000, None, nearness="ROUND_TRIP"
    )
    return Intent("default", "ams", number=9, clusters=(cluster,), imports=(5,), **more)  # type: ignore[arg-type]


def ingress(table: Table) -> Ingress:
    return Ingress(table, emit=lambda _, __: {}, push=lambda _: None, local_weight=lambda _, __: 0)


def order(desk: Ingress) -> list[tuple[str, float | None]]:
    return [(each.site, each.round_trip) for each in desk.choice(WEB)]


async def test_measured_and_declared_times_decide_the_order() -> None:
    desk = ingress(Table())
    desk.use(intent(7400))
    for site in (1, 2):
        desk.hear(Announced("eu", EndpointRoute(site, 1, 5, 1, 0)))
    await asyncio.sleep(0)
    assert order(desk) == [("fra", None), ("nyc", None)]
    desk.measure("fra", 30.0)
    desk.measure("nyc", 10.0)
    await asyncio.sleep(0)
    assert order(desk) == [("nyc", 10.0), ("fra", 30.0)]
    assert set(desk.measured_sites()) == {"fra", "nyc"}
    desk.use(intent(7400, round_trips=(("fra", 5),)))
    assert order(desk) == [("fra", 5.0), ("nyc", 10.0)]
    assert set(desk.measured_sites()) == {"nyc"}
    desk.stop()


async def test_a_connection_is_timed() -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    taken = None
    while taken is None:  # whatever takes longer than its limit
        taken = await measure_round_trip(Socket("127.0.0.1", port))
    assert taken > 0
    desk = ingress(Table())
    desk.use(intent(port))
    measuring = asyncio.create_task(keep_measuring(desk, 0.01))
    for site in (1, 2):
        desk.hear(Announced("eu", EndpointRoute(site, 1, 5, 1, 0)))
    async with asyncio.timeout(60):
        while any(time is None for _, time in order(desk)) or not order(desk):  # noqa: ASYNC110 - polls a task
            await asyncio.sleep(0.01)
    measuring.cancel()
    server.close()
    desk.stop()
    assert await measure_round_trip(Socket("127.0.0.1", port)) is None
