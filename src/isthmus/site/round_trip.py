"""Measures the round-trip time to other sites: the time that a TCP connection to a fabric address takes to open.

One packet there and one back, answered by the other kernel, so neither Envoy's load nor TLS counts. Rejected: HTTP/2
pings between the Envoys, of which Envoy has no statistics.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time

from isthmus.compile.intent import Socket
from isthmus.site.ingress import Ingress

INTERVAL = 10.0
"""Seconds between measurements of one site."""
_LIMIT = 3.0


async def measure_round_trip(socket: Socket) -> float | None:
    """Milliseconds; None when the connection does not open within three seconds."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(_LIMIT):
            _, writer = await asyncio.open_connection(socket.address, socket.port)
    except (OSError, TimeoutError):
        return None
    taken = time.monotonic() - began
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return taken * 1000


async def keep_measuring(ingress: Ingress, interval: float = INTERVAL) -> None:
    """For ever, one site after the other, so that measurements do not disturb each other; new sites within a second."""
    due: dict[str, float] = {}
    while True:
        sites = ingress.measured_sites()
        due = {site: due.get(site, 0.0) for site in sites}
        for site in sorted(site for site, moment in due.items() if moment <= time.monotonic()):
            taken = await measure_round_trip(sites[site][0])
            if taken is not None:
                ingress.measure(site, taken)
            due[site] = time.monotonic() + interval * random.uniform(0.8, 1.2)  # noqa: S311 - spreads measurements
        await asyncio.sleep(min(1.0, interval))
