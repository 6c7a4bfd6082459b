"""From text to objects: YAML or JSON documents, with every error of every document at once."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import API_VERSION, Frozen, Object
from isthmus.model.suggestion import mend_field, suggest
from isthmus.model.whole import find_whole_faults, find_wrong_choices

_DEFAULT_NAMESPACE = "default"
_SERVER_FIELDS = ("revision", "created", "updated")
"""What `get` adds to metadata; accepted and ignored so that its output can be applied again."""
_DEEPEST = 64
"""Levels of nesting; documents of the kinds that exist need 8."""


P = TypeVar("P", bound=Frozen)


class _Loader(yaml.CSafeLoader):
    """YAML with the types of JSON: no dates, and `on`, `off`, `yes`, `no` stay text; the same key twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands twice", key_node.start_mark
                    )
                seen.add(key)
            except TypeError:
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key_node.start_mark) from None
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")
    ]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """The valid objects of some text, and what is wrong with the rest.

    Attributes:
        objects: valid objects in document order.
        diagnostics: every error, in document order.
        partial: objects of invalid documents without their faulty fields, where that leaves an object: not to be used,
            but to be asked what is wrong with them besides.
    """

    objects: tuple[Object, ...]
    diagnostics: tuple[Diagnostic, ...]
    partial: tuple[Object, ...] = ()


def parse_yaml(text: str, source: str = "") -> Parsed:
    """Parse YAML (or JSON) documents. A document of kind `List` with `items` counts as its items.

    Args:
        text: zero or more documents; empty ones are skipped.
        source: name of the file, to begin messages about text that is not YAML.
    """
    decoded = decode_yaml(text, source)
    return Parsed((), (decoded,)) if isinstance(decoded, Diagnostic) else parse_documents(decoded)


def decode_yaml(text: str, source: str = "") -> list[Any] | Diagnostic:
    """The documents of some YAML or JSON text as plain values, or why it is not YAML. See `parse_yaml`."""
    prefix = f"{source}: " if source else ""
    try:
        _check_depth(text)
        return list(yaml.load_all(text, Loader=_Loader))  # a safe loader, narrowed
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    except (ValueError, RecursionError) as error:  # characters outside Unicode, numbers that are none
        place, problem = "", str(error)
    return Diagnostic("invalid-yaml", None, "", f"{prefix}not valid YAML{place}: {problem}")


