"""The demo's deployment: two regions, three sites and the shop, as `examples/demo` declares them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from isthmus.demo.deployment import Deployment, DeploymentError
from isthmus.demo.example import load_example
from isthmus.demo.traffic import Summary, Target, ask_many, summarise

HOST = "shop.example"
NEAREST = {"ams": "fra", "fra": "fra", "nyc": "nyc"}
"""Where pages asked for at each site are answered while all is well."""
SEARCH = "/search?q=tea"
"""Answered by every instance of its cluster, by weight."""
_PLACES = ("Region", "Site", "VirtualSite")


class Shop:
    """A deployment with the objects of `examples/demo`."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.documents = load_example("demo", deployment.plan)
        self.regions = self._names("Region")
        self.sites = self._names("Site")
        self.instances = self._names("Endpoint")

    def _names(self, kind: str) -> tuple[str, ...]:
        return tuple(each["metadata"]["name"] for each in self.documents if each["kind"] == kind)

    def document(self, kind: str, name: str) -> dict[str, Any]:
        """One of the objects, with the addresses of this deployment."""
        found: dict[str, Any] = next(
            each for each in self.documents if each["kind"] == kind and each["metadata"]["name"] == name
        )
        return found

    def target(self, site: str, path: str = "/") -> Target:
        """Where clients reach the shop at a site."""
        address = self.document("Site", site)["spec"]["interfaces"][0]["addresses"][0]
        return Target(address, self.document("AdvertisePolicy", "everywhere")["spec"]["port"], HOST, path)

    def start_instance(self, name: str, failing: int = 0) -> None:
        """Start an instance of the application, for the first time or again. `failing`: percentage that fails."""
        document = self.document("Endpoint", name)
        spec, labels = document["spec"], document["metadata"]["labels"]
        self.deployment.run_application(
            name, spec["where"]["site"], spec["address"], spec["port"], labels["version"], failing
        )

    async def start(self, tell: Callable[[str], None]) -> None:
        """Start everything and wait until each site answers as it should."""
        tell("starting the console")
        await self.deployment.start_console("--alert-network", "127.0.0.0/8")  # all that it has is on this machine
        places = [document for document in self.documents if document["kind"] in _PLACES]
        answer = await self.deployment.apply(places)
        tell(f"declared {len(places)} places: revision {answer['revision']}")
        for name in self.instances:
            self.start_instance(name)
        for role, names in (("region", self.regions), ("site", self.sites)):
            tell(f"{' and '.join(names) if len(names) < 3 else ', '.join(names)}: {role}s join, each with its token")
            await asyncio.gather(*(self.deployment.join(role, name) for name in names))
        answer = await self.deployment.apply(self.documents)
        tell(f"declared the shop: revision {answer['revision']}")
        await self.wait_for_calm(90)

    async def wait_for(
        self, good: Callable[[str], bool], seconds: float, sites: tuple[str, ...] = (), calm: int = 20
    ) -> None:
        """Wait until so many requests in a row at each site (all when empty) were answered, by sites that are good.

        Raises DeploymentError when that does not happen in time.
        """
        deadline = time.monotonic() + seconds
        for site in sites or self.sites:
            while True:
                summary = await self.ask(site, calm)
                if not summary.failed and len(summary.sites) > 0 and all(good(name) for name in summary.sites):
                    break
                if time.monotonic() > deadline:
                    raise DeploymentError(f"{site} still answers {summary} after {seconds:.0f} s")
                await asyncio.sleep(0.1)

    async def wait_for_calm(self, seconds: float) -> None:
        """Wait until each site is answered by the nearest one, by each instance there, and until searches are answered
        by every one of their instances. Raises DeploymentError."""
        for site, nearest in NEAREST.items():
            await self.wait_for(lambda name, nearest=nearest: name == nearest, seconds, (site,))  # type: ignore[misc]
            for instance in (f"{nearest}-1", f"{nearest}-2"):
                await self.wait_for_instance(site, instance, seconds)
            for endpoint in self.document("Cluster", "search")["spec"]["endpoints"]:
                await self.wait_for_instance(site, endpoint["name"], seconds, SEARCH)

    async def wait_for_instance(self, site: str, instance: str, seconds: float = 30, path: str = "/") -> None:
        """Wait until an instance answers requests for a path that enter at a site."""
        deadline = time.monotonic() + seconds
        while instance not in (await self.ask(site, 20, path)).instances:
            if time.monotonic() > deadline:
                raise DeploymentError(f"{instance} answers no request at {site} after {seconds:.0f} s")
            await asyncio.sleep(0.1)

    async def ask(self, site: str, count: int, path: str = "/") -> Summary:
        """What so many requests at a site saw."""
        return summarise(await ask_many(self.target(site, path), count))
