"""A site that announces very many healthy endpoints of clusters that nobody here uses, over real BGP and mTLS."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path

from isthmus.emit.gobgp.address import region_address
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler
from isthmus.health.announcer import Announcer, EndpointNumbers, HealthyEndpoint
from isthmus.health.codec import RouteSpace
from isthmus.identity import CredentialDirectory, Identity, Role, join, parse_token

_FIRST_CLUSTER = 1_000_000
_PER_CLUSTER = 100


@contextlib.asynccontextmanager
async def announcing(
    directory: Path, token: str, site: int, regions: Mapping[str, int], count: int
) -> AsyncIterator[None]:
    """Join, connect to all regions of the deployment, announce `count` routes; they are gone when the context ends.

    `site` and `regions` are the numbers that the console gave.
    """
    membership = await join(parse_token(token), directory / "identity")
    credentials = CredentialDirectory(directory / "identity")
    speaker = Speaker(directory / "gobgp", RouteSpace.of(membership.trust_domain), site)
    await speaker.set_regions(dict(regions))
    await speaker.start()
    tunnels = []
    for region in membership.regions:
        name = Identity(membership.trust_domain, Role.REGION, "default", region.name).dns_name
        target = partial(Target, region.address, region.bgp_port, name)
        source = region_address(regions[region.name])
        dialler = TunnelDialler(target, credentials.client_context, lambda: speaker.door, source)
        tunnels.append(asyncio.create_task(dialler.run()))
    try:
        names = [f"bulk-{index}" for index in range(count)]
        healthy = {name: HealthyEndpoint(_FIRST_CLUSTER + index // _PER_CLUSTER, 1) for index, name in enumerate(names)}
        numbers = EndpointNumbers().allocate(names)
        await speaker.apply(Announcer(site).plan(healthy, numbers, time.time()))
        yield
    finally:
        for tunnel in tunnels:
            tunnel.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)
        await speaker.stop()
