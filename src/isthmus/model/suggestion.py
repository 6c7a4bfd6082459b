"""What somebody probably meant: the right name for a field or kind that does not exist."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel

_SHOWN = 12
"""Fields that a message lists at most; larger parts have a page of the reference."""


def suggest(written: str, known: Iterable[str]) -> str | None:
    """The known name nearest to what was written, whatever its case; None when none is near."""
    names = {name.lower(): name for name in known}
    near = get_close_matches(written.lower(), names, n=1, cutoff=0.7)
    return names[near[0]] if near else None


def mend_field(cls: type[BaseModel], place: tuple[str | int, ...]) -> str:
    """How to mend a field of a document that does not exist.

    Args:
        cls: what the document was to be.
        place: where the field stands in it, its own name last, as pydantic tells it.
    """
    fields = [info.alias or name for part in find_parts(cls, place[:-1]) for name, info in part.model_fields.items()]
    near = suggest(str(place[-1]), fields)
    if near is not None:
        return f"did you mean {near}?"
    if 0 < len(fields) <= _SHOWN:
        return f"remove it; what can stand here is {', '.join(fields)}"
    return "remove it, or see the object reference for the right name"


def find_parts(cls: type[BaseModel], place: tuple[str | int, ...]) -> list[type[BaseModel]]:
    """What may stand at a place of a document."""
    parts = [cls]
    for step in place:
        if isinstance(step, str):  # the place in a list has the type of the list's items
            parts = [inner for part in parts for inner in _inner(part, step)]
    return parts


def _inner(part: type[BaseModel], field: str) -> Iterator[type[BaseModel]]:
    for name, info in part.model_fields.items():
        if field in (name, info.alias):
            yield from _models(info.annotation)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
