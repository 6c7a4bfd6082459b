"""A console is lost and restored from a backup: its sites serve on, need not join again, and follow the new one."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from isthmus.demo.deployment import CONSOLE, Deployment, isthmus, wait_until
from isthmus.demo.example import load_example
from isthmus.demo.shop import Shop
from isthmus.demo.traffic import Traffic, summarise

from ..contract.telemetry.collector import Collector
from .conftest import Measure, report


@pytest_asyncio.fixture(loop_scope="session")
async def collector() -> AsyncIterator[Collector]:
    found = Collector()
    await found.start()
    yield found
    await found.stop()


async def command(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *isthmus(*arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


@pytest.mark.timeout(300)
async def test_console_restored_from_a_backup(measured: Measure, collector: Collector) -> None:
    """Console and a region, started again, tell a collector of themselves besides."""
    async with Deployment() as deployment:
        shop = Shop(deployment)
        await shop.start(lambda text: None)
        file, lost = deployment.directory / "backup", deployment.state(CONSOLE)
        made = await command("backup", str(file), "--state", str(lost))
        assert "21 objects, revision 2, epoch 1" in made
        assert file.stat().st_mode & 0o077 == 0
        # An edit after the backup: the restored console has never heard of it, and of its revision.
        await deployment.apply(load_example("canary", deployment.plan))
        async with Traffic(shop.target("ams"), 100) as traffic:
            await shop.wait_for(lambda name: name in ("fra", "nyc"), 60, ("ams",))
            await wait_until(lambda: "v2" in summarise(traffic.records).versions, 60, "the next version is seen")
            await deployment.kill(CONSOLE)
            token, ca = deployment.token_file.read_text(), deployment.ca_file.read_text()
            await asyncio.to_thread(lost.rename, deployment.directory / "lost")
            restored = await command("restore", str(file), "--state", str(lost))
            assert "restored 21 objects, revision 2; the epoch is now " in restored
            epoch = int(restored.split()[-1])
            assert epoch > 1
            deployment.token_file.write_text(token)
            assert deployment.ca_file.read_text() == ca
            settings = deployment.directory / "otlp.yaml"
            settings.write_text(f"{{url: '{collector.url}', metricsInterval: 500ms, timeout: 60s}}")
            deployment.start(CONSOLE, more=("--otlp", str(settings)))
            await deployment.wait_for_console()

            def follows(site: str) -> bool:
                return (report(shop, site)["manifest"]["applied"] or {}).get("epoch") == epoch

            for site in shop.sites:
                await wait_until(lambda site=site: follows(site), 60, f"{site} follows the restored console", pause=0.2)  # type: ignore[misc]

            def served() -> set[str]:
                return set(summarise(traffic.ended_since(asyncio.get_running_loop().time() - 0.5)).versions)

            await wait_until(lambda: served() == {"v1"}, 60, "the configuration of the backup is in force")
        await deployment.stop("eu")
        deployment.start("eu", more=("--otlp", str(settings)))
        await told(collector, "console", "console.started", "isthmus_revision")
        await told(collector, "region", "region.started", "isthmus_region_manifests")
        async with asyncio.timeout(60):
            while True:  # one that was not taken in time is sent again
                signals = (await deployment.status())["console"]["otlp"]
                if [(each["signal"], each["error"]) for each in signals] == [("logs", ""), ("metrics", "")]:
                    break
                await asyncio.sleep(0.2)
        summary = summarise(traffic.records)
    measured(f"{summary.requests} requests, {summary.failed} failed, answered by {dict(summary.sites)}")
    assert summary.failed == 0


async def told(collector: Collector, plane: str, event: str, metric: str) -> None:
    """Once a process has sent this event and this metric."""

    def holds() -> bool:
        named = {name for name, each in collector.resources.items() if each["service.name"] == f"isthmus-{plane}"}
        events = {record.body.string_value for name, record in collector.logs if name in named}
        return event in events and metric in {each.name for name, each in collector.metrics if name in named}

    await collector.until(holds)
