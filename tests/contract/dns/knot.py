"""A real authoritative DNS server (Knot DNS) with one zone, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

import dns.message
import dns.query
import dns.tsig
import dns.update

from isthmus.discovery.setting import Server

from ...port import free_port

ZONE = "corp.example"
KEY_NAME = "isthmus"
SECRET = "c2VjcmV0IG9mIHR3ZW50eSBieXRlcyAhIQ=="
OTHER_SECRET = "YW5vdGhlciBrZXksIHdoaWNoIGlzIHdyb25n"

_CONFIGURATION = """
server:
    rundir: "{folder}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    user: {user}
database:
    storage: "{folder}/db"
log:
  - target: stderr
    any: info
key:
  - id: {key}
    algorithm: hmac-sha256
    secret: {secret}
acl:
  - id: change
    key: {key}
    action: [update]
  - id: ask
    address: 127.0.0.1
    action: query
template:
  - id: default
    storage: "{folder}/zones"
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: difference-no-serial
    journal-content: all
    semantic-checks: off
zone:
  - domain: {zone}
    acl: [change, ask]
"""


class Knot:
    """One zone that tests change by signed updates, as its administrator would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        (folder / "zones").mkdir(parents=True)
        (folder / "db").mkdir()
        (folder / "zones" / f"{ZONE}.zone").write_text(
            f"{ZONE}. 60 SOA ns.{ZONE}. admin.{ZONE}. 1 60 60 60 1\n"
            f"{ZONE}. 60 NS ns.{ZONE}.\nns.{ZONE}. 60 A 127.0.0.1\n"
        )
        user = f"{pwd.getpwuid(os.getuid()).pw_name}:{grp.getgrgid(os.getgid()).gr_name}"
        text = _CONFIGURATION.format(folder=folder, port=self.port, user=user, key=KEY_NAME, secret=SECRET, zone=ZONE)
        (folder / "knot.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None
        self._key = dns.tsig.Key(KEY_NAME, SECRET, "hmac-sha256")

    @property
    def server(self) -> Server:
        return Server("127.0.0.1", self.port)

    def start(self) -> None:
        """Start, and wait until the zone is answered for."""
        knotd = shutil.which("knotd") or "/usr/sbin/knotd"
        with (self.folder / "knot.log").open("ab") as log:
            self._process = subprocess.Popen(
                [knotd, "-c", str(self.folder / "knot.conf")], stdout=log, stderr=log, cwd=self.folder
            )
        query = dns.message.make_query(ZONE, "SOA")
        for _ in range(600):
            assert self._process.poll() is None, (self.folder / "knot.log").read_text()
            with contextlib.suppress(dns.exception.DNSException, OSError):
                if dns.query.udp(query, "127.0.0.1", 0.1, self.port).answer:
                    return
        raise AssertionError((self.folder / "knot.log").read_text())

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def replace(self, name: str, record: str, *values: str, ttl: int = 1) -> None:
        """Make these a name's records of a type; none removes them."""
        update = dns.update.UpdateMessage(ZONE, keyring=self._key)
        update.delete(name, record)
        for value in values:
            update.add(name, ttl, record, value)
        response = dns.query.tcp(update, "127.0.0.1", 30, self.port)
        assert response.rcode() == dns.rcode.NOERROR

    def records(self, name: str, record: str) -> set[str]:
        response = dns.query.udp_with_fallback(
            dns.message.make_query(f"{name}.{ZONE}.", record), "127.0.0.1", 30, self.port
        )[0]
        return {item.to_text() for rrset in response.answer for item in rrset}


async def until(condition, seconds: float = 60.0) -> None:
    """Wait for something that a real server leads to in its own time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for in another process
            await asyncio.sleep(0.02)
