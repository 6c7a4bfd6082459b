"""A site's gauges: whose connections are counted as whose."""

from __future__ import annotations

from pathlib import Path

from isthmus.compile.compiler import compile_site
from isthmus.model import ObjectKey
from isthmus.model.document import parse_yaml
from isthmus.site.gauge import changes_of, count_connections, plan_labels
from isthmus.telemetry.gauge import GAUGES, Gauge

ROOT = Path(__file__).parents[3]


def labels(example: str, site: str) -> dict[str, str]:
    objects = [
        obj
        for path in sorted((ROOT / "examples" / example).glob("*.yaml"))
        for obj in parse_yaml(path.read_text()).objects
    ]
    found = {obj.key: obj for obj in objects}
    return plan_labels(compile_site(found, ObjectKey("default", "Site", "", site), "test.example").intent)


def test_connections_are_of_a_virtual_host_or_of_the_socket_that_several_share() -> None:
    found = labels("proxy-types", "ams")
    assert set(found.values()) >= {"default/shop", "default/database", "default/dns"}
    assert any(name.startswith("udp.") for name in found)
    numbers = dict.fromkeys(found, 2) | {
        "cluster.default/shop/web@local.upstream_cx_active": 3,
        "cluster.default/shop/web@fabric.upstream_cx_active": 1,
        "cluster.isthmus_log.upstream_cx_active": 1,
        "http.admin.downstream_cx_active": 1,
    }
    counts = count_connections(numbers, found)
    assert counts["connections_upstream", "shop/web"] == 4
    assert {label for name, label in counts if name == "connections_downstream"} == set(found.values())
    assert sum(counts.values()) == 4 + 2 * len(found)


def test_within_a_minute_only_changes_are_told() -> None:
    before = {
        ("process_up", "envoy"): 1.0, ("endpoints", "healthy"): 3.0, ("health_transitions", "a"): 1.0,
        ("certificate_seconds", ""): 100.0,
    }  # fmt: skip
    now = [
        Gauge("process_up", "envoy", True),
        Gauge("endpoints", "healthy", 2),
        Gauge("health_transitions", "a", 1),
        Gauge("certificate_seconds", "", 90),
        Gauge("connections_upstream", "shop/web", 1),
    ]
    assert [each.name for each in changes_of(now, before)] == [
        "endpoints", "health_transitions", "connections_upstream",
    ]  # fmt: skip
    assert {each.name for each in now} <= set(GAUGES)
