"""The embedded store: chDB in a process of its own, behind the part of ClickHouse's HTTP interface that we use.

    POST /?query=…&database=…&param_NAME=…&readonly=1&insert_deduplication_token=…     body: rows, or the query

One thread writes, a few read. Questions of people run in sessions that can only read, with limits that they cannot
lift: otherwise SQL could read any file of the machine. The process ends when its standard input closes, that is with
the console that started it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MEMORY = 1 << 30
"""Bytes for one question or insert."""
ROWS = 200_000
"""Rows of one answer."""
READERS = 2
_BODY = 256 << 20
_INSERT_SETTINGS = ("insert_deduplication_token", "deduplicate_blocks_in_dependent_materialized_views")
_OVERLOADED = ("MEMORY_LIMIT_EXCEEDED", "NOT_ENOUGH_SPACE", "TOO_MANY_PARTS", "CANNOT_WRITE", "TOO_MANY_SIMULTANEOUS")


class Embedded:
    """chDB on a directory. Only one process may have it."""

    def __init__(self, directory: Path) -> None:
        from chdb import session

        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._session = session.Session
        self._path = str(directory / "data")
        self._incoming = directory / "incoming"
        self._incoming.mkdir(mode=0o700, exist_ok=True)
        for stale in self._incoming.iterdir():
            stale.unlink()
        self._local = threading.local()
        self._keep = self._open()  # as long as one session is open, the engine is
        self._writer = ThreadPoolExecutor(1, "writer")
        self._readers = ThreadPoolExecutor(READERS, "reader")

    def run(self, parameters: dict[str, str], body: bytes) -> bytes:
        """Answer one request. Raises RuntimeError with ClickHouse's text."""
        if parameters.get("readonly") in ("1", "2"):
            return self._readers.submit(self._read, parameters, body).result()
        return self._writer.submit(self._write, parameters, body).result()

    def close(self) -> None:
        """Finish what runs."""
        for pool in (self._writer, self._readers):
            pool.shutdown()

    def _open(self) -> Any:
        make: Any = self._session
        return make(self._path)

    def _read(self, parameters: dict[str, str], body: bytes) -> bytes:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._open()
            session.query("SET max_execution_time = 15")
            session.query(f"SET max_memory_usage = {MEMORY}")
            session.query("SET max_threads = 2")
            session.query(f"SET max_result_rows = {ROWS}")
            session.query("SET result_overflow_mode = 'throw'")
            session.query("SET output_format_json_quote_64bit_integers = 0")
            session.query(f"USE {_name(parameters)}")
            session.query("SET readonly = 1")
        sql = (parameters.get("query", "") + body.decode()).strip()
        given = {key[6:]: value for key, value in parameters.items() if key.startswith("param_")}
        result = session.query(sql, parameters.get("default_format", "TabSeparated"), params=given)
        return bytes(result.bytes() or b"")

    def _write(self, parameters: dict[str, str], body: bytes) -> bytes:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = self._open()
            session.query(f"SET max_memory_usage = {MEMORY}")
        sql = parameters.get("query", "").strip()
        if parameters.get("database", "default") != "default":
            session.query(f"USE {_name(parameters)}")
        if not sql.upper().startswith("INSERT"):
            return bytes(session.query(sql or body.decode(), "TabSeparated").bytes() or b"")
        head, separator, form = sql.rpartition(" FORMAT ")
        if not separator:
            return bytes(session.query(sql, "TabSeparated").bytes() or b"")
        columns = head[head.index("(") + 1 : head.rindex(")")]
        given = [f"{name} = {_quote(parameters[name])}" for name in _INSERT_SETTINGS if name in parameters]
        settings = "SETTINGS " + ", ".join(given) if given else ""
        path = self._incoming / f"{os.getpid()}-{threading.get_ident()}"
        path.write_bytes(body)
        try:
            source = f"file({_quote(str(path))}, {_quote(form.strip())})"
            session.query(f"{head} {settings} SELECT {columns} FROM {source}")  # noqa: S608 - said by the console alone
        finally:
            path.unlink(missing_ok=True)
        return b""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        if size > _BODY:
            self._answer(413, b"Code: 210. DB::Exception: too large\n")
            return
        body = self.rfile.read(size)
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            self._answer(200, self.server.store.run(parameters, body))  # type: ignore[attr-defined]
        except Exception as error:
            text = f"{error}\n"
            self._answer(503 if any(word in text for word in _OVERLOADED) else 400, text.encode())

    def address_string(self) -> str:
        return "local"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self, status: int, body: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64
    store: Embedded


def serve(directory: Path, socket: Path) -> None:
    """Serve until SIGTERM, or until standard input ends. Raises OSError, and RuntimeError for a damaged store."""
    store = Embedded(directory)
    socket.unlink(missing_ok=True)
    with _masked(), _Server(str(socket), _Handler) as server:
        socket.chmod(0o600)
        server.store = store

        def stop(*_: object) -> None:
            threading.Thread(target=server.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the console ends us in order

        def watch() -> None:
            sys.stdin.buffer.read()
            stop()

        threading.Thread(target=watch, daemon=True).start()
        server.serve_forever(poll_interval=0.2)
    store.close()
    socket.unlink(missing_ok=True)
    os._exit(0)  # the engine's own tidying waits for sessions of threads that have ended; all that was said is on disk


@contextlib.contextmanager
def _masked() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _name(parameters: dict[str, str]) -> str:
    name = parameters.get("database", "default")
    if not name.isidentifier():
        raise RuntimeError("Code: 62. DB::Exception: not the name of a database")
    return name


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
