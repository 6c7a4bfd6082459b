"""Batches on their way: on disk, bounded, delivered once each, and nobody's but their own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from isthmus.generated import stream_pb2 as wire
from isthmus.identity import Identity, Role
from isthmus.protocol import PeerRefused, ProtocolError
from isthmus.protocol.delivery import DeliveryService
from isthmus.telemetry.batch import Batch, BatchInvalid, emit_batch, parse_batch, parse_head, subject_of
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.rollup import latencies_of, signals_of
from isthmus.telemetry.spool import Spool

from .message import entry, message


def batch(token: str = "1", requests: int = 3) -> Batch:
    records = Decoder(Naming("ams")).parse(
        "ingress", [message(*(entry(at=datetime.now(UTC)) for _ in range(requests)))]
    )
    tables = {"record": records, "signal": signals_of(records), "latency": latencies_of(records)}
    return Batch("default/site/ams", token, time.time(), requests, tables, {"buffer": 4})


def test_a_batch_arrives_as_it_was() -> None:
    sent = batch()
    body = emit_batch(sent)
    assert parse_head(body) == ("default/site/ams", "1", 3)
    got = parse_batch(body, time.time() + 10)
    assert got.losses == {"buffer": 4}
    assert got.tables["record"].to_dicts() == sent.tables["record"].to_dicts()
    assert got.tables["latency"].to_dicts() == sent.tables["latency"].to_dicts()


def test_a_site_of_an_earlier_release_tells_less() -> None:
    sent = batch()
    earlier = replace(sent, tables={"record": sent.tables["record"].drop("credential", "weight")})
    got = parse_batch(emit_batch(earlier), time.time() + 10).tables["record"]
    assert got.get_column("credential").to_list() == [False] * 3
    assert got.drop("credential", "weight").to_dicts() == earlier.tables["record"].to_dicts()


def test_what_cannot_be_is_refused_or_left_out() -> None:
    with pytest.raises(BatchInvalid):
        parse_batch(b"\xff", time.time())
    with pytest.raises(BatchInvalid):
        parse_batch(wire.Batch(subject="default/site/ams").SerializeToString(), time.time())
    damaged = wire.Batch.FromString(emit_batch(batch()))
    damaged.tables[0].rows = damaged.tables[0].rows[:-20]
    with pytest.raises(BatchInvalid, match="cannot be read"):
        parse_batch(damaged.SerializeToString(), time.time())
    unknown = wire.Batch.FromString(emit_batch(batch()))
    unknown.tables[0].name = "of-a-later-release"
    assert "of-a-later-release" not in parse_batch(unknown.SerializeToString(), time.time()).tables
    assert parse_batch(emit_batch(batch()), time.time() - 3600).tables["record"].height == 0  # an hour to come
    twice = wire.Batch.FromString(emit_batch(batch()))
    twice.tables.add().CopyFrom(twice.tables[0])
    with pytest.raises(BatchInvalid, match="stands twice"):
        parse_batch(twice.SerializeToString(), time.time())
    wrong = Batch("default/site/ams", "1", 0, 1, {"signal": pl.DataFrame({"nothing": [1]})})
    with pytest.raises(BatchInvalid):
        parse_batch(emit_batch(wrong), time.time())


@pytest.mark.parametrize("at", [-1.0, float("nan"), 0.0, 1e12])
def test_a_time_that_cannot_be_counts_as_now(at: float) -> None:
    now = time.time()
    assert parse_batch(emit_batch(Batch("default/site/ams", "1", at, 0, {}, {"buffer": 1})), now).at == now


def test_no_batch_tells_of_more_losses_than_the_store_can_count() -> None:
    message = wire.Batch(subject="default/site/ams", token="1")
    for _ in range(2):
        message.losses.add(reason="buffer", requests=2**64 - 1)
    with pytest.raises(BatchInvalid, match="lost requests"):
        parse_batch(message.SerializeToString(), time.time())


def test_tables_that_unpack_to_too_much_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = emit_batch(batch())
    monkeypatch.setattr("isthmus.telemetry.batch.MAX_BYTES", len(body) + 1000)  # each table fits, all of them do not
    with pytest.raises(BatchInvalid, match="larger than"):
        parse_batch(body, time.time())
    monkeypatch.setattr("isthmus.telemetry.batch.MAX_BYTES", len(body) - 1)
    with pytest.raises(BatchInvalid, match="message is larger"):
        parse_head(body)


def test_a_full_spool_drops_the_oldest_and_counts(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 100)
    for number in range(5):
        spool.put(spool.next_name(), bytes([number]) * 30, 7)
    assert (len(spool), spool.size, spool.dropped_batches, spool.dropped_requests) == (3, 90, 2, 14)
    oldest = spool.lend()
    assert oldest is not None
    assert oldest[1] == b"\x02" * 30
    spool.put(spool.next_name(), b"x" * 101, 9)
    assert spool.dropped_requests == 23
    assert spool.waiting_requests == 21


def waiting(spool: Spool) -> list[bytes]:
    return [(spool._directory / name).read_bytes() for name in spool._queue]


def test_who_tells_most_makes_room_and_its_neighbours_keep_theirs(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 100)
    for number in range(3):
        spool.put(spool.next_name(), b"quiet-%d--" % number, 1, owner="default/site/quiet")
    for number in range(50):
        spool.put(spool.next_name(), b"loud-%02d---" % number, 10, owner="default/site/loud")
    assert waiting(spool) == [b"quiet-%d--" % number for number in range(3)] + [
        b"loud-%02d---" % number for number in range(43, 50)
    ]
    assert (spool.dropped_batches, spool.dropped_requests) == (43, 430)
    spool.put(spool.next_name(), b"x" * 40, 1, owner="default/site/new")  # less than loud has: loud gives way
    assert [body[:4] for body in waiting(spool)] == [b"quie"] * 3 + [b"loud"] * 3 + [b"xxxx"]
    kept = waiting(spool)
    again = Spool(tmp_path / "spool", 100)  # whose is what is known after a restart, too
    again.put(again.next_name(), b"y" * 50, 7, owner="default/site/other")
    assert (waiting(again), again.dropped_requests) == (kept, 7), "the largest itself is what does not fit"
    again.put(again.next_name(), b"new-----", 1, owner="default/site/new")
    assert waiting(again) == [*kept[:6], b"new-----"], "and gives up its own"


def test_a_spool_is_found_again_in_order(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1000)
    for number in range(3):
        spool.put(spool.next_name(), b"%d" % number, number)
    (tmp_path / "spool" / "half.part").write_bytes(b"?")
    (tmp_path / "spool" / "strange.batch").write_bytes(b"?")
    again = Spool(tmp_path / "spool", 1000)
    assert (len(again), again.waiting_requests) == (3, 3)
    assert again.next_name() > spool.next_name()[:10]
    seen = []
    while (oldest := again.lend()) is not None:
        seen.append(oldest[1])
        again.remove(oldest[0])
    assert seen == [b"0", b"1", b"2"]
    assert [each.name for each in (tmp_path / "spool").iterdir()] == ["strange.batch"], "nobody's business"


async def test_batches_are_tried_again_until_they_are_taken(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1000)
    for number in range(4):
        spool.put(spool.next_name(), b"%d" % number, 5)
    taken: list[bytes] = []
    tries = 0

    async def deliver(body: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise ProtocolError("not_delivered", "No region is connected.")
        if body == b"1":
            raise BatchInvalid("never")
        taken.append(body)

    forwarder = Forwarder(spool, deliver)
    task = asyncio.create_task(forwarder.run())
    async with asyncio.timeout(60):
        while len(spool):
            forwarder.wake()
            await asyncio.sleep(0.01)
    task.cancel()
    assert taken == [b"0", b"2", b"3"]
    assert (forwarder.delivered, forwarder.refused_requests, forwarder.error) == (3, 5, "")


async def test_several_are_under_way_at_a_time_and_none_twice(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1000)
    for number in range(7):
        spool.put(spool.next_name(), b"%d" % number, 1)
    under_way: set[bytes] = set()
    most, taken = 0, []
    gate = asyncio.Event()

    async def deliver(body: bytes) -> None:
        nonlocal most
        assert body not in under_way
        under_way.add(body)
        most = max(most, len(under_way))
        await gate.wait()
        under_way.discard(body)
        taken.append(body)

    forwarder = Forwarder(spool, deliver, abreast=3)
    task = asyncio.create_task(forwarder.run())
    async with asyncio.timeout(60):
        while len(under_way) < 3:  # noqa: ASYNC110 - the forwarder has no event for it
            await asyncio.sleep(0.01)
        gate.set()
        while len(spool):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    task.cancel()
    assert most == 3
    assert sorted(taken) == [b"%d" % number for number in range(7)]


async def test_a_call_that_is_cancelled_under_it_is_tried_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1000)
    spool.put(spool.next_name(), b"0", 1)
    tries = 0

    async def deliver(body: bytes) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncio.CancelledError  # as gRPC does when its connection is closed

    forwarder = Forwarder(spool, deliver)
    task = asyncio.create_task(forwarder.run())
    async with asyncio.timeout(60):
        while len(spool):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (tries, forwarder.delivered) == (2, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_batches_that_arrive_do_not_end_a_back_off(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 100_000)
    tries = 0

    async def deliver(body: bytes) -> None:
        nonlocal tries
        tries += 1
        raise ProtocolError("not_delivered", "No region is connected.")

    forwarder, began = Forwarder(spool, deliver, abreast=8), time.monotonic()
    task = asyncio.create_task(forwarder.run())
    for number in range(50):
        spool.put(spool.next_name(), b"%d" % number, 1)
        forwarder.arrived()
        await asyncio.sleep(0.001)
    assert 1 <= tries <= 24 + 16 * (time.monotonic() - began)
    task.cancel()


def test_a_batch_on_its_way_makes_no_room(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 10)
    for body in (b"aaaa", b"bbbb"):
        spool.put(spool.next_name(), body, 1)
    lent = spool.lend()
    assert lent is not None
    spool.put(spool.next_name(), b"cccc", 1)
    assert [each.requests for each in spool._queue.values()] == [1, 1]
    assert (tmp_path / "spool" / lent[0].name).exists()
    assert spool.dropped_requests == 1
    spool.remove(lent[0])
    spool.give_back(lent[0])
    following = spool.lend()
    assert following is not None
    assert following[1] == b"cccc"


class OneRegion:
    """A shelf that lets the region `eu` have the site `ams` alone."""

    def chain(self, subject: str, peer: str) -> object | None:
        return object() if (subject, peer) == ("default/site/ams", "default/region/eu") else None


@pytest.mark.parametrize(
    ("role", "name", "allowed"),
    [(Role.SITE, "ams", True), (Role.SITE, "fra", False), (Role.REGION, "eu", True), (Role.REGION, "us", False)],
)
async def test_nobody_brings_batches_of_others(role: Role, name: str, allowed: bool) -> None:
    got = []

    async def take(peer: Identity, subject: str, body: bytes) -> str:
        got.append(subject)
        return ""

    service = DeliveryService(OneRegion(), [Role.SITE, Role.REGION], take, subject_of)  # type: ignore[arg-type]
    peer = Identity("isthmus.test", role, "default", name)
    body = emit_batch(batch())
    if allowed:
        assert await service.receive(peer, body) == ""
    elif role is Role.REGION:  # a site that was deleted: the region forgets the batch, and goes on
        assert "no site of" in await service.receive(peer, body)
    else:
        with pytest.raises(PeerRefused):
            await service.receive(peer, body)
    assert got == (["default/site/ams"] if allowed else [])
    assert "no batch" in await service.receive(peer, b"\xff")


def test_what_one_owner_leaves_holds_up_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1_000)
    for number, owner in enumerate(("logs", "logs", "metrics", "")):
        spool.put(spool.next_name(), b"%d" % number, 1, owner)
    logs, metrics = spool.part("logs"), spool.part("metrics")
    assert (len(logs), len(metrics)) == (2, 1)
    first, other, nobodys = logs.lend(), metrics.lend(), metrics.lend()
    assert first is not None
    assert other is not None
    assert nobodys is not None
    assert [body for _, body in (first, other, nobodys)] == [b"0", b"2", b"3"]
    assert metrics.lend() is None
    metrics.remove(other[0])
    metrics.give_back(other[0])
    logs.give_back(first[0])
    again = Spool(tmp_path / "spool", 1_000).part("logs")  # and so it is for who comes after
    found = [again.lend(), again.lend(), again.lend(), again.lend()]
    assert [each[1] if each else None for each in found] == [b"0", b"1", b"3", None]


def test_what_is_nobody_s_holds_up_nothing_of_somebody_s(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1_000)
    for body, owner in ((b"old", ""), (b"older", ""), (b"new", "logs"), (b"newer", "logs")):
        spool.put(spool.next_name(), body, 1, owner)
    logs = spool.part("logs")
    found = [logs.lend() for _ in range(5)]
    assert [each[1] if each else None for each in found] == [b"new", b"newer", b"old", b"older", None]
