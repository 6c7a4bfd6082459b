"""The corpus: a folder per case. `input.yaml` holds the objects; the first Site in it is the one compiled for."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from isthmus.compile import Compilation, compile_site, diagnostic_document, intent_document
from isthmus.compile.intent import Intent
from isthmus.discovery.found import Found
from isthmus.discovery.query import Query
from isthmus.emit.envoy import (
    EnvoyPaths,
    Resources,
    emit_assignments,
    emit_resources,
    name,
    nominal_choices,
    resources_document,
)
from isthmus.model import Certificate, ClusterAccess, Object, ObjectKey, System
from isthmus.model.acme import AcmeState
from isthmus.model.document import parse_yaml

CORPUS = Path(__file__).parent
TRUST_DOMAIN = "isthmus.example"
PATHS = EnvoyPaths(access_log="/dev/null", health_events="/dev/null")
CASES = sorted(path.parent.name for path in CORPUS.glob("*/input.yaml"))


def read_objects(case: str) -> dict[ObjectKey, Object]:
    """A case's objects, numbered as the console would."""
    documents = (CORPUS / case / "input.yaml").read_text().split("\n---\n")
    internal = [yaml.safe_load(text) for text in documents if "kind: ClusterAccess" in text]
    parsed = parse_yaml("\n---\n".join(text for text in documents if "kind: ClusterAccess" not in text))
    assert parsed.diagnostics == ()
    plain = list(map(yaml.safe_load, documents))
    asked = {each["metadata"]["name"]: each["system"]["acme"] for each in plain if "system" in each}
    objects = [
        *(_with_challenges(obj, asked) for obj in parsed.objects),
        *(ClusterAccess.model_validate_json(json.dumps(each)) for each in internal),
    ]
    return {
        obj.key: obj.with_system(System(created=index, number=index if obj.kind in ("Site", "Cluster") else None))
        for index, obj in enumerate(objects, 1)
    }


def _with_challenges(obj: Object, asked: dict[str, Any]) -> Object:
    """A certificate about which an ACME server asks something, as the console would publish it."""
    if not isinstance(obj, Certificate) or obj.metadata.name not in asked:
        return obj
    return obj.with_acme(AcmeState.model_validate_json(json.dumps(asked[obj.metadata.name])))


def compile_case(case: str) -> Compilation:
    objects = read_objects(case)
    site = next(key for key in objects if key.kind == "Site")
    compilation = compile_site(objects, site, TRUST_DOMAIN)
    found = read_found(case, compilation.intent)
    return compile_site(objects, site, TRUST_DOMAIN, found) if found else compilation


def read_found(case: str, intent: Intent) -> dict[tuple[ObjectKey | None, Query], tuple[Found, ...]]:
    """What registries answer in a case."""
    path = CORPUS / case / "found.yaml"
    answers = yaml.safe_load(path.read_text()) if path.exists() else []
    queries = {
        (str(registry.key), str(query)): (registry.key, query)
        for registry in intent.registries
        for query in registry.queries
    }
    return {queries[each["registry"], each["query"]]: tuple(map(_server, each["servers"])) for each in answers}


def _server(document: dict[str, Any]) -> Found:
    labels = tuple(sorted(document.pop("labels", {}).items()))
    return Found(**document, labels=labels)


def emit_case(intent: Intent) -> Resources:
    """Everything but secrets, as if every endpoint were healthy."""
    paths = replace(PATHS, log_service=intent.tracing is not None)
    resources = {kind: dict(each) for kind, each in emit_resources(intent, paths).items()}
    for cluster in intent.clusters:
        choices = partial(nominal_choices, intent, cluster)
        resources[name.ENDPOINT_TYPE].update(emit_assignments(cluster, choices))
    return resources


def expected_files(case: str) -> dict[str, str]:
    """What the case's folder must hold, by path in it."""
    compilation = compile_case(case)
    files = {
        "intent.yaml": _yaml(intent_document(compilation.intent)),
        "diagnostics.yaml": _yaml([diagnostic_document(each) for each in compilation.diagnostics]),
    }
    for kind, documents in resources_document(emit_case(compilation.intent)).items():
        if documents:
            files[f"xds/{kind}.yaml"] = _yaml(documents)
    return files


def _yaml(document: Any) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, width=120, allow_unicode=True)
    return text