def _check_depth(text: str) -> None:
    """Refuse deep nesting before the loader, which recurses in C and would crash the process."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"nested deeper than {_DEEPEST} levels",
                    event.start_mark,  # type: ignore[arg-type]  # libyaml's mark
                )
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def parse_documents(documents: Iterable[Any], tenant: str = DEFAULT_TENANT) -> Parsed:
    """Turn decoded documents into objects of a tenant. Never raises."""
    objects: list[Object] = []
    diagnostics: list[Diagnostic] = []
    partial: list[Object] = []
    seen: set[ObjectKey] = set()
    for document in _flatten(documents):
        result = _parse_one(document, tenant)
        if isinstance(result, Object):
            if result.key in seen:
                diagnostics.append(
                    Diagnostic("duplicate-object", result.key, "", "the same object stands twice", "keep one of them")
                )
                continue
            seen.add(result.key)
            objects.append(result)
        else:
            diagnostics.extend(result.diagnostics)
            partial.extend(result.partial)
    return Parsed(tuple(objects), tuple(diagnostics), tuple(partial))


def _flatten(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        if document is None:
            continue
        if isinstance(document, Mapping) and document.get("kind") == "List" and isinstance(document.get("items"), list):
            yield from document["items"]
        else:
            yield document


def _parse_one(document: Any, tenant: str) -> Object | Parsed:
    if not isinstance(document, Mapping):
        text = "a document must be a mapping with apiVersion, kind and metadata"
        return Parsed((), (Diagnostic("invalid-document", None, "", text),))
    kind, metadata = document.get("kind"), document.get("metadata")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    cls = PUBLIC_KINDS.get(kind) if isinstance(kind, str) else None
    name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", "") or "")
    if cls is None:
        near = suggest(str(kind), PUBLIC_KINDS)
        mend = f"did you mean {near}?" if near else f"use one of {', '.join(PUBLIC_KINDS)}"
        key = ObjectKey(tenant, str(kind), namespace, name)
        return Parsed((), (Diagnostic("unknown-kind", key, "kind", f"{kind!r} is not a kind", mend),))
    if not cls.tenant_wide and not namespace:
        namespace = _DEFAULT_NAMESPACE
    key = ObjectKey(tenant, cls.__name__, namespace, name)
    early = _frame_diagnostics(document, metadata, key, tenant)
    if early:
        return Parsed((), tuple(early))
    clean = {part: document[part] for part in document if part not in ("status", "system")}
    clean["metadata"] = {part: metadata[part] for part in metadata if part not in _SERVER_FIELDS} | {"tenant": tenant}
    if not cls.tenant_wide:
        clean["metadata"]["namespace"] = namespace
    try:
        text = json.dumps(clean, default=_refuse)
        return cls.model_validate_json(text)
    except ValidationError as error:
        found, partial = _faults(cls, key, clean, text, error)
        return Parsed((), found, partial)
    except (TypeError, ValueError, RecursionError) as error:
        return Parsed((), (Diagnostic("invalid-document", key, "", str(error)),))


def parse_part(cls: type[P], document: Any) -> P | tuple[Diagnostic, ...]:
    """Turn a decoded document that is no object, such as the settings of a process, into its type, or say all that is
    wrong with it. Values are not repeated: they may be private."""
    try:
        text = json.dumps(document, default=_refuse)
        return cls.model_validate_json(text)
    except ValidationError as error:
        return _faults(cls, None, document, text, error)[0]
    except (TypeError, ValueError, RecursionError) as error:
        return (Diagnostic("invalid-document", None, "", str(error)),)


def _faults(
    cls: type[P], key: ObjectKey | None, document: Any, text: str, error: ValidationError
) -> tuple[tuple[Diagnostic, ...], tuple[P, ...]]:
    """What is wrong with a document, its text in JSON, and the document without its faulty fields."""
    found = diagnose(cls, key, error)
    partial, whole = _partial(cls, text, error)
    known = {each.field for each in found}
    for place, message in (*find_wrong_choices(cls, document, error), *whole):
        if (field := _path(place)) not in known:
            known.add(field)
            found.append(Diagnostic("invalid-value", key, field, message))
    return tuple(found), partial


def _partial(
    cls: type[P], text: str, error: ValidationError
) -> tuple[tuple[P, ...], list[tuple[tuple[str | int, ...], str]]]:
    """The object without its faulty fields, and what is wrong with the rest of it.

    There is none when a faulty value is an item of a list (those behind it would move up, and so would the fields of
    what is said about them), or when the object cannot do without a field."""
    document = json.loads(text)
    faulty = [part["loc"] for part in error.errors(include_url=False)]
    for loc in faulty:
        place = document
        for step in loc[:-1]:
            place = place[step] if _holds(place, step) else None
        if not isinstance(place, dict) or not loc:
            return (), []
        place.pop(loc[-1], None)
    try:
        return (cls.model_validate_json(json.dumps(document)),), []
    except ValidationError as rest:
        return (), list(find_whole_faults(rest, faulty))


def _holds(place: Any, step: str | int) -> bool:
    return step in place if isinstance(place, dict) else isinstance(place, list) and isinstance(step, int)


def _refuse(value: Any) -> Any:
    raise TypeError(f"a value of type {type(value).__name__} has no place in a document")


def _frame_diagnostics(
    document: Mapping[Any, Any], metadata: Mapping[Any, Any], key: ObjectKey, tenant: str
) -> list[Diagnostic]:
    found = []
    version = document.get("apiVersion")
    if version != API_VERSION:
        message = "required field is missing" if version is None else f"{version!r} is not served"
        found.append(Diagnostic("wrong-api-version", key, "apiVersion", message, f"write {API_VERSION}"))
    if metadata.get("tenant", tenant) != tenant:
        found.append(
            Diagnostic(
                "foreign-tenant", key, "metadata.tenant", "the tenant is taken from your credential", "remove it"
            )
        )
    return found


_MENDS = {
    "missing": "add it",
    "string_type": "write text, in quotes if it looks like a number",
    "int_type": "write a whole number without quotes",
    "bool_type": "write true or false",
    "tuple_type": "write a list",
    "model_type": "write a mapping",
    "model_attributes_type": "write a mapping",
    "dict_type": "write a mapping",
}


def diagnose(cls: type[BaseModel], key: ObjectKey | None, error: ValidationError) -> list[Diagnostic]:
    """What a refused object of a kind has wrong, one diagnostic per field: pydantic reports a field of several types
    once per type, and a list that lost its faulty items as too short."""
    found: dict[str, Diagnostic] = {}
    for part in error.errors(include_url=False):
        path = _path(part["loc"])
        follows = part["type"] == "too_short" and any(other.startswith(f"{path}[") for other in found)
        if path not in found and not follows:
            found[path] = _diagnostic(cls, key, path, part)
    return list(found.values())


def _diagnostic(cls: type[BaseModel], key: ObjectKey | None, path: str, error: Any) -> Diagnostic:
    kind, mend = error["type"], _MENDS.get(error["type"], "")
    message = error["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message, mend = "unknown field", mend_field(cls, error["loc"])
    elif kind == "missing":
        message = "required field is missing"
    elif kind != "value_error":
        message = re.sub(r"^[A-Z][a-z]+ should ", "must ", message).replace(" after validation", "")
        given = error.get("input")
        secretive = key is None or key.kind in (
            "Secret",
            "Certificate",
        )  # a private value in the wrong place is no less private
        if isinstance(given, str | int | float | bool) and len(str(given)) < 80 and not secretive:
            message += f", not {given!r}"
    code = {"extra_forbidden": "unknown-field", "missing": "missing-field", "value_error": "invalid-value"}.get(
        kind, "invalid-value"
    )
    return Diagnostic(code, key, path, message, mend)


def _path(parts: tuple[str | int, ...]) -> str:
    """`spec.match[0].path`, from pydantic's location. Members of unions name types there; those are left out."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        elif (
            not re.fullmatch(r"[A-Za-z][A-Za-z0-9_./-]*|\S+", part)
            or "[" in part
            or "(" in part
            or part in ("str", "int")
        ):
            continue
        else:
            path += f".{part}" if path else part
    return path
