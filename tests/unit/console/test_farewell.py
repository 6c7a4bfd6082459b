"""A site that is deleted: its regions learn that it is none of theirs, also when they were away."""

from pathlib import Path
from typing import Any

from isthmus.protocol import AppliedReport, StatusReport, Uplink, Version

from .test_stream import FRA, NYC, connect


def regions(uplink: Uplink, subject: str) -> tuple[str, ...] | None:
    state = uplink.state(subject)
    return state.regions if state is not None else None


async def test_the_regions_of_a_deleted_site_are_told(shop: Any, directory: Path, until: Any) -> None:
    region = await connect(shop, directory)
    await until(lambda: region.state(FRA) and region.state(NYC), "manifests arrive")
    await shop.ask("DELETE", "/sites/fra")
    await until(lambda: regions(region, FRA) == (), "the region is told")
    region.reports.put_applied(AppliedReport(FRA, Version(1, 2)))
    region.reports.put_status(StatusReport(FRA, b"{}", 2.0))
    region.reports.put_status(StatusReport(NYC, b"{}", 2.0))

    async def heard() -> bool:
        sites = (await shop.ask("GET", "/status"))["sites"]
        assert [site["name"] for site in sites] == ["nyc"]
        return sites[0]["status"] is not None

    await until(heard, "what a deleted site says spoils nothing")
    await shop.apply({"apiVersion": "isthmus/v1", "kind": "Site", "metadata": {"name": "fra"}, "spec": {}})
    await until(lambda: regions(region, FRA) == ("eu", "us"), "the site is declared again")
    await region.stop()


async def test_a_region_that_was_away_is_told_by_the_next_console(shop: Any, directory: Path, until: Any) -> None:
    region = await connect(shop, directory)
    await until(lambda: region.state(FRA) and region.state(NYC), "manifests arrive")
    await region.stop()
    await shop.ask("DELETE", "/sites/fra")
    await shop.restart()
    region = await connect(shop, directory)
    await until(lambda: regions(region, FRA) == (), "the region is told")
    assert regions(region, NYC) == ("eu", "us"), "no other site moves"
    await region.stop()
