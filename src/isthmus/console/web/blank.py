"""A form for every kind of object, drawn from its model: new kinds and fields appear by themselves.

A document becomes a tree of fields by the JSON Schema of its kind, and what the form sends becomes a document again by
the same schema. Names of inputs are field paths, as diagnostics give them (`spec.match[0].path.prefix`). Beside them,
`PATH#` says how many items a list has, or that an optional part is there. What is empty is left out of the document.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from isthmus.console.web.form import Form
from isthmus.model.kind import PUBLIC_KINDS
from isthmus.model.object import Object

_MOST_ITEMS = 1000
_LONG = ("body", "description")

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Blank:
    """One field of a form.

    Attributes:
        path: name of the input.
        kind: `text`, `area`, `number`, `check`, `choice`, `lines`, `pairs`, `group` or `list`.
        value: text of the input; for lists, the number of items.
        choices: of a `choice`, or suggestions for a `text`.
        children: of a group, or the items of a list.
        optional: whether a group may be left out; `present` says whether it is there.
    """

    path: str
    label: str
    hint: str
    kind: str
    value: str = ""
    choices: tuple[str, ...] = ()
    children: tuple["Blank", ...] = ()
    required: bool = False
    optional: bool = False
    present: bool = True
    default: str = ""
    suggestions: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    cls: type[Object]
    schema: Schema
    definitions: Schema = field(default_factory=dict)


@lru_cache(maxsize=64)
def _kind(name: str) -> _Kind:
    cls = PUBLIC_KINDS[name]
    schema = cls.model_json_schema(by_alias=True)
    return _Kind(cls, schema, schema.get("$defs", {}))


def draw(kind: str, document: Mapping[str, Any], *, new: bool) -> tuple[Blank, ...]:
    """The fields of a document: metadata, then spec."""
    known = _kind(kind)
    metadata = _resolve(known.schema["properties"]["metadata"], known.definitions)
    names = ["name", "namespace", "description", "labels"] if new else ["description", "labels"]
    if known.cls.tenant_wide and "namespace" in names:
        names.remove("namespace")
    given = document.get("metadata") if isinstance(document.get("metadata"), Mapping) else {}
    assert isinstance(given, Mapping)
    head = tuple(
        _draw(f"metadata.{name}", name, metadata["properties"][name], given.get(name), known, name == "name")
        for name in names
    )
    spec = _resolve(known.schema["properties"]["spec"], known.definitions)
    return (*head, *_children("spec", spec, document.get("spec"), known))


def read(kind: str, form: Form, base: Mapping[str, Any]) -> dict[str, Any]:
    """The document that a form stands for. `base` gives what the form does not show: name, annotations."""
    known = _kind(kind)
    given = dict(form.pairs)
    metadata: dict[str, Any] = {**dict(base.get("metadata") or {})}
    schema = _resolve(known.schema["properties"]["metadata"], known.definitions)
    for name in ("name", "namespace", "description", "labels"):
        if f"metadata.{name}" in given:
            value = _read(f"metadata.{name}", schema["properties"][name], given, known)
            metadata.pop(name, None)
            if value is not None:
                metadata[name] = value
    spec = _resolve(known.schema["properties"]["spec"], known.definitions)
    return {
        "apiVersion": "isthmus/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": _read_group("spec", spec, given, known),
    }


def change(form: Form, action: str) -> Form:
    """The form after a press of a button: `add`, `set` and `unset` of a path, `drop`, `up` and `down` of an item."""
    verb, _, path = action.partition(":")
    given = dict(form.pairs)
    if verb == "add":
        given[f"{path}#"] = str(min(_count(given, path) + 1, _MOST_ITEMS))
    elif verb == "set":
        given[f"{path}#"] = "1"
    elif verb == "unset":
        given = {name: value for name, value in given.items() if name != f"{path}#" and not _inside(name, path)}
    elif verb in ("drop", "up", "down"):
        given = _move(given, path, verb)
    return Form(list(given.items()))


def sent(fields: Iterable[Blank]) -> Iterator[tuple[str, str]]:
    """What a browser would send for a form that nobody touched."""
    for each in fields:
        if each.kind == "group":
            if each.optional and each.present:
                yield f"{each.path}#", "1"
            yield from sent(each.children)
        elif each.kind == "list":
            yield f"{each.path}#", each.value
            yield from sent(each.children)
        elif each.kind == "choices":
            yield from ((f"{each.path}={choice}", "on") for choice in each.value.split("\n") if choice)
        elif each.kind == "check":
            yield f"{each.path}#", "1"
            if each.value:
                yield each.path, "true"
        else:
            yield each.path, each.value


# --- drawing -------------------------------------------------------------------------------------------------------


def _children(path: str, schema: Schema, value: Any, known: _Kind) -> tuple[Blank, ...]:
    present = value if isinstance(value, Mapping) else {}
    required = schema.get("required", ())
    return tuple(
        _draw(f"{path}.{name}", name, part, present.get(name), known, name in required)
        for name, part in schema.get("properties", {}).items()
    )


def _draw(path: str, name: str, schema: Schema, value: Any, known: _Kind, required: bool) -> Blank:
    hint = str(schema.get("description", ""))
    inner, nullable = _inner(schema, known.definitions)
    hint = hint or str(inner.get("description", "")) if inner.get("type") != "object" else hint
    label = _label(name)
    target = _target(name)
    if _is_reference(inner):
        text = _reference_text(value)
        return Blank(path, label, hint, "text", text, required=required and not nullable, suggestions=target)
    kind = inner.get("type")
    if kind == "object" and "properties" in inner:
        present = value is not None or not (nullable or "default" in schema)
        if value is None and not nullable and "default" in schema:
            value, present = schema["default"], True
        children = _children(path, inner, value, known) if present else ()
        return Blank(path, label, hint, "group", children=children, optional=nullable, present=present)
    if kind == "object":
        pairs = value if isinstance(value, Mapping) else {}
        text = "\n".join(f"{each}={pairs[each]}" for each in pairs)
        return Blank(path, label, hint or "One name=value a line.", "pairs", text)
    if kind == "array":
        return _draw_list(path, label, hint, inner, value, known, target)
    return _draw_value(path, label, hint, schema, inner, value, required and not nullable, target)


def _draw_list(path: str, label: str, hint: str, schema: Schema, value: Any, known: _Kind, target: str) -> Blank:
    items = list(value) if isinstance(value, list | tuple) else []
    part, _ = _inner(schema.get("items", {}), known.definitions)
    if part.get("type") == "object":
        children = tuple(_draw(f"{path}[{index}]", label, part, item, known, True) for index, item in enumerate(items))
        if _is_reference(part):
            children = tuple(_with(child, target) for child in children)
        return Blank(path, label, hint, "list", str(len(items)), children=children)
    if "enum" in part:
        chosen = "\n".join(map(str, items))
        return Blank(path, label, hint, "choices", chosen, choices=tuple(map(str, part["enum"])))
    text = "\n".join(_text(item) for item in items)
    return Blank(path, label, f"{hint} One a line.".strip(), "lines", text, suggestions=target)


def _draw_value(
    path: str, label: str, hint: str, schema: Schema, inner: Schema, value: Any, required: bool, target: str
) -> Blank:
    default = schema.get("default")
    shown = "" if value is None else _text(value)
    usual = "" if default is None or default == "" else _text(default)
    if inner.get("type") == "boolean" or inner.get("const") is True:
        if default is None and inner.get("const") is not True:
            return Blank(path, label, hint, "choice", shown, choices=("", "true", "false"))
        checked = default if value is None else value
        return Blank(path, label, hint, "check", "true" if checked is True else "")
    choices = inner.get("enum") or ([inner["const"]] if "const" in inner else None)
    if choices:
        options = (*(() if required and not usual else ("",)), *map(str, choices))
        return Blank(path, label, hint, "choice", shown, choices=options, default=usual, required=required)
    long = path.rpartition(".")[2] in _LONG and path != "metadata.description"
    long = long or inner.get("writeOnly") is True or "PEM" in hint or "\n" in shown  # an input would lose its lines
    kind = "area" if long else "text"
    if inner.get("type") in ("integer", "number"):
        kind = "number"
    return Blank(path, label, hint, kind, shown, required=required, default=usual, suggestions=target)


def _with(child: Blank, target: str) -> Blank:
    return Blank(child.path, child.label, "", child.kind, child.value, required=True, suggestions=target)


def _label(name: str) -> str:
    """`advertisePolicies` as `Advertise policies`."""
    words = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: " " + found[1].lower(), name)
    return words[:1].upper() + words[1:]


def _target(name: str) -> str:
    """The kind whose objects a field of this name holds, as far as its name says."""
    wanted = name.lower()
    return next((cls.__name__ for cls in PUBLIC_KINDS.values() if wanted in (cls.plural, cls.__name__.lower())), "")


def _reference_text(value: Any) -> str:
    if not isinstance(value, Mapping):
        return "" if value is None else str(value)
    namespace, name = value.get("namespace"), value.get("name", "")
    return f"{namespace}/{name}" if namespace else str(name)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# --- reading -------------------------------------------------------------------------------------------------------


def _read_group(path: str, schema: Schema, given: Mapping[str, str], known: _Kind) -> dict[str, Any]:
    found = {}
    for name, part in schema.get("properties", {}).items():
        value = _read(f"{path}.{name}", part, given, known)
        if value is not None:
            found[name] = value
    return found


def _read(path: str, schema: Schema, given: Mapping[str, str], known: _Kind) -> Any:
    inner, nullable = _inner(schema, known.definitions)
    if _is_reference(inner):
        return _parse_reference(given.get(path, ""))
    kind = inner.get("type")
    if kind == "object" and "properties" in inner:
        if nullable and f"{path}#" not in given:
            return None
        value = _read_group(path, inner, given, known)
        return value if value or nullable or "default" not in schema else None
    if kind == "object":
        lines = [line.strip() for line in given.get(path, "").split("\n") if line.strip()]
        return {name.strip(): text.strip() for name, _, text in (line.partition("=") for line in lines)} or None
    if kind == "array":
        return _read_list(path, inner, given, known)
    text = given.get(path, "")
    if inner.get("type") == "boolean" or inner.get("const") is True:
        if f"{path}#" in given and not text and schema.get("default") is True:
            return False
        return {"true": True, "false": False}.get(text)
    if text == "":
        return None
    return _parse_scalar(text, inner)


def _read_list(path: str, schema: Schema, given: Mapping[str, str], known: _Kind) -> list[Any] | None:
    part, _ = _inner(schema.get("items", {}), known.definitions)
    if part.get("type") != "object":
        lines = [line.strip() for line in given.get(path, "").split("\n") if line.strip()]
        if "enum" in part:
            lines = [str(each) for each in part["enum"] if given.get(f"{path}={each}")]
        return [_parse_scalar(line, part) for line in lines] or None
    items = []
    for index in range(_count(given, path)):
        name = f"{path}[{index}]"
        item = _parse_reference(given.get(name, "")) if _is_reference(part) else _read_group(name, part, given, known)
        items.append({} if item is None else item)
    return items or None


def _parse_reference(text: str) -> dict[str, str] | None:
    namespace, slash, name = text.strip().rpartition("/")
    if not text.strip():
        return None
    return {"namespace": namespace, "name": name} if slash else {"name": name}


def _parse_scalar(text: str, schema: Schema) -> Any:
    """The value of a text; one that is not of its type stays text, to be refused with the reason."""
    kinds = {schema.get("type")} | {each.get("type") for each in schema.get("anyOf", ())}
    for kind, parse in (("integer", int), ("number", float)):
        if kind in kinds or (kind == "integer" and isinstance(next(iter(schema.get("enum", ("",)))), int)):
            try:
                return parse(text)
            except ValueError:
                continue
    return text


def _count(given: Mapping[str, str], path: str) -> int:
    text = given.get(f"{path}#", "0")
    return min(int(text), _MOST_ITEMS) if text.isascii() and text.isdigit() and len(text) < 6 else 0


# --- moving --------------------------------------------------------------------------------------------------------


def _inside(name: str, path: str) -> bool:
    return name == path or name.startswith((f"{path}.", f"{path}[", f"{path}#", f"{path}="))


def _move(given: dict[str, str], path: str, verb: str) -> dict[str, str]:
    """Drop an item of a list, or change places with the one before or after it."""
    found = re.fullmatch(r"(.*)\[(\d{1,5})\]", path)
    if found is None:
        return given
    place, index = found[1], int(found[2])
    order = list(range(_count(given, place)))
    other = index - 1 if verb == "up" else index + 1
    if index >= len(order):
        return given
    if verb == "drop":
        order.pop(index)
    elif 0 <= other < len(order):
        order[index], order[other] = order[other], order[index]
    moved = {name: value for name, value in given.items() if not name.startswith(f"{place}[")}
    for new, old in enumerate(order):
        for name, value in given.items():
            if _inside(name, f"{place}[{old}]"):
                moved[f"{place}[{new}]{name.removeprefix(f'{place}[{old}]')}"] = value
    moved[f"{place}#"] = str(len(order))
    return moved


# --- schemas -------------------------------------------------------------------------------------------------------


def _resolve(schema: Schema, definitions: Schema) -> Schema:
    while "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def _inner(schema: Schema, definitions: Schema) -> tuple[Schema, bool]:
    """The schema without null, and whether null was one of its choices."""
    schema = _resolve(schema, definitions)
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = _resolve(schema["allOf"][0], definitions)
    options = schema.get("anyOf")
    if not options:
        return schema, False
    rest = [_resolve(each, definitions) for each in options if each.get("type") != "null"]
    nullable = len(rest) < len(options)
    if len(rest) == 1:
        return rest[0], nullable
    return {**schema, "anyOf": rest}, nullable


def _is_reference(schema: Schema) -> bool:
    return schema.get("title") == "Reference" and set(schema.get("properties", {})) == {"namespace", "name"}
