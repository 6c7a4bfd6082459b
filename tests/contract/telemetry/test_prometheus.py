"""What a real Prometheus makes of our metrics, our alert rules and the queries of our dashboard."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from prometheus_client.registry import Collector

from isthmus.region.metric import Metrics, Reading
from isthmus.telemetry.decoder import Decoder
from isthmus.telemetry.naming import Naming
from isthmus.telemetry.rollup import latencies_of, signals_of
from isthmus.telemetry.total import Totals

from ...port import free_port
from ...unit.telemetry.message import entry, message

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "examples" / "monitoring"
OWN = re.compile(r"\bisthmus_[a-z_]+")
SOURCES = ("src/isthmus/site", "src/isthmus/region", "src/isthmus/console", "src/isthmus/telemetry")


def expressions() -> list[str]:
    """Every query of the rules and of the dashboard, variables filled in as Grafana does."""
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    for panel in json.loads((FOLDER / "grafana.json").read_text())["panels"]:
        found += [target["expr"] for target in panel["targets"]]
    return [each.replace("$__rate_interval", "1m").replace("$virtual_host", ".*") for each in found]


def traffic(totals: Totals) -> None:
    some = [*(entry(at=datetime.now(UTC)) for _ in range(20)), entry(code=503, flags=("no_healthy_upstream",))]
    records = Decoder(Naming("ams")).parse("ingress", [message(*some)])
    totals.add(signals_of(records), latencies_of(records))


def exposition(totals: Totals) -> bytes:
    registry = CollectorRegistry()

    class Traffic(Collector):
        def collect(self) -> Any:
            return totals.collect()

    registry.register(Traffic())
    up = Gauge("isthmus_site_engine_up", "Whether a supervised process runs.", ["engine"], registry=registry)
    up.labels("envoy").set(1)
    reading = Reading(True, 1, 1, 1, 1, 1, True, 0, 2e9)
    return generate_latest(registry) + Metrics().emit(reading)


@contextlib.contextmanager
def served(totals: Totals) -> Iterator[int]:
    """The metrics over HTTP; each look finds more traffic."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            traffic(totals)
            body = exposition(totals)
            self.send_response(200)
            self.send_header("content-type", CONTENT_TYPE_LATEST)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def test_metrics_have_conventional_names() -> None:
    totals = Totals()
    traffic(totals)
    checked = subprocess.run(["promtool", "check", "metrics"], input=exposition(totals), capture_output=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_rules_are_rules() -> None:
    checked = subprocess.run(["promtool", "check", "rules", FOLDER / "alerts.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "SUCCESS: 12 rules found" in checked.stdout
    checked = subprocess.run(["promtool", "check", "config", FOLDER / "prometheus.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_metric_that_is_asked_for_exists() -> None:
    text = "".join(path.read_text() for folder in SOURCES for path in sorted((ROOT / folder).rglob("*.py")))
    for name in sorted({name for expression in expressions() for name in OWN.findall(expression)}):
        plain = re.sub(r"(_total|_bucket)$", "", name)
        short = re.sub(r"^isthmus_(site|region)_", "", plain)
        assert f'"{plain}"' in text or f'"{short}"' in text or "isthmus_{name}" in text, name


@pytest.mark.timeout(300)
async def test_a_real_prometheus_takes_metrics_rules_and_queries(tmp_path: Path) -> None:
    port = free_port()
    with served(Totals()) as target:
        config = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"]["scrape_interval"] = "1s"
        config["rule_files"] = [str(FOLDER / "alerts.yml")]
        config["scrape_configs"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{target}"]
        (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
        process = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yaml'}",
            f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        )
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1/", timeout=60) as client:
                rate = await until_answered(client, "sum(rate(isthmus_requests_total[1m])) > 0")
                assert float(rate[0]["value"][1]) > 0
                for expression in expressions():
                    answer = (await client.get("query", params={"query": expression})).json()
                    assert answer["status"] == "success", (expression, answer)
                p99 = await until_answered(
                    client,
                    "histogram_quantile(0.99, sum by (le) (rate(isthmus_request_duration_seconds_bucket[1m])))",
                )
                assert 0.0025 <= float(p99[0]["value"][1]) <= 0.005
                errors = await until_answered(client, 'isthmus_requests_total{error="unreachable"}')
                assert errors[0]["metric"]["virtual_host"] == "shop/site"
                groups = (await client.get("rules")).json()["data"]["groups"]
                assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
        finally:
            process.terminate()
            await process.wait()


async def until_answered(client: httpx.AsyncClient, query: str) -> list[dict[str, Any]]:
    deadline = asyncio.get_running_loop().time() + 120
    while True:
        with contextlib.suppress(httpx.TransportError):
            answer = (await client.get("query", params={"query": query})).json()
            if answer["status"] == "success" and answer["data"]["result"]:
                found: list[dict[str, Any]] = answer["data"]["result"]
                return found
        assert asyncio.get_running_loop().time() < deadline, query
        await asyncio.sleep(0.2)
