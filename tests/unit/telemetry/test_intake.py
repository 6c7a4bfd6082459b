"""Groups of batches: one bad batch harms no other, a store that is away is asked again, and there is a bound."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from isthmus.telemetry import intake as module
from isthmus.telemetry.batch import Batch, BatchInvalid, emit_batch
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.intake import Intake, IntakeBusy
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.rollup import signals_of
from isthmus.telemetry.store import StoreUnavailable, TelemetryStore, Told

from .message import entry, message


class Memory(TelemetryStore):
    """Remembers what it is told, as `keep` would be called; `away` times it does not answer."""

    def __init__(self, folder: Path, away: int = 0) -> None:
        super().__init__(folder / "none.sock")
        self.away = away
        self.answers = False
        self.patient: list[bool] = []
        self.groups: list[tuple[str, list[str]]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def keep(
        self, group: str, told: Sequence[Told], apart: set[str] | None = None, *, patient: bool = True
    ) -> dict[str, str]:
        await self.gate.wait()
        self.patient.append(patient)
        if self.away and patient:
            self.away -= 1
            raise StoreUnavailable("The telemetry store does not answer.", answered=self.answers)
        self.groups.append((group, [each.name for each in told]))
        return {each.name: "never" for each in told if each.site == "bad"}

    async def remembered(self) -> list[str]:
        return ["default/site/ams/known"]


def batch(token: str) -> bytes:
    return emit_batch(Batch("default/site/ams", token, time.time(), 1))


async def test_those_that_wait_make_the_next_group_and_one_refused_harms_no_other(tmp_path: Path) -> None:
    store, kept = Memory(tmp_path), []
    intake = Intake(tmp_path / "intake", store, lambda told: kept.extend(each.name for each in told))
    await intake.recover()
    run = asyncio.create_task(intake.run())
    assert await intake.take("default", "ams", "site", batch("known")) == ""
    store.gate.clear()
    takes = [asyncio.create_task(intake.take("default", "ams", "site", batch("0")))]
    async with asyncio.timeout(60):
        while not list((tmp_path / "intake").glob("*.group")):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    for site, token in (("ams", "0"), ("ams", "1"), ("bad", "1"), ("fra", "1"), ("ams", "1")):
        takes.append(asyncio.create_task(intake.take("default", site, "site", batch(token))))
    async with asyncio.timeout(60):
        while len(intake._next) < 3:  # noqa: ASYNC110 - nor has a thread that parses
            await asyncio.sleep(0.01)
    store.gate.set()
    assert await asyncio.gather(*takes) == ["", "", "", "never", "", ""]
    first, second = (sorted(names) for _, names in store.groups)
    assert first == ["default/site/ams/0"]
    assert second == ["default/site/ams/1", "default/site/bad/1", "default/site/fra/1"]
    assert sorted(kept) == ["default/site/ams/0", "default/site/ams/1", "default/site/fra/1"]
    assert list((tmp_path / "intake").iterdir()) == []
    run.cancel()
    await store.close()


async def test_a_store_that_is_away_gets_the_same_group_again(tmp_path: Path) -> None:
    store = Memory(tmp_path, away=2)
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    run = asyncio.create_task(intake.run())
    await intake.recover()
    answers = 0
    async with asyncio.timeout(60):
        while True:
            try:
                assert await intake.take("default", "ams", "site", batch("0")) == ""
                break
            except StoreUnavailable:
                answers += 1
    assert 1 <= answers <= 2
    assert [names for _, names in store.groups] == [["default/site/ams/0"]]
    run.cancel()
    await store.close()


async def test_those_in_no_group_yet_are_told_that_the_store_is_away(tmp_path: Path) -> None:
    store = Memory(tmp_path, away=1)
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    await intake.recover()
    store.gate.clear()
    run = asyncio.create_task(intake.run())
    takes = [asyncio.create_task(intake.take("default", "s0", "site", batch("0")))]
    async with asyncio.timeout(60):
        while not list((tmp_path / "intake").glob("*.group")):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    takes += [asyncio.create_task(intake.take("default", f"s{number}", "site", batch("0"))) for number in range(1, 5)]
    async with asyncio.timeout(60):
        while len(intake._next) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    store.gate.set()
    answers = await asyncio.gather(*takes, return_exceptions=True)
    assert all(isinstance(each, StoreUnavailable) for each in answers), answers
    async with asyncio.timeout(60):
        while not store.groups:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert len(store.groups[0][1]) == 1, "what nobody waits for any more is not held"
    assert intake._bytes == 0
    run.cancel()
    await store.close()


async def test_what_the_store_answers_it_cannot_take_goes_in_apart_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHORTEST", 0.001)
    monkeypatch.setattr(module, "_LONGEST", 0.01)
    store = Memory(tmp_path, away=1000)
    store.answers = True
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    await intake.recover()
    run = asyncio.create_task(intake.run())
    async with asyncio.timeout(60):
        while not store.groups:
            try:
                await intake.take("default", "ams", "site", batch("0"))
            except StoreUnavailable:
                continue
    assert store.patient == [True] * 5 + [False]
    run.cancel()
    await store.close()


async def test_a_group_is_of_few_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_HOURS", 2)
    store = Memory(tmp_path)
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    await intake.recover()
    takes = []
    for number in range(4):
        records = Decoder(Naming("ams")).parse(
            "ingress", [message(entry(at=datetime.now(UTC) - timedelta(hours=5 * number)))]
        )
        tables = {"signal": signals_of(records)}
        body = emit_batch(Batch("default/site/ams", str(number), time.time(), 1, tables))
        takes.append(asyncio.create_task(intake.take("default", "ams", "site", body)))
    async with asyncio.timeout(60):
        while len(intake._next) < 4:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    run = asyncio.create_task(intake.run())
    assert await asyncio.gather(*takes) == [""] * 4
    assert [len(names) for _, names in store.groups] == [2, 2]
    run.cancel()
    await store.close()


async def test_what_cannot_be_a_batch_or_is_too_much_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Memory(tmp_path)
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    with pytest.raises(BatchInvalid):
        await intake.take("default", "ams", "site", b"\xff")
    monkeypatch.setattr(module, "_WAITING", -1)
    with pytest.raises(IntakeBusy):
        await intake.take("default", "ams", "site", batch("0"))
    assert store.groups == []
    await store.close()


async def test_a_damaged_file_of_a_group_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "intake").mkdir()
    (tmp_path / "intake" / "abc.group").write_bytes(b'[["default", "ams", "site", 400]]\nshort')
    store = Memory(tmp_path)
    intake = Intake(tmp_path / "intake", store, lambda told: None)
    await intake.recover()
    assert store.groups == []
    assert list((tmp_path / "intake").iterdir()) == []
    await store.close()
