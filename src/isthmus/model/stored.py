"""Objects out of a store, perhaps written by another release: read as far as possible, where documents are refused.

What is applied is checked strictly. What is stored was accepted once and is in use at sites, so a release that has
become stricter must neither stop for it nor take it away from them:

1. An object that this release accepts is read as it is.
2. Of any other the faulty parts are left out, if an object remains. Where each field is good by itself and only several
   together are not, nothing is left out. That serves to know whom it concerns and what it refers to; sites are given
   the stored bytes, and each judges these by its own release.
3. Where too little remains, or the rest would say something else (its place, whom it selects, who is told), the object
   cannot be used here at all.
"""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from isthmus.model.check import STORED
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.document import diagnose
from isthmus.model.key import ObjectKey
from isthmus.model.kind import KINDS
from isthmus.model.object import Object, Refused, System

_DECISIVE = frozenset(("where", "selector", "endpointSelection"))
"""Fields without which an object would concern others than it says."""
_ACTED_ON_HERE = frozenset(("AlertPolicy", "AlertReceiver"))
"""Kinds that the console itself goes by, which has to go by all that they say."""
_FRAME = frozenset(("apiVersion", "kind", "metadata", "spec"))
_ROUNDS = 8
"""How often what was left out may bring another fault to light."""
_REFUSED = "apply it anew as this release accepts it, before sites get this release, or delete it"
_UNREADABLE = "apply it anew as this release accepts it, or delete it"

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored object that cannot be used.

    Attributes:
        diagnostics: why; at least one.
        system: what the console had added to it, as far as that can be read.
    """

    diagnostics: tuple[Diagnostic, ...]
    system: System | None = None


def parse_stored(key: ObjectKey, body: bytes) -> Object | Unreadable:
    """Read what a store keeps under a key: an envelope of this release or of another. Never raises.

    An object that this release refuses says so itself (`Object.refused`).
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        return _unreadable(key, "", f"what is stored is damaged: {error}")
    if not isinstance(document, dict):
        return _unreadable(key, "", "what is stored is damaged: it is no document")
    cls = KINDS.get(key.kind)
    if cls is None:
        return _unreadable(key, "kind", f"this release does not know the kind {key.kind!r}", _system(document))
    try:
        obj = cls.model_validate_json(body)
    except ValidationError as error:
        return _salvage(cls, key, body, document, error)
    if obj.key != key:
        return _unreadable(key, "metadata", f"what is stored calls itself {obj.key}", obj.system)
    return obj


def _salvage(
    cls: type[Object], key: ObjectKey, body: bytes, document: dict[str, Any], error: ValidationError
) -> Object | Unreadable:
    found = tuple(
        Diagnostic("stored-refused", key, each.field, f"this release refuses what is stored: {each.message}", _REFUSED)
        for each in diagnose(cls, None, error)  # no key, no values: this goes to logs and to receivers of alerts
    )
    obj = _understood(cls, document, error) if cls.__name__ not in _ACTED_ON_HERE else None
    if obj is None or obj.key != key:
        reasons = tuple(Diagnostic("stored-unreadable", key, each.field, each.message, _UNREADABLE) for each in found)
        return Unreadable(reasons, _system(document))
    return obj.as_refused(Refused(body, found))


def _understood(cls: type[Object], document: dict[str, Any], error: ValidationError) -> Object | None:
    """The object without its faulty parts; None where it would be another one."""
    if any(_DECISIVE.intersection(each) for each in _faults(document, error)):
        return None
    for _ in range(_ROUNDS):
        try:
            return cls.model_validate_json(json.dumps(document), context=STORED)
        except ValidationError as rest:
            faults = _faults(document, rest)
        if not all(_may_go(place) for place in faults):
            return None
        for place in sorted(faults, key=lambda place: [str(step).rjust(8, "0") for step in place], reverse=True):
            _remove(document, place)
    return None


def _faults(document: dict[str, Any], error: ValidationError) -> set[Place]:
    return {_nearest(document, part["loc"]) for part in error.errors(include_url=False)}


def _nearest(document: Any, loc: Place) -> Place:
    """The innermost part that there is on the way to a fault. Members of unions name types there, which are no part."""
    found: list[str | int] = []
    for step in loc:
        of_list = isinstance(document, list) and isinstance(step, int) and step < len(document)
        if not of_list and not (isinstance(document, dict) and step in document):
            break
        document = document[step]
        found.append(step)
    return tuple(found)


def _may_go(place: Place) -> bool:
    if not place or (len(place) == 1 and place[0] in _FRAME):
        return False
    if place[0] == "metadata":
        return place[1] in ("annotations", "description")
    return not _DECISIVE.intersection(place)


def _remove(document: Any, place: Place) -> None:
    for step in place[:-1]:
        document = document[step]
    del document[place[-1]]


def _system(document: dict[str, Any]) -> System | None:
    try:
        return System.model_validate_json(json.dumps(document.get("system")))
    except ValidationError:
        return None


def _unreadable(key: ObjectKey, field: str, message: str, system: System | None = None) -> Unreadable:
    return Unreadable((Diagnostic("stored-unreadable", key, field, message, _UNREADABLE),), system)
