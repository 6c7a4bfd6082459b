"""Starting and ending: files, refusals, the real process with its signals."""

import asyncio
import json
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from isthmus.console.error import ConsoleError
from isthmus.console.process import Console
from isthmus.console.settings import ConsoleSettings
from isthmus.exporter.journal import Journal
from isthmus.exporter.setting import OtlpSettings
from isthmus.telemetry.setting import HttpSettings

from ...contract.telemetry.collector import Collector
from .conftest import Running


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_first_start_leaves_files_that_only_the_owner_reads(console: Any) -> None:
    state: Path = console.state
    assert _mode(state) == 0o700
    for path in ("admin.token", "authority/authority.key", "authority/signing.key", "identity/identity.pem"):
        assert _mode(state / path) == 0o600, path
    assert "BEGIN CERTIFICATE" in (state / "ca.pem").read_text()
    assert "PRIVATE" not in (state / "ca.pem").read_text()


async def test_a_second_start_keeps_everything(console: Any) -> None:
    files = {name: (console.state / name).read_bytes() for name in ("admin.token", "ca.pem", "identity/identity.pem")}
    await console.ask("POST", "/sites", {"metadata": {"name": "fra"}}, status=201)
    await console.restart()
    assert {name: (console.state / name).read_bytes() for name in files} == files
    assert [s["metadata"]["name"] for s in (await console.ask("GET", "/sites"))["items"]] == ["fra"]
    assert [r["who"] for r in (await console.ask("GET", "/revisions"))["items"]] == ["admin"]


async def test_two_consoles_cannot_use_one_state_directory(console: Any, settings: ConsoleSettings) -> None:
    with pytest.raises(ConsoleError, match="Another console runs"):
        await Console(settings).start()


async def test_what_cannot_be_is_said_in_a_sentence(console: Any, settings: ConsoleSettings, directory: Path) -> None:
    fresh = replace(settings, state=directory / "other")
    taken = replace(fresh, listen=f"127.0.0.1:{console.console.port}")
    for wrong, text in (
        (taken, "Cannot listen on"),
        (replace(fresh, listen="nonsense"), "HOST:PORT"),
        (replace(fresh, metrics="0.0.0.0:0"), "loopback"),
        (replace(fresh, trust_domain="Not A Domain", state=directory / "third"), "trust domain"),
        (replace(fresh, state=Path("/dev/null/x")), "state directory"),
    ):
        with pytest.raises(ConsoleError, match=text):
            await Console(wrong).start()


async def test_state_and_database_must_belong_together(
    console: Any, directory: Path, settings: ConsoleSettings
) -> None:
    await console.stop()
    database = f"sqlite:///{console.state}/console.db"
    with pytest.raises(ConsoleError, match="whose authority is not in"):
        await Console(replace(settings, state=directory / "empty", database=database)).start()
    other = Console(replace(settings, state=directory / "other"))
    await other.start()
    await other.stop()
    with pytest.raises(ConsoleError, match="is not of the deployment"):
        await Console(replace(settings, state=directory / "other", database=database)).start()
    with pytest.raises(ConsoleError, match="cannot become"):
        await Console(replace(settings, trust_domain="new.example")).start()


async def test_the_certificate_follows_the_advertised_names(console: Any, settings: ConsoleSettings) -> None:
    await console.ask("POST", "/sites", {"metadata": {"name": "fra"}}, status=201)
    console.settings = replace(console.settings, advertise=("console.example", "192.0.2.7"))
    await console.restart()
    answer = await console.ask("POST", "/tokens", {"role": "site", "name": "fra"}, status=201)
    from isthmus.identity import parse_token

    port = console.console.port
    assert parse_token(answer["token"]).urls == (f"https://console.example:{port}", f"https://192.0.2.7:{port}")
    reasons = [c["reason"] for c in (await console.ask("GET", "/identities"))["items"]]
    assert reasons == ["console", "console"]


