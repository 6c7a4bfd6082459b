"""A small HTTP application, several instances of which play the shop.

    python -m isthmus.demo.application --listen 127.0.0.1:8001 --site fra --instance fra-1 --version v1

Every answer is JSON: site, instance, version, method, path and the request's headers. `/health` is for health checks,
`/status/503` answers with that status, `/slow/250` after that many milliseconds. HTTP/1.1 with keep-alive. With
`--failing 20` one in five requests, but no health check, is answered with 500: a version with a defect.
"""

import argparse
import asyncio
import contextlib
import json
import random
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD_LIMIT = 64 * 1024
_BODY_LIMIT = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Instance:
    """Who answers."""

    site: str
    instance: str
    version: str
    failing: int = 0
    """Percentage of the requests that fail."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request line and headers, names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


def parse_head(head: bytes) -> Request:
    """Parse what comes before the body. Raises ValueError."""
    lines = head.decode("latin-1").split("\r\n")
    method, path, _ = lines[0].split(" ", 2)
    headers = {}
    for line in lines[1:]:
        name, separator, value = line.partition(":")
        if separator:
            headers[name.strip().lower()] = value.strip()
    return Request(method, path, headers)


def emit_answer(instance: Instance, request: Request, chance: float = 1.0) -> bytes:
    """The whole response. `chance`: at random from 0 to 1, for what fails of a version with a defect."""
    found = re.match(r"/status/([2-5]\d\d)\b", request.path)
    fails = chance * 100 < instance.failing and not request.path.startswith("/health")
    status = int(found[1]) if found else 500 if fails else 200
    body = json.dumps(
        {
            "site": instance.site,
            "instance": instance.instance,
            "version": instance.version,
            "method": request.method,
            "path": request.path,
            "headers": dict(request.headers),
        }
    ).encode()
    head = f"HTTP/1.1 {status} Answer\r\ncontent-type: application/json\r\ncontent-length: {len(body) + 1}\r\n\r\n"
    return head.encode() + (b"" if request.method == "HEAD" else body + b"\n")


async def _serve(instance: Instance, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        while True:
            request = parse_head(await reader.readuntil(b"\r\n\r\n"))
            await _skip_body(request, reader)
            slow = re.match(r"/slow/(\d{1,5})\b", request.path)
            if slow:
                await asyncio.sleep(int(slow[1]) / 1000)
            writer.write(emit_answer(instance, request, random.random()))  # noqa: S311 - no secret
            await writer.drain()
            if request.headers.get("connection", "").lower() == "close":
                break
    writer.close()


async def _skip_body(request: Request, reader: asyncio.StreamReader) -> None:
    if request.headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            await reader.readexactly(min(size, _BODY_LIMIT) + 2)
        await reader.readline()
    elif length := int(request.headers.get("content-length", "0")):
        await reader.readexactly(min(length, _BODY_LIMIT))


async def _run(instance: Instance, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(
        lambda reader, writer: _serve(instance, reader, writer), host, port, limit=_HEAD_LIMIT, backlog=1024
    )
    await stop.wait()
    server.close()


def main() -> None:
    """Serve until a signal."""
    parser = argparse.ArgumentParser(description="One instance of the demo's application.")
    parser.add_argument("--listen", required=True, metavar="HOST:PORT")
    parser.add_argument("--site", required=True)
    parser.add_argument("--instance", required=True)
    parser.add_argument("--version", default="v1")
    parser.add_argument("--failing", type=int, default=0, metavar="PERCENT")
    options = parser.parse_args()
    host, _, port = options.listen.rpartition(":")
    asyncio.run(
        _run(Instance(options.site, options.instance, options.version, options.failing), host.strip("[]"), int(port))
    )


if __name__ == "__main__":
    main()
