"""A PostgreSQL server of this test run's own: Debian's binaries, an unprivileged user, a Unix socket in a directory."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class PostgresServer:
    """A running server without TCP. `close` ends it and removes its files."""

    def __init__(self) -> None:
        self._binaries = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        self.directory = Path(tempfile.mkdtemp(prefix="ispg"))
        self._user = _unprivileged_user()
        data = self.directory / "data"
        if self._user is not None:
            os.chown(self.directory, self._user.pw_uid, self._user.pw_gid)
        self._run("initdb", "-D", str(data), "-U", "isthmus", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
        self._log = (self.directory / "server.log").open("wb")
        self._process = subprocess.Popen(
            [
                *self._as_user(),
                str(self._binaries / "postgres"),
                *("-D", str(data), "-k", str(self.directory), "-c", "listen_addresses=", "-c", "fsync=off"),
            ],
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    def url(self, database: str) -> str:
        """The URL of a database, as a person would give it."""
        return f"postgresql://isthmus@/{database}?host={self.directory}"

    def create_database(self, name: str) -> str:
        """A new, empty database; its URL."""
        self.query("postgres", f'CREATE DATABASE "{name}"')
        return self.url(name)

    def query(self, database: str, text: str) -> str:
        """Run one statement."""
        return self._run("psql", "-h", str(self.directory), "-U", "isthmus", "-d", database, "-Atc", text)

    def close(self) -> None:
        """End the server at once."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _as_user(self) -> list[str]:
        if self._user is None:
            return []
        ids = ("--reuid", str(self._user.pw_uid), "--regid", str(self._user.pw_gid), "--clear-groups")
        return ["setpriv", *ids, "--"]

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [*self._as_user(), str(self._binaries / program), *arguments],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            timeout=60,
        )
        return done.stdout.strip()

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                self.query("postgres", "SELECT 1")
                return
            except subprocess.CalledProcessError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    text = (self.directory / "server.log").read_text()
                    raise RuntimeError(f"PostgreSQL did not start:\n{text}") from None
                time.sleep(0.1)


def _unprivileged_user() -> pwd.struct_passwd | None:
    """Whom the server runs as; None for whoever runs the tests. PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
