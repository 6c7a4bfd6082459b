"""Endpoints as an OpenAPI 3.1 document.

It says what was seen and no more: names of query parameters, but neither their values nor bodies, which no log has.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from isthmus.interface.endpoint import Endpoint, Variable

_SCHEMAS: dict[str, dict[str, Any]] = {
    "integer": {"type": "integer"},
    "decimal": {"type": "number"},
    "uuid": {"type": "string", "format": "uuid"},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "format": "email"},
}
_OFTEN = 0.01
"""Share of an endpoint's requests from which on a query parameter belongs to it."""


def emit_openapi(title: str, hosts: Sequence[str], endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document. `hosts` are the names under which the API is reached."""
    paths: dict[str, dict[str, Any]] = {}
    secured = False
    for each in endpoints:
        operation = _operation(each)
        secured = secured or "security" in operation
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "learned",
            "description": "Learned from requests that were answered with success. Counts are in `x-isthmus`.",
        },
        "servers": [{"url": f"https://{host}"} for host in hosts] or [{"url": "/"}],
        "paths": paths,
    }
    if secured:
        document["components"] = {
            "securitySchemes": {
                "authorization": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "A header with credentials was there; its form is not looked at.",
                },
                "certificate": {"type": "mutualTLS"},
            }
        }
    return document


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    usage = endpoint.usage
    tally = usage.tally
    parameters = [_path_parameter(each) for each in endpoint.variables]
    for name, weight in sorted(usage.query.items()):
        if weight >= _OFTEN * tally.requests:
            parameters.append({"name": name, "in": "query", "required": False, "schema": {}})
    operation: dict[str, Any] = {
        "operationId": _identifier(endpoint),
        "parameters": parameters,
        "responses": {str(code): {"description": _phrase(code)} for code in sorted(tally.codes) if 100 <= code < 600}
        or {"default": {"description": "No answer was seen."}},
        "x-isthmus": {
            "requests": round(tally.requests),
            "errors": round(tally.errors),
            "firstSeen": emit_moment(usage.first),
            "lastSeen": emit_moment(usage.last),
        },
    }
    seen = {name for name, weight in usage.credentials.items() if weight}
    schemes: list[dict[str, list[str]]] = []
    if "header" in seen:
        schemes.append({"authorization": []})
    if "certificate" in seen:
        schemes.append({"certificate": []})
    if schemes:
        if is_open(endpoint):
            schemes.append({})
        operation["security"] = schemes
    return operation


def is_open(endpoint: Endpoint) -> bool:
    """Whether somebody without credentials had a noticeable share of the requests."""
    usage = endpoint.usage
    refused = usage.tally.codes.get(401, 0.0) + usage.tally.codes.get(403, 0.0)
    return usage.credentials.get("none", 0.0) - refused > 0.01 * usage.tally.requests


def _path_parameter(variable: Variable) -> dict[str, Any]:
    schema = _SCHEMAS.get(variable.kind, {"type": "string"})
    return {"name": variable.name, "in": "path", "required": True, "schema": dict(schema)}


def _identifier(endpoint: Endpoint) -> str:
    words = "".join(each if each.isalnum() else " " for each in endpoint.path).title().split()
    return endpoint.method.lower() + ("".join(words) or "Root") + ("Index" if endpoint.path.endswith("/") else "")


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return f"Status {code}"


def emit_moment(at: float) -> str:
    """ISO 8601, UTC, whole seconds."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
