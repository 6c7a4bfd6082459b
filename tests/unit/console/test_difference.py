"""Differences as people read them."""

import difflib
from typing import Any

import pytest
import yaml

from isthmus.console.difference import diff_of, document_of, emit_yaml
from isthmus.model import Object
from isthmus.model.document import parse_documents, parse_yaml


def build(kind: str, spec: Any, **metadata: Any) -> Object:
    parsed = parse_documents(
        [{"apiVersion": "isthmus/v1", "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}]
    )
    assert not parsed.diagnostics
    return parsed.objects[0]


OBJECTS = [
    build("Site", {}, labels={"a": "b"}, description="Ünïcode: yes"),
    build("VirtualSite", {"selector": None}),
    build("VirtualSite", {"selector": []}),
    build("HealthCheck", {"tcp": {}}),
    build("Route", {"directResponse": {"status": 200, "body": "two\nlines\n"}}),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: obj.kind)
def test_a_document_reads_back_as_the_object(obj: Object) -> None:
    assert parse_yaml(emit_yaml(document_of(obj))).objects == (obj,)


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: obj.kind)
def test_what_was_created_or_deleted_is_one_whole_hunk(obj: Object) -> None:
    text = emit_yaml(document_of(obj)).splitlines()
    name = str(obj.key)
    created = list(difflib.unified_diff([], text, "/dev/null", name, lineterm=""))
    deleted = list(difflib.unified_diff(text, [], name, "/dev/null", lineterm=""))
    assert diff_of(None, obj).splitlines() == created
    assert diff_of(obj, None).splitlines() == deleted


def test_an_update_shows_the_changed_lines() -> None:
    old, new = build("HealthCheck", {"tcp": {}}), build("HealthCheck", {"tcp": {}, "interval": "7s"})
    assert diff_of(old, new).splitlines()[-1] == "+  interval: 7s"
    assert diff_of(old, old) == ""
    assert diff_of(None, None) == ""
    assert yaml.safe_load(emit_yaml(document_of(new)))["spec"] == {"tcp": {}, "interval": "7s"}