async def test_monitoring_on_loopback_asks_for_no_token(settings: ConsoleSettings) -> None:
    running = Console(replace(settings, metrics="127.0.0.1:0"))
    await running.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.metrics_port}") as client:
        assert (await client.get("/healthz")).text == "ok\n"
        assert "isthmus_revision 0.0" in (await client.get("/metrics")).text
        assert (await client.get("/api/v1/sites")).status_code == 404
    await running.stop()


async def test_a_collector_gets_what_monitoring_shows(settings: ConsoleSettings, until: Any) -> None:
    collector = Collector()
    await collector.start()
    journal = Journal()
    otlp = OtlpSettings(HttpSettings(collector.url, "OTLP", timeout=60_000), metrics=100)
    running = Running(replace(settings, metrics="127.0.0.1:0", otlp=otlp), journal)
    await running.start()
    try:
        instance = f"127.0.0.1:{running.console.port}"
        journal(None, "info", {"event": "marked", "level": "info"})
        await collector.until(lambda: {instance} == {name for name, _ in collector.logs} and bool(collector.metrics))
        assert collector.resources[instance]["service.name"] == "isthmus-console"
        assert collector.resources[instance]["isthmus.trust_domain"] == "test.example"
        async with httpx.AsyncClient() as client:
            shown = (await client.get(f"http://127.0.0.1:{running.console.metrics_port}/metrics")).text
        families = {line.split()[2] for line in shown.splitlines() if line.startswith("# TYPE isthmus_")}
        families -= {name for name in families if name.endswith("_created")}
        valued = {name for name in families if f"\n{name}" in shown}
        await collector.until(lambda: valued <= {metric.name for _, metric in collector.metrics})
        assert {"isthmus_revision", "isthmus_otlp_failing", "isthmus_joins_total"} <= valued

        async def told() -> bool:
            """The collector has it before the console has the collector's answer."""
            [logs, metrics] = (await running.ask("GET", "/status"))["console"]["otlp"]
            assert (metrics["signal"], metrics["target"]) == ("metrics", f"OTLP {collector.url}")
            return (logs["signal"], logs["delivered"], logs["error"]) == ("logs", 1, "")

        await until(told, "the log is known to be delivered")
    finally:
        await running.stop()
        await collector.stop()


_PROGRAM = """
import asyncio, sys
from pathlib import Path
from isthmus.console.process import run
from isthmus.console.settings import ConsoleSettings
asyncio.run(run(ConsoleSettings(Path(sys.argv[1]), "127.0.0.1:0", "127.0.0.1:0", telemetry=False)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_logs_json_and_ends_on_a_signal(directory: Path, number: signal.Signals) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, str(directory / "c"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while not events or events[-1]["event"] != "console.started":
            events.append(json.loads(await process.stderr.readline()))
        process.send_signal(number)
        output, errors = await process.communicate()
    assert process.returncode == 0
    assert output == b""
    names = [event["event"] for event in events] + [json.loads(line)["event"] for line in errors.splitlines()]
    assert names == [
        "deployment.founded",
        "admin_token.created",
        "secrets_key.created",
        "console.started",
        "console.stopping",
    ]
    assert events[1]["path"] == str(directory / "c" / "admin.token")
    secret = (directory / "c" / "admin.token").read_text().strip()
    assert secret not in str(events)


async def test_an_edit_that_cannot_be_stored_leaves_everything_as_it_was(shop: Any, documents: Any) -> None:
    publication = shop.console.deployment.publication
    versions = dict(publication.versions())
    with sqlite3.connect(shop.state / "console.db") as database:
        database.execute("ALTER TABLE change RENAME TO away")
    changed = documents("Route", "all", {"directResponse": {"status": 204}})
    refused = await shop.apply(changed, status=503)
    assert refused["error"]["code"] == "store-unavailable"
    route = await shop.ask("GET", "/namespaces/default/routes/all")
    assert "directResponse" not in route["spec"]
    assert route["metadata"]["revision"] == 1
    assert dict(publication.versions()) == versions
    assert "default/Cluster/default/web" in publication.state("default/site/fra").entries
    with sqlite3.connect(shop.state / "console.db") as database:
        database.execute("ALTER TABLE away RENAME TO change")
    database.close()
    assert (await shop.apply(changed))["revision"] == 2
