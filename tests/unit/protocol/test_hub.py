"""The hub with streams that a test holds itself: no gRPC."""

import asyncio
import time
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from isthmus.backoff import Backoff
from isthmus.generated import stream_pb2 as wire
from isthmus.identity import CertificateRefused, Identity, RenewalRequest, Role, Signer
from isthmus.protocol import (
    Admission,
    AppliedReport,
    Hub,
    HubHandler,
    PeerRefused,
    PresenceReport,
    Publisher,
    QueryFailed,
    StatusReport,
    Stream,
    Version,
)
from isthmus.protocol.report import Reports

FRA, EU, US = "default/site/fra", "default/region/eu", "default/region/us"


@dataclass
class Heard(HubHandler):
    told: list[tuple[str, str, Any]] = field(default_factory=list)

    def applied(self, via: Identity, report: AppliedReport) -> None:
        self.told.append((via.subject, report.subject, report.version))

    def presence(self, via: Identity, report: PresenceReport) -> None:
        self.told.append((via.subject, report.subject, report.connected))

    def status(self, via: Identity, report: StatusReport) -> None:
        self.told.append((via.subject, report.subject, report.at))

    async def renew(self, via: Identity, subject: str, request: RenewalRequest) -> bytes:
        if request.csr_pem != b"good":
            raise CertificateRefused("No.")
        return b"chain"


class World:
    def __init__(self) -> None:
        self.heard = Heard()
        self.publisher = Publisher(Signer.create(), lambda digest: b"body")
        self.hub = Hub(self.publisher, self.heard, trust=None, release="1.0", roles=[Role.REGION], tenant="default")
        self.woken: list[str] = []

    def publish(self, revision: int, text: str = "a") -> None:
        entries = {"default/Site//fra": sha256(text.encode()).hexdigest(), "default/Site//x": "00" * 32}
        self.publisher.publish(FRA, Version(1, revision), entries, regions=["eu"])

    def attach(self, name: str) -> Stream:
        stream = self.hub.attach(Identity("example.net", Role.REGION, "default", name), lambda: self.woken.append(name))
        hello = wire.Hello(version_min=1, version_max=1, release="0.9", subject=f"default/region/{name}")
        self.hub.deliver(stream, wire.Up(hello=hello))
        return stream

    def say(self, stream: Stream, **fields: Any) -> None:
        self.hub.deliver(stream, wire.Up(**fields))


def drain(stream: Stream) -> Any:
    down = wire.Down()
    while (message := stream.session.next_message()) is not None:
        down.MergeFrom(message)
    return down


def test_a_change_wakes_only_who_may_have_it() -> None:
    world = World()
    world.publish(1)
    eu, us = world.attach("eu"), world.attach("us")
    assert (len(drain(eu).updates), len(drain(us).updates)) == (1, 0)
    world.woken.clear()
    world.publish(2, "b")
    world.hub.changed([FRA])
    assert world.woken == ["eu"]
    assert (len(drain(eu).updates), len(drain(us).updates)) == (1, 0)


def test_presence_of_a_site_ends_with_the_stream_of_its_region() -> None:
    world = World()
    world.publish(1)
    eu = world.attach("eu")
    world.say(eu, presence=[wire.Presence(subject=FRA, connected=True, at=1.0)])
    assert world.hub.connected(FRA)
    world.hub.detach(eu)
    assert not world.hub.connected(FRA)
    assert world.heard.told == [(EU, EU, True), (EU, FRA, True), (EU, EU, False), (EU, FRA, False)]
    assert world.hub.streams == []


def test_a_second_stream_of_a_region_takes_over_quietly() -> None:
    world = World()
    world.publish(1)
    old, new = world.attach("eu"), world.attach("eu")
    for stream in (old, new):
        world.say(stream, presence=[wire.Presence(subject=FRA, connected=True, at=1.0)])
    world.heard.told.clear()
    world.hub.detach(old)
    assert world.hub.connected(FRA)
    assert world.heard.told == []


