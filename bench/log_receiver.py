"""The receiving half of a site's agent in a process of its own: `python -m bench.log_receiver SOCKET SPOOL`.

Takes Envoy's access log and makes batches of it as the agent does, every two seconds, on to the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.process import running
from isthmus.engine.envoy import LogServer
from isthmus.telemetry.batch import Batch, emit_batch
from isthmus.telemetry.collection import collect
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.sampling import Sampling
from isthmus.telemetry.spool import Spool
from isthmus.telemetry.total import Totals

INTERVAL = 2.0


@contextlib.contextmanager
def receiving(folder: Path, on: str) -> Iterator[int]:
    """The process, for the data path in this folder, on cores of its own. Yields its id; RuntimeError when it does not
    start, or when it was told of no request in the end."""
    log = folder / "receiver.log"
    command = [sys.executable, "-m", "bench.log_receiver", str(folder / "log.sock"), str(folder / "spool")]
    with running(command, log, on) as child:
        deadline = time.monotonic() + 30
        while "ready" not in log.read_text():
            if time.monotonic() > deadline or child.poll() is not None:
                raise RuntimeError(f"the receiver did not start: {log.read_text()}")
            time.sleep(0.05)
        yield child.pid
    if not log.read_text().split()[-1].strip("0"):
        raise RuntimeError("no request was told")


async def receive(socket: Path, folder: Path) -> None:
    """For ever. Prints the number of requests seen, a line per batch."""
    server, decoder, totals = LogServer(socket), Decoder(Naming("own")), Totals()
    spool = Spool(folder, 64 << 20)
    await server.start()
    print("ready", flush=True)
    seen = 0
    while True:
        await asyncio.sleep(INTERVAL)
        messages = server.take()
        tables, requests = await asyncio.to_thread(collect, decoder, messages, Sampling(), INTERVAL)
        if tables:
            totals.add(tables["signal"], tables["latency"])
            name = spool.next_name()
            batch = Batch("default/site/own", name, time.time(), requests, tables)
            spool.put(name, await asyncio.to_thread(emit_batch, batch), requests)
        seen += requests
        print(seen, flush=True)


if __name__ == "__main__":
    asyncio.run(receive(Path(sys.argv[1]), Path(sys.argv[2])))
