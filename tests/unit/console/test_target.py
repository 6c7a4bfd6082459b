"""Where alerts may be sent: nowhere that only the console can reach."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from isthmus.console.target import TargetRefused, TargetUnknown, find_addresses, is_allowed

from .conftest import Running, document


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "224.0.0.1", "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fd00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::a00:1", "64:ff9b:1::808:808",
        "2001:0:808:808:0:0:80ff:fffe",
    ],
)  # fmt: skip
def test_no_address_that_is_not_public(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_allowed(address, ())


def test_an_operator_may_allow_a_network_and_nothing_beside_it() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
    assert is_allowed("10.1.2.3", allowed)
    assert is_allowed("::ffff:10.1.2.3", allowed)
    assert is_allowed("fd00::1", allowed)
    assert not is_allowed("10.2.0.1", allowed)
    assert not is_allowed("127.0.0.1", allowed)


async def test_a_name_counts_by_its_addresses() -> None:
    with pytest.raises(TargetRefused, match="--alert-network"):
        await find_addresses("localhost", 443, ())
    assert await find_addresses("localhost", 443, (ip_network("127.0.0.0/8"),)) == ["127.0.0.1"]
    for name in ("nowhere.invalid", "x" * 70 + ".example"):
        with pytest.raises(TargetUnknown):
            await find_addresses(name, 443, ())


async def test_a_console_refuses_them_at_once(console: Running) -> None:
    hosts = ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "0x7f000001", "2130706433")
    specs = [{"webhook": {"url": f"http://{host}:{console.console.port}/"}} for host in hosts]
    specs.append({"email": {"to": ["a@b.example"], "sender": "a@b.example", "host": "localhost"}})
    names = [f"in-{index}" for index in range(len(specs))]
    await console.apply(
        *(document("AlertReceiver", name, spec, namespace="default") for name, spec in zip(names, specs, strict=True))
    )
    for name in names:
        answer = await console.ask("POST", f"/namespaces/default/alertreceivers/{name}/test")
        assert answer["state"] == "failed"
        assert "only addresses that are not public" in answer["detail"]