async def test_a_question_takes_the_newest_way_and_its_answer_comes_back() -> None:
    world = World()
    world.publish(1)
    eu = world.attach("eu")
    drain(eu)
    world.say(eu, presence=[wire.Presence(subject=FRA, connected=True, at=1.0)])
    asking = asyncio.create_task(world.hub.query(FRA, "explain", b"?"))
    await asyncio.sleep(0)
    (query,) = drain(eu).queries
    assert (query.subject, query.kind, query.body) == (FRA, "explain", b"?")
    world.say(eu, answers=[wire.Answer(query_id=query.query_id, body=b"!"), wire.Answer(query_id=99)])
    assert await asking == b"!"


async def test_nobody_answers_a_question_that_another_was_asked() -> None:
    world = World()
    world.publish(1)
    eu, us = world.attach("eu"), world.attach("us")
    world.say(eu, presence=[wire.Presence(subject=FRA, connected=True, at=1.0)])
    drain(eu)
    asking = asyncio.create_task(world.hub.query(FRA, "explain", b"?"))
    await asyncio.sleep(0)
    (query,) = drain(eu).queries
    world.say(us, answers=[wire.Answer(query_id=query.query_id, body=b"forged")])
    world.say(eu, answers=[wire.Answer(query_id=query.query_id, body=b"!")])
    assert await asking == b"!"


async def test_a_question_to_nobody_fails() -> None:
    with pytest.raises(QueryFailed) as failure:
        await World().hub.query(FRA, "explain", b"?")
    assert failure.value.code == "not_connected"


async def test_renewals_are_answered_or_refused() -> None:
    world = World()
    eu = world.attach("eu")
    drain(eu)
    for csr in (b"good", b"bad"):
        world.say(eu, renewals=[wire.Renew(subject=EU, csr_pem=csr)])
    answers: list[Any] = []
    for _ in range(100):
        await asyncio.sleep(0)
        answers += drain(eu).renewed
    assert [(each.chain_pem, each.error) for each in answers] == [(b"chain", ""), (b"", "No.")]
    await world.hub.close()


@pytest.mark.parametrize(
    "identity",
    [
        Identity("example.net", Role.SITE, "default", "fra"),
        Identity("example.net", Role.REGION, "other", "eu"),
        Identity("example.net", Role.CONSOLE),
    ],
)
def test_who_has_no_business_here_is_refused(identity: Identity) -> None:
    with pytest.raises(PeerRefused, match="no business here"):
        World().hub.attach(identity, lambda: None)


async def test_a_handler_that_renews_nothing_says_so() -> None:
    request = RenewalRequest(b"", b"", 0, b"")
    with pytest.raises(PeerRefused):
        await HubHandler().renew(Identity("example.net", Role.CONSOLE), FRA, request)


def test_admission_takes_a_burst_then_a_rate() -> None:
    admission = Admission(per_second=10, burst=2, streams=100)
    assert [admission.admit(0, 0.0) for _ in range(3)] == [0.0, 0.0, 0.1]
    assert admission.admit(0, 0.1) == 0.0
    assert admission.admit(0, 0.1) > 0
    assert admission.admit(100, 50.0) == 10.0


def test_backoff_grows_jitters_and_ends_at_its_bound() -> None:
    backoff = Backoff(Random(1), first=1.0, most=8.0)
    waits = [backoff.next_wait() for _ in range(50)]
    bounds = [min(8.0, 2.0**failures) for failures in range(50)]
    assert all(0.1 * bound <= wait <= bound for wait, bound in zip(waits, bounds, strict=True))
    assert len(set(waits)) == 50
    backoff.reset()
    assert backoff.next_wait(at_least=3.0) <= 4.0


def test_a_status_from_a_fast_clock_does_not_shut_out_later_ones() -> None:
    world = World()
    world.publish(1)
    eu = world.attach("eu")
    world.say(eu, statuses=[wire.Status(subject=FRA, body=b"{}", at=time.time() + 1e6)])
    world.say(eu, statuses=[wire.Status(subject=FRA, body=b"{}", at=7.5)])
    first, second = [at for _, subject, at in world.heard.told if subject == FRA]
    assert first <= time.time()
    assert second == 7.5, "what was said in the past stays there"


def test_the_own_status_is_the_newest_though_the_clock_is_set_back() -> None:
    reports = Reports()
    for text, now in ((b"1", 100.0), (b"2", 40.0), (b"3", 40.5), (b"4", 200.0)):
        reports.put_own_status(FRA, text, now)
        assert reports.statuses[FRA].body == text
    assert reports.statuses[FRA].at == 200.0
