"""A site that announces very many healthy endpoints, over real BGP and mTLS, without having that many."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from isthmus.emit.gobgp.address import region_address
from isthmus.engine.gobgp.speaker import Speaker
from isthmus.engine.gobgp.tunnel import Target, TunnelDialler
from isthmus.health.announcer import Announcer, EndpointNumbers, HealthyEndpoint
from isthmus.health.codec import RouteSpace
from isthmus.identity import CredentialDirectory, Identity, Role, join, parse_token


@contextlib.asynccontextmanager
async def announcing(
    directory: Path, token: str, site: int, regions: Mapping[str, int], clusters: Sequence[int], count: int
) -> AsyncIterator[None]:
    """Join, connect to all regions of the deployment, announce `count` routes spread over the clusters.

    `site`, `regions` and `clusters` are the numbers that the console gave. The routes are gone when the context ends.
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
        healthy = {name: HealthyEndpoint(clusters[index % len(clusters)], 1) for index, name in enumerate(names)}
        numbers = EndpointNumbers().allocate(names)
        await speaker.apply(Announcer(site).plan(healthy, numbers, time.time()))
        yield
    finally:
        for tunnel in tunnels:
            tunnel.cancel()
        await asyncio.gather(*tunnels, return_exceptions=True)
        await speaker.stop()
