"""Addresses given to a real kernel, in a network namespace of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import socket, subprocess
from isthmus.engine.netlink import add_address, read_addresses, remove_address

assert read_addresses() == frozenset(), read_addresses()
for address in ("192.0.2.80", "2001:db8::80"):
    add_address("lo", address)
    assert ("lo", address) in read_addresses()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((address, 80))
    try:
        add_address("lo", address)
        raise AssertionError("added twice")
    except FileExistsError:
        pass
    remove_address("lo", address)
    assert ("lo", address) not in read_addresses()
for wrong in (lambda: remove_address("lo", "192.0.2.80"), lambda: add_address("none0", "192.0.2.80")):
    try:
        wrong()
        raise AssertionError("no error")
    except OSError as error:
        print(error.errno)
"""


def test_add_and_remove() -> None:
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stderr, result.stdout) == ("", "99\n19\n")


def test_without_the_privilege() -> None:
    script = """
from isthmus.engine.netlink import add_address
try:
    add_address("lo", "192.0.2.80")
except PermissionError:
    print("refused")
"""
    command = ["unshare", "--user", "--map-user=65534", sys.executable, "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stderr, result.stdout) == ("", "refused\n")


RESTORE = """
import json, sys
from pathlib import Path
from isthmus.compile.intent import InterfaceAddress
from isthmus.engine.netlink import add_address, read_addresses
from isthmus.model import ObjectKey
from isthmus.site.address import Addresses

record = Path(sys.argv[1])
policy = ObjectKey("default", "AdvertisePolicy", "default", "public")
wanted = [InterfaceAddress(policy, "lo", address) for address in ("192.0.2.80", "2001:db8::80")]
if sys.argv[2] == "first":
    Addresses(record).add(wanted)
else:
    assert read_addresses() == frozenset(), "the machine has started anew"
    add_address("lo", "2001:db8::80")  # as somebody has done who read the same documentation
    again = Addresses(record)
    again.restore()
    again.restore()
assert read_addresses() == {("lo", each.address) for each in wanted}, read_addresses()
if sys.argv[2] == "again":
    again.end(remove=True)
    assert read_addresses() == frozenset()
"""


def test_addresses_are_restored_after_the_machine_has_started_anew(tmp_path: Path) -> None:
    for turn in ("first", "again"):  # a namespace ends with its only process, and its addresses with it
        command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", RESTORE]
        command += [str(tmp_path / "addresses.json"), turn]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (result.returncode, result.stderr) == (0, ""), result.stdout
