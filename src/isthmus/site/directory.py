"""The state directory of a site: where each thing lies, and who may use it.

identity/            key, certificates, membership (owned by `isthmus.identity`)
stream/              manifests and objects as received (owned by `isthmus.protocol`)
good.sqlite          last good version of each object
resources.bin        the resources that Envoy last accepted
endpoints.json       endpoint numbers of this site
health.json          table of remote endpoints
discovered.json      last good answers of service registries
addresses.json       addresses that the agent has put on interfaces
envoy/, gobgp/       the engines' own directories
access.log           Envoy's access log, JSON lines, if the agent was started with it
telemetry/           batches of telemetry that no region has taken yet
receivers/           what receivers of telemetry have not taken yet, and which files are theirs
log-files/           files of TelemetryReceivers, if no other directory is named
site.sock            status and explain for people on this machine
lock                 held by the running agent
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from isthmus.emit.envoy.setting import EnvoyPaths

MAX_PATH = 80
"""Bytes of the directory's path, so that every socket in it fits the 107 bytes of sockaddr_un."""


class StateInUse(Exception):
    """Another agent runs on this state directory."""


class StateUnusable(Exception):
    """The directory cannot serve as a state directory; the message says why."""


class SiteDirectory:
    """Makes the directory (mode 0700) and locks it for this process.

    Raises StateInUse, StateUnusable, OSError.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        if len(os.fsencode(self.root)) > MAX_PATH:
            raise StateUnusable(f"{self.root} is longer than {MAX_PATH} bytes: Unix sockets in it would not work")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)
        for path in (self.envoy, self.health_events.parent, self.gobgp):
            path.mkdir(mode=0o700, exist_ok=True)
        self._lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StateInUse(f"another site agent is running on {self.root}") from None
        os.ftruncate(self._lock, 0)
        os.write(self._lock, b"%d\n" % os.getpid())

    def release(self) -> None:
        os.close(self._lock)

    @property
    def identity(self) -> Path:
        return self.root / "identity"

    @property
    def stream(self) -> Path:
        return self.root / "stream"

    @property
    def good(self) -> Path:
        return self.root / "good.sqlite"

    @property
    def resources(self) -> Path:
        return self.root / "resources.bin"

    @property
    def endpoints(self) -> Path:
        return self.root / "endpoints.json"

    @property
    def health(self) -> Path:
        return self.root / "health.json"

    @property
    def discovered(self) -> Path:
        return self.root / "discovered.json"

    @property
    def addresses(self) -> Path:
        return self.root / "addresses.json"

    @property
    def access_log(self) -> Path:
        return self.root / "access.log"

    @property
    def socket(self) -> Path:
        return self.root / "site.sock"

    @property
    def envoy(self) -> Path:
        return self.root / "envoy"

    @property
    def ads_socket(self) -> Path:
        return self.envoy / "ads.sock"

    @property
    def admin_socket(self) -> Path:
        return self.envoy / "admin.sock"

    @property
    def log_socket(self) -> Path:
        return self.envoy / "log.sock"

    @property
    def telemetry(self) -> Path:
        return self.root / "telemetry"

    @property
    def receivers(self) -> Path:
        return self.root / "receivers"

    @property
    def log_files(self) -> Path:
        return self.root / "log-files"

    @property
    def health_events(self) -> Path:
        return self.envoy / "health" / "events.log"

    def envoy_paths(self, *, access_log: bool, log_service: bool) -> EnvoyPaths:
        """What the emitter needs to know of this directory, and which logs there are."""
        file = str(self.access_log) if access_log else ""
        return EnvoyPaths(file, str(self.health_events), log_service)

    @property
    def gobgp(self) -> Path:
        return self.root / "gobgp"
