"""Responses of the discovery server on the wire."""

from __future__ import annotations

import pytest
from envoy.service.discovery.v3 import discovery_pb2

from isthmus.engine.envoy.resource import ROUTE, emit_response, parse_resource


@pytest.mark.parametrize("sizes", [(0,), (1, 127), (128, 16_383), (16_384, 3_000_000)])
def test_a_response_says_what_protobuf_reads(sizes: tuple[int, ...]) -> None:
    resources = [parse_resource(f"ingress/{size}", b"x" * size) for size in sizes]
    response = discovery_pb2.DeltaDiscoveryResponse.FromString(emit_response(ROUTE, "7", resources, ("gone", "too")))
    assert (response.type_url, response.nonce) == (ROUTE, "7")
    assert list(response.removed_resources) == ["gone", "too"]
    assert [(each.name, each.version, each.resource.type_url) for each in response.resources] == [
        (each.name, each.version, ROUTE) for each in resources
    ]
    assert [each.resource.value for each in response.resources] == [each.body for each in resources]


def test_versions_tell_contents_apart_and_nothing_else() -> None:
    assert parse_resource("a", b"1").version == parse_resource("b", b"1").version
    assert parse_resource("a", b"1").version != parse_resource("a", b"2").version
