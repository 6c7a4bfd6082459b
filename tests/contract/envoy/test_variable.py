"""Envoy takes every variable that a header may have."""

from __future__ import annotations

import subprocess
from pathlib import Path

import yaml
from google.protobuf.json_format import MessageToJson
from tests.contract.data_path.rig import parse_objects
from tests.golden.corpus import TRUST_DOMAIN, emit_case
from tests.golden.static import static_bootstrap

from isthmus.compile import compile_site
from isthmus.engine.envoy.process import find_envoy
from isthmus.model.variable import known_variables

OBJECTS = """
apiVersion: isthmus/v1
kind: Site
metadata: {name: ams}
spec: {interfaces: [{name: eth0, addresses: [192.0.2.1]}]}
---
apiVersion: isthmus/v1
kind: AdvertisePolicy
metadata: {name: here}
spec: {where: {site: ams}}
---
apiVersion: isthmus/v1
kind: VirtualHost
metadata: {name: shop}
spec: {domains: [shop.example], routes: [{name: all}], advertisePolicies: [{name: here}]}
"""
MORE = (
    "REQ(x-a?:authority):3",
    "QUERY_PARAM(q)",
    "START_TIME(%Y-%m-%dT%H:%M:%S.%3f)",
    "DOWNSTREAM_PEER_CERT_V_END(%s)",
)


def test_envoy_accepts_every_variable(tmp_path: Path) -> None:
    route = {
        "apiVersion": "isthmus/v1",
        "kind": "Route",
        "metadata": {"name": "all"},
        "spec": {
            "directResponse": {"status": 200},
            "requestHeaders": {"append": values((*known_variables(response=False), *MORE))},
            "responseHeaders": {"append": values((*known_variables(response=True), *MORE, "RESP(a?b)"))},
        },
    }
    objects = parse_objects(f"{OBJECTS}---\n{yaml.safe_dump(route)}")
    site = next(key for key in objects if key.kind == "Site")
    resources = emit_case(compile_site(objects, site, TRUST_DOMAIN).intent)
    bootstrap = tmp_path / "bootstrap.json"
    bootstrap.write_text(MessageToJson(static_bootstrap(resources)))
    result = subprocess.run(
        [find_envoy(), "--mode", "validate", "-c", bootstrap, "-l", "warning"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "deprecated" not in result.stderr


def values(variables: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"name": "x-a", "value": f"%{variable}%"} for variable in variables]
