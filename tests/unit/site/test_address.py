"""Addresses on interfaces: what is added, what is removed, and what is said about it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from isthmus.compile.intent import InterfaceAddress
from isthmus.model import ObjectKey
from isthmus.site.address import Addresses

POLICY = ObjectKey("default", "AdvertisePolicy", "default", "public")
VIP = InterfaceAddress(POLICY, "eth0", "192.0.2.80")
OTHER = InterfaceAddress(POLICY, "eth0", "2001:db8::80")


class FakeKernel:
    """Interface eth0 alone, which has an address."""

    def __init__(self) -> None:
        self.addresses = {("eth0", "192.0.2.1")}
        self.error = 0

    def read_addresses(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.addresses)

    def add_address(self, interface: str, address: str) -> None:
        error = self.error or (errno.ENODEV if interface != "eth0" else 0)
        if error:
            raise OSError(error, os.strerror(error))
        self.addresses.add((interface, address))

    def remove_address(self, interface: str, address: str) -> None:
        if (interface, address) not in self.addresses:
            raise OSError(errno.EADDRNOTAVAIL, "gone")
        self.addresses.remove((interface, address))


@pytest.fixture
def kernel() -> FakeKernel:
    return FakeKernel()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "addresses.json"


async def test_added_and_removed_again(kernel: FakeKernel, record: Path) -> None:
    addresses = Addresses(record, kernel)
    addresses.add([VIP, OTHER])
    assert kernel.addresses == {("eth0", "192.0.2.1"), ("eth0", "192.0.2.80"), ("eth0", "2001:db8::80")}
    addresses.add([OTHER])
    addresses.settle(0)
    await asyncio.sleep(0.01)
    assert kernel.addresses == {("eth0", "192.0.2.1"), ("eth0", "2001:db8::80")}
    assert json.loads(record.read_text()) == [["eth0", "2001:db8::80"]]
    addresses.end(remove=True)
    assert kernel.addresses == {("eth0", "192.0.2.1")}


async def test_needed_again_before_it_is_removed(kernel: FakeKernel, record: Path) -> None:
    addresses = Addresses(record, kernel)
    addresses.add([VIP])
    addresses.add([])
    addresses.settle(0)
    addresses.add([VIP])
    addresses.settle(0)
    await asyncio.sleep(0.01)
    assert ("eth0", "192.0.2.80") in kernel.addresses


async def test_what_somebody_else_has_added_stays(kernel: FakeKernel, record: Path) -> None:
    kernel.addresses.add(("eth1", "192.0.2.80"))
    addresses = Addresses(record, kernel)
    addresses.add([VIP])
    addresses.end(remove=True)
    assert kernel.addresses == {("eth0", "192.0.2.1"), ("eth1", "192.0.2.80")}


async def test_the_next_agent_removes_what_the_last_one_added(kernel: FakeKernel, record: Path) -> None:
    Addresses(record, kernel).add([VIP])
    following = Addresses(record, kernel)
    following.add([])
    following.settle(0)
    await asyncio.sleep(0.01)
    assert kernel.addresses == {("eth0", "192.0.2.1")}


def test_what_a_reboot_has_taken_is_put_back_before_anything_listens(kernel: FakeKernel, record: Path) -> None:
    Addresses(record, kernel).add([VIP, OTHER])
    kernel.addresses = {("eth0", "192.0.2.1")}
    Addresses(record, kernel).restore()
    assert kernel.addresses == {("eth0", "192.0.2.1"), ("eth0", "192.0.2.80"), ("eth0", "2001:db8::80")}
    kernel.addresses = {("eth0", "192.0.2.1")}
    kernel.error = errno.EPERM
    Addresses(record, kernel).restore()
    assert kernel.addresses == {("eth0", "192.0.2.1")}, "what cannot be put back is said by the plan that needs it"


@pytest.mark.parametrize(
    ("wanted", "error", "reason"),
    [(VIP, errno.EPERM, "CAP_NET_ADMIN"), (InterfaceAddress(POLICY, "eth7", "192.0.2.80"), 0, "no such interface")],
)
async def test_what_cannot_be_added_is_said(
    wanted: InterfaceAddress, error: int, reason: str, kernel: FakeKernel, record: Path
) -> None:
    kernel.error = error
    addresses = Addresses(record, kernel)
    addresses.add([wanted])
    (fault,) = addresses.faults
    assert (fault.key, fault.code, fault.field) == (str(POLICY), "address-not-added", "spec.address")
    assert reason in fault.message
    assert json.loads(record.read_text()) == []
    kernel.error = 0
    addresses.add([VIP])
    assert addresses.faults == ()


def test_a_damaged_record_removes_nothing(kernel: FakeKernel, record: Path) -> None:
    record.write_text("{")
    addresses = Addresses(record, kernel)
    addresses.end(remove=True)
    assert kernel.addresses == {("eth0", "192.0.2.1")}
