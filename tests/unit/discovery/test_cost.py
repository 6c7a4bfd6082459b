"""What an event costs when a Service has thousands of endpoints: what it changes, not what there is."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from isthmus.discovery.kubernetes.fact import parse_service, parse_slice
from isthmus.discovery.kubernetes.mirror import Mirror
from isthmus.discovery.kubernetes.view import View
from isthmus.discovery.query import KubernetesQuery
from isthmus.discovery.tally import Tally

SLICES, SIZE = 50, 100
QUERY = KubernetesQuery("shop", "web")


def slice_json(number: int, gone: int = -1) -> str:
    """A full slice as the API server sends it; one endpoint of it is not ready."""
    endpoints: list[dict[str, Any]] = [
        {
            "addresses": [f"10.{number}.0.{i}"],
            "conditions": {"ready": i != gone, "serving": i != gone, "terminating": False},
            "nodeName": f"node-{i}",
            "zone": f"zone-{i % 3}",
            "targetRef": {"kind": "Pod", "namespace": "shop", "name": f"web-{number}-{i}", "uid": "x" * 36},
        }
        for i in range(SIZE)
    ]
    item = {
        "metadata": {"name": f"web-{number}", "labels": {"kubernetes.io/service-name": "web"}, "resourceVersion": "1"},
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
    }
    return json.dumps(item)


def test_an_event_changes_the_servers_that_it_speaks_of(monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = Mirror({})
    mirror.set_service("web", parse_service({"metadata": {}, "spec": {"ports": [{"port": 80}]}}))
    known = {}
    for number in range(SLICES):
        known[number] = parse_slice(json.loads(slice_json(number)))
        mirror.set_slice(f"web-{number}", None, known[number])
    view = View(QUERY, mirror)
    assert len(view.found) == SLICES * SIZE
    touched = []
    change = Tally._change

    def counted(self: Tally, *given: Any) -> None:
        touched.append(given)
        change(self, *given)

    monkeypatch.setattr(Tally, "_change", counted)
    events = [(number, slice_json(number, gone=number % SIZE)) for number in range(SLICES)]
    began = time.process_time()
    for number, text in events:
        after = parse_slice(json.loads(text))
        mirror.set_slice(f"web-{number}", known[number], after)
        assert view.slice_changed("web", f"web-{number}")
        assert len(view.found) == SLICES * SIZE
    each = (time.process_time() - began) / len(events)
    print(f"\n{SLICES * SIZE} endpoints: one event of a slice of {SIZE} takes {each * 1000:.2f} ms of CPU")
    assert len(touched) == 2 * len(events)
    assert sum(not found.healthy for found in view.found) == len(events)
    assert each < 0.05
