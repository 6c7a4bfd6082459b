"""The endpoints that a tree shows: method and path with named variables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from isthmus.interface.node import Node
from isthmus.interface.segment import VARIABLE
from isthmus.interface.tree import Tree
from isthmus.interface.usage import Usage

_ALONE = 12
"""Requests from which on a single value is no variable: others would have come."""
_NAMES = {"date": "date", "date-time": "time", "email": "email", "address": "address", "version": "version",
          "locale": "locale", "hash": "hash"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable segment. `kind` is the form of its values; `mixed` if they have several, `word` if none."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What can be asked for."""

    method: str
    path: str
    variables: tuple[Variable, ...]
    usage: Usage

    @property
    def shape(self) -> str:
        """The path with nameless variables."""
        path = self.path
        for variable in self.variables:
            path = path.replace("{" + variable.name + "}", VARIABLE, 1)
        return path


def list_endpoints(tree: Tree) -> list[Endpoint]:
    """By path and method. Of what was asked but never answered with success there is nothing."""
    return sorted(_walk(tree.folded(), "", ()), key=lambda each: (each.path, each.method))


def _walk(node: Node, path: str, variables: tuple[Variable, ...]) -> Iterator[Endpoint]:
    for method, usage in node.usages.items():
        yield Endpoint(method, path or "/", variables, usage)
    for word, child in node.words.items():
        yield from _walk(child, f"{path}/{word}", variables)
    for label, child in node.variables.items():
        if child.values.count == 1 and child.requests() >= _ALONE:
            yield from _walk(child, f"{path}/{child.values.least}", variables)
            continue
        kind = child.values.form
        name = _name(path, kind, [each.name for each in variables])
        yield from _walk(child, f"{path}/{{{name}}}{label.removeprefix(VARIABLE)}", (*variables, Variable(name, kind)))


def _name(path: str, kind: str, taken: Sequence[str]) -> str:
    """A name that says what the variable is: of the word before it, in the singular, as `userId` for `/users/{}`."""
    before = path.rpartition("/")[2]
    stem = "".join(each for each in before.partition(".")[0].title() if each.isalnum())
    if before.startswith("{") or not stem or stem[0].isdigit():
        stem = ""
    stem = stem[:1].lower() + stem[1:]
    if stem.endswith("ies") and len(stem) > 4:
        stem = stem[:-3] + "y"
    elif stem.endswith("s") and not stem.endswith(("ss", "us", "is")) and len(stem) > 2:
        stem = stem[:-1]
    end = _NAMES.get(kind) or ("name" if kind in ("word", "text", "mixed") else "id")
    name = stem + end.capitalize() if stem else end
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}{number}", number + 1
    return unique
