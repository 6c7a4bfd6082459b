"""What a new agent says of an Envoy that it has adopted, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

import pytest

from isthmus.compile.intent import Intent, Socket
from isthmus.compile.probe import UdpProbe
from isthmus.engine.envoy import HealthEvent, HostHealth
from isthmus.site.resumption import resume
from isthmus.site.udp_probe import SETTLING, UdpProber

from .hurry import hurried
from .test_egress import CHECK, Desk, intent, ready


class Server(asyncio.DatagramProtocol):
    """Answers once it is told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.questions: list[tuple[bytes, tuple[str, int]]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.questions.append((data, addr))
        self.asked.set()

    def answer(self) -> None:
        for question in self.questions:
            self.transport.sendto(*question)


def probed(port: int) -> Intent:
    """One endpoint at this port, probed by UDP."""
    (hosted,) = intent("a").hosted
    check = replace(CHECK, timeout=60_000, udp=UdpProbe(b"ping".hex(), b"ping".hex()))
    (endpoint,) = hosted.endpoints
    endpoints = (replace(endpoint, socket=Socket("127.0.0.1", port, "udp")),)
    return replace(intent(), hosted=(replace(hosted, health_checks=(check,), endpoints=endpoints),))


def prober_of(desk: Desk) -> UdpProber:
    def hear(event: HealthEvent) -> None:
        desk.egress.hear(event, event.at)

    return UdpProber(xds_names=lambda cluster, checks: (f"{cluster.name}@local",), on_event=hear)


def answer(desk: Desk, *hosts: HostHealth) -> Callable[[], asyncio.Future[bool]]:
    """An Envoy that says this of its hosts."""

    def learn() -> asyncio.Future[bool]:
        desk.egress.reconcile(hosts, 1.0)
        found: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        found.set_result(True)
        return found

    return learn


async def test_an_envoy_that_does_not_answer_withdraws_nothing() -> None:
    before = ready("a")
    before.event("a", True)
    desk = Desk(before.saved[-1])
    desk.egress.identify(3, before.egress.routes())

    async def learn() -> bool:
        return False

    prober = prober_of(desk)
    assert await resume(intent("a"), learn, desk.egress, prober) is None
    assert desk.egress.plan(2.0) is None
    assert desk.plans == []
    assert desk.egress.routes() == before.egress.routes()
    await prober.stop()


async def test_a_new_speaker_hears_first_what_is_found_by_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    wanted, desk = probed(transport.get_extra_info("sockname")[1]), Desk()
    prober = prober_of(desk)
    monkeypatch.setattr(prober, "settle", partial(prober.settle, seconds=120.0))  # however late the answer comes
    resumed = asyncio.ensure_future(resume(wanted, answer(desk), desk.egress, prober))
    async with asyncio.timeout(60):
        await server.asked.wait()
        assert not resumed.done()
        assert desk.plans == []
        server.answer()
        known = await resumed
    assert known is not None
    desk.egress.confirm(known, 2.0)
    assert [len(plan.announce) for plan in desk.plans] == [1]
    await prober.stop()
    transport.close()


async def test_endpoints_that_do_not_answer_are_waited_for_within_bounds() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    wanted, desk = probed(transport.get_extra_info("sockname")[1]), Desk()
    prober = prober_of(desk)
    with hurried():
        begun = asyncio.get_running_loop().time()
        known = await resume(wanted, answer(desk), desk.egress, prober)
        assert SETTLING <= asyncio.get_running_loop().time() - begun < 60  # when the probe itself would give up
    assert known is not None
    desk.egress.confirm(known, 2.0)
    assert [(plan.announce, plan.withdraw) for plan in desk.plans] == [((), ())]
    await prober.stop()
    transport.close()


async def test_an_adopted_speaker_says_on_what_was_found_by_udp_before() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
    wanted, before = probed(transport.get_extra_info("sockname")[1]), ready()
    before.egress.confirm(wanted, 1.0)
    (endpoint,) = wanted.hosted[0].endpoints
    before.egress.hear(HealthEvent("web@local", "127.0.0.1", endpoint.socket.port, True, "", 1.0), 1.0)
    desk = Desk(before.saved[-1])
    desk.egress.identify(3, before.egress.routes())
    prober = prober_of(desk)
    with hurried() as waited:
        known = await resume(wanted, answer(desk), desk.egress, prober)
        assert waited() == 0
    assert known is not None
    desk.egress.confirm(known, 2.0)
    assert desk.announced() == ["a"]
    assert [plan for plan in desk.plans if plan.withdraw] == []
    await prober.stop()
    transport.close()
