"""Objects held against the published API: the OpenAPI description of Kubernetes 1.36, from its Python client."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from kubernetes_asyncio.client import Configuration, models

_CONFIGURATION = Configuration()
_PLAIN = {"str": str, "int": int, "bool": bool, "float": (int, float), "datetime": str, "date": str}


def violations(value: Any, model: str, path: str = "") -> list[str]:
    """What the description of `model` (such as `V1Service`) does not allow: unknown fields, types, what is missing."""
    if not isinstance(value, dict):
        return [f"{path or 'the object'}: must be an object"]
    cls = getattr(models, model)
    known = {json_name: attribute for attribute, json_name in cls.attribute_map.items()}
    found = [f'unknown field "{_at(path, key)}"' for key in value if key not in known]
    found += [f"{_at(path, name)}: Required value" for name in _required(model) if value.get(name) is None]
    for key, each in value.items():
        if key in known and each is not None:
            found += _typed(each, cls.openapi_types[known[key]], _at(path, key))
    return found


def _typed(value: Any, kind: str, path: str) -> list[str]:
    if element := re.fullmatch(r"list\[(.*)\]", kind):
        if not isinstance(value, list):
            return [f"{path}: must be a list"]
        return [error for i, each in enumerate(value) for error in _typed(each, element[1], f"{path}[{i}]")]
    if element := re.fullmatch(r"dict\(str, (.*)\)", kind):
        if not isinstance(value, dict):
            return [f"{path}: must be a map"]
        return [error for key, each in value.items() for error in _typed(each, element[1], f"{path}[{key}]")]
    if kind == "object":
        return []
    if kind in _PLAIN:
        right = isinstance(value, _PLAIN[kind]) and (kind == "bool" or not isinstance(value, bool))
        return [] if right else [f"{path}: must be of type {kind}"]
    return violations(value, kind, path)


@cache
def _required(model: str) -> tuple[str, ...]:
    """The generated setters refuse None for what is required."""
    cls = getattr(models, model)
    found = []
    for attribute, name in cls.attribute_map.items():
        probe = object.__new__(cls)
        probe.local_vars_configuration = _CONFIGURATION
        try:
            setattr(probe, attribute, None)
        except ValueError:
            found.append(name)
    return tuple(found)


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
