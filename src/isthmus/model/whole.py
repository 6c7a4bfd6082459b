"""What is wrong with parts of a document as wholes, while some of their fields are faulty too.

The validator of a part runs only when each of its fields is right. So that people see everything at once, what it would
say is found out beside: by looking at which alternatives are written, and by validating the document without its faulty
fields.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel

from isthmus.model.object import Frozen
from isthmus.model.suggestion import find_parts

Place = tuple[str | int, ...]


def find_wrong_choices(cls: type[BaseModel], document: Any, error: ValidationError) -> Iterator[tuple[Place, str]]:
    """Parts around faulty fields of whose alternatives not exactly one is written, and what to say of them."""
    faults = [(each["loc"], each["type"]) for each in error.errors(include_url=False)]
    misspelt = {loc[:-1] for loc, kind in faults if kind == "extra_forbidden"}  # perhaps one of them is an alternative
    for place in sorted({loc[:length] for loc, _ in faults for length in range(len(loc))}, key=str):
        written = _at(document, place)
        for part in find_parts(cls, place):
            if not issubclass(part, Frozen) or not part.alternatives or not isinstance(written, Mapping):
                continue
            given = sum(any(written.get(key) is not None for key in {to_camel(n), n}) for n in part.alternatives)
            if given > 1 or (given == 0 and place not in misspelt):
                yield place, _text(part.alternatives)


def find_whole_faults(rest: ValidationError, faulty: list[Place]) -> Iterator[tuple[Place, str]]:
    """What a document without its faulty fields is refused for, where it is not for want of one of them.

    Args:
        rest: how it was refused.
        faulty: where the fields stood that were left out.
    """
    around = {left[:-1] for left in faulty}
    for each in rest.errors(include_url=False):
        place = each["loc"]
        if each["type"] == "value_error" and place not in around:
            yield place, each["msg"].removeprefix("Value error, ")


def _at(document: Any, place: Place) -> Any:
    for step in place:
        if isinstance(document, Mapping):
            document = document.get(step)
        elif isinstance(document, list) and isinstance(step, int) and step < len(document):
            document = document[step]
        else:
            return None
    return document


def _text(alternatives: tuple[str, ...]) -> str:
    *first, last = map(to_camel, alternatives)
    return f"set exactly one of {', '.join(first)} and {last}"
