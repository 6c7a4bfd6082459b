"""A real ACME server of one's own: Debian's pebble, and the names that it resolves."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Pebble:
    """A running server.

    Attributes:
        directory: URL of its directory.
        trusted: who its own certificate is by.
        log: what it writes.
    """

    directory: str
    trusted: ssl.SSLContext
    log: Path
    _management: str
    _names: str
    _running: tuple[subprocess.Popen[bytes], ...]

    def root(self) -> str:
        """The authority of what it issues (PEM)."""
        with urllib.request.urlopen(f"{self._management}/roots/0", context=self.trusted, timeout=60) as answer:
            return str(answer.read().decode())

    def resolve(self, name: str, addresses: list[str]) -> None:
        """Have a name lead to addresses."""
        body = json.dumps({"host": name, "addresses": addresses}).encode()
        urllib.request.urlopen(f"{self._names}/add-a", data=body, timeout=60).close()

    def stop(self) -> None:
        """End it: nothing answers there any more."""
        for each in self._running:
            each.terminate()
            each.wait(60)

    def requests(self, path: str) -> int:
        """How many requests to paths that begin so it has taken."""
        return self.log.read_text().count(f" {path}")


@contextmanager
def running_pebble(
    directory: Path, pki: Any, free_port: Callable[[], int], http_port: int, tls_port: int, **config: Any
) -> Iterator[Pebble]:
    """A server that asks on these ports at once, and refuses a fifth of all nonces. Its certificate is by `pki`."""
    assert shutil.which("pebble"), "Debian's package pebble is missing: make setup"
    acme, management, dns, names = (f"127.0.0.1:{free_port()}" for _ in range(4))
    issued = pki.issue("localhost")
    files = {each: directory / f"pebble.{each}" for each in ("pem", "key", "json", "log")}
    files["pem"].write_text(issued.chain)
    files["key"].write_text(issued.private_key)
    whole = {
        "listenAddress": acme,
        "managementListenAddress": management,
        "certificate": str(files["pem"]),
        "privateKey": str(files["key"]),
        "httpPort": http_port,
        "tlsPort": tls_port,
        **config,
    }
    files["json"].write_text(json.dumps({"pebble": whole}))
    settings = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "20", "PEBBLE_AUTHZREUSE": "0"}
    off = [text for name in ("-http01", "-https01", "-tlsalpn01", "-defaultIPv6") for text in (name, "")]
    commands = (
        ["pebble-challtestsrv", "-dns01", dns, "-management", names, *off],
        ["pebble", "-config", str(files["json"]), "-dnsserver", dns],
    )
    trusted = ssl.create_default_context(cadata=pki.pem)
    with files["log"].open("wb") as log:
        running = [subprocess.Popen(each, env={**os.environ, **settings}, stdout=log, stderr=log) for each in commands]
    found = Pebble(
        f"https://localhost:{acme.rpartition(':')[2]}/dir",
        trusted,
        files["log"],
        f"https://localhost:{management.rpartition(':')[2]}",
        f"http://{names}",
        tuple(running),
    )
    try:
        _wait(found.directory, trusted)
        _wait(found._names, None)
        yield found
    finally:
        found.stop()


def _wait(url: str, trusted: ssl.SSLContext | None) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, context=trusted, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            assert time.monotonic() < deadline, f"nothing answers at {url}"
            time.sleep(0.05)
