"""Requests to the stand-in API server: what they address, who may make them, and how they are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .kubernetes_store import RESOURCES, Object, Resource

_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    504: "Timeout",
}


@dataclass(frozen=True)
class Rule:
    """Verbs on resources, in one namespace, or in all (and on what has none) when it is empty."""

    verbs: frozenset[str]
    resources: frozenset[str]
    namespace: str = ""


ALL = Rule(frozenset({"get", "list", "watch", "create", "update", "delete"}), frozenset(RESOURCES))


class Refused(Exception):
    def __init__(self, status: int, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def locate(path: str) -> tuple[Resource, str, str] | None:
    parts = path.strip("/").split("/")
    match parts:
        case ["api", "v1", *rest]:
            group = ""
        case ["apis", group, "v1", *rest]:
            pass
        case _:
            return None
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 2:
        return None
    resource = RESOURCES.get(rest[0])
    if resource is None or resource.group != group or (namespace and not resource.namespaced):
        return None
    return resource, namespace, rest[1] if len(rest) == 2 else ""


def verb_of(request: web.Request, name: str) -> str | None:
    if request.method == "GET":
        if name:
            return "get"
        return "watch" if request.query.get("watch") in ("true", "1") else "list"
    return {
        "POST": None if name else "create",
        "PUT": "update" if name else None,
        "DELETE": "delete" if name else None,
    }.get(request.method)


def allowed(rules: tuple[Rule, ...], verb: str, resource: Resource, namespace: str) -> bool:
    return any(
        verb in rule.verbs and resource.plural in rule.resources and rule.namespace in ("", namespace) for rule in rules
    )


def parameters(request: web.Request, known: set[str]) -> dict[str, str]:
    for key in request.query:
        if key not in known:
            raise Refused(400, f"unknown query parameter {key!r}")
        if len(request.query.getall(key)) > 1:
            raise Refused(400, f"query parameter {key!r} twice")
    return dict(request.query)


def selector(given: dict[str, str]) -> Callable[[Object], bool]:
    fields = dict(part.split("=", 1) for part in given.get("fieldSelector", "").split(",") if part)
    if fields.keys() - {"metadata.name", "metadata.namespace"}:
        raise Refused(400, "field label not supported")
    conditions = [part for part in given.get("labelSelector", "").split(",") if part]

    def selects(item: Object) -> bool:
        meta = item["metadata"]
        labels = meta.get("labels") or {}
        for condition in conditions:
            key, separator, value = condition.partition("=")
            if (separator and labels.get(key.rstrip("!")) != value.lstrip("=")) or (
                not separator and key not in labels
            ):
                return False
        return all(meta.get(key.removeprefix("metadata.")) == value for key, value in fields.items())

    return selects


def key_of(item: Object) -> str:
    return f"{item['metadata'].get('namespace', '')}/{item['metadata']['name']}"


async def json_body(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise Refused(400, "the body must be application/json")
    try:
        found = await request.json()
    except ValueError:
        raise Refused(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is not an object")
    return found


def status_answer(code: int, message: str, reason: str = "") -> web.Response:
    return web.json_response(status_object(code, message, reason), status=code)


def status_object(code: int, message: str, reason: str = "") -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason or _REASONS.get(code, "Unknown"),
        "code": code,
    }
