"""Instances of a Consul service, from one answer to the next."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from isthmus.discovery.consul import instance
from isthmus.discovery.consul.instance import Instances

MANY = 5000


def entry(number: int, status: str = "passing", index: int | None = 7) -> dict[str, Any]:
    stamp = {} if index is None else {"ModifyIndex": index}
    return {
        "Node": {"Node": f"node-{number}", "Address": "10.9.0.1", **stamp},
        "Service": {
            "ID": f"web-{number}",
            "Service": "web",
            "Tags": ["version=11"],
            "Address": f"10.{number >> 8}.{number & 255}.1",
            "Port": 8080,
            **stamp,
        },
        "Checks": [{"CheckID": "http", "Status": status, **stamp}],
    }


def test_only_what_changed_is_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = instance.parse_instance

    def counted(each: dict[str, Any]) -> Any:
        parsed.append(each["Service"]["ID"])
        return parse(each)

    monkeypatch.setattr(instance, "parse_instance", counted)
    instances, entries = Instances(), [entry(number) for number in range(MANY)]
    instances.take(entries)
    assert len(parsed) == MANY
    parsed.clear()
    entries[3] = entry(3, "critical", 8)
    text = json.dumps(entries)
    began = time.process_time()
    instances.take(json.loads(text))
    print(f"\n{MANY} instances: an answer with one change takes {(time.process_time() - began) * 1000:.0f} ms of CPU")
    assert parsed == ["web-3"]
    assert [each.address for each in instances.found if not each.healthy] == ["10.0.3.1"]
    instances.take(entries[:2])
    assert len(instances.found) == 2


def test_without_an_index_everything_is_parsed() -> None:
    instances = Instances()
    instances.take([entry(1, index=None), entry(2, index=None)])
    instances.take([entry(1, "critical", index=None)])
    assert [each.healthy for each in instances.found] == [False]


def test_what_is_no_instance_is_counted_until_it_is_one() -> None:
    instances, broken = Instances(), entry(1)
    broken["Service"]["Address"] = "web.example"
    instances.take([broken, entry(2)])
    assert (len(instances.found), instances.odd) == (1, 1)
    instances.take([entry(1, index=8), entry(2)])
    assert (len(instances.found), instances.odd) == (2, 0)
