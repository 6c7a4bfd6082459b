"""What a requested edit would do, and whether it may. Pure: nothing is stored here.

1. Compare the requested objects with those that exist; number those that are new.
2. Refuse deletes of objects that others still refer to.
3. Validate the set as it would be. An error that was there before does not stand in the way. Neither does one that a
   changed label or selector brings to objects which are not part of the edit: labels can be edited at any time, and the
   later of two objects that clash says so in its status.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from isthmus.console.difference import diff_of, diff_of_bytes
from isthmus.console.error import RequestRefused
from isthmus.console.record import Action, Change, StoredObject, UnreadableObject
from isthmus.model.diagnostic import Diagnostic
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object, System
from isthmus.model.revalidation import Trial, Validation

_NUMBERED = frozenset(("Site", "Region", "Cluster"))
_NAMED_REFERRERS = 20

Records = Mapping[ObjectKey, StoredObject]


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit that may be made.

    Attributes:
        changes: what it changes; empty when everything is as requested already.
        unchanged: requested objects that are as requested already.
        counters: the highest numbers that it gives out.
        trial: its validation, to be accepted when it is made.
    """

    changes: tuple[Change, ...]
    unchanged: tuple[ObjectKey, ...]
    counters: Mapping[str, int]
    trial: Trial

    @property
    def objects(self) -> dict[ObjectKey, Object | None]:
        """The new form of every changed object; None deletes."""
        return {change.key: change.object for change in self.changes}


def plan_edit(
    records: Records,
    validation: Validation,
    counters: Mapping[str, int],
    requested: Sequence[Object],
    deleted: Collection[ObjectKey] = (),
    found: Sequence[Diagnostic] = (),
    unreadable: Mapping[ObjectKey, UnreadableObject] = MappingProxyType({}),
) -> Edit:
    """What the edit would do.

    Args:
        records: the objects that exist.
        validation: of those objects.
        counters: numbers given out so far.
        requested: objects to create or update.
        deleted: objects to delete, which exist.
        found: what is known to be wrong with the requested objects already.
        unreadable: objects that are stored and cannot be used; the edit may put others in their place, or delete them.

    Raises:
        RequestRefused: 409 when an object to delete is referred to, 422 with every error otherwise.
    """
    counters = dict(counters)
    changes: list[Change] = []
    unchanged: list[ObjectKey] = []
    for obj in requested:
        old = records[obj.key].object if obj.key in records else None
        if old is not None:
            new = obj.succeeding(old)
        else:
            stored = unreadable[obj.key].unreadable.system if obj.key in unreadable else None
            new = obj.with_system(stored or _allocate(obj, counters))
        if new == old:
            unchanged.append(obj.key)
            continue
        action: Action = "created" if old is None and obj.key not in unreadable else "updated"
        changes.append(Change(new.key, action, new, diff_of(old, new)))
    for key in deleted:
        gone = records.get(key)
        diff = diff_of(gone.object, None) if gone is not None else diff_of_bytes(key, unreadable[key].body)
        changes.append(Change(key, "deleted", None, diff))
    trial = validation.try_edit({change.key: change.object for change in changes})
    _refuse_referenced((*records, *unreadable), validation, changes)
    errors = [*found, *(each for each in trial.appeared if not _is_tolerated(each, changes))]
    if errors:
        count = f"{len(errors)} error" + ("s" if len(errors) > 1 else "")
        raise RequestRefused(422, "invalid", f"The objects have {count}; nothing was stored.", errors)
    return Edit(tuple(changes), tuple(unchanged), counters, trial)


def _allocate(obj: Object, counters: dict[str, int]) -> System:
    created = counters["created"] = counters.get("created", 0) + 1
    if obj.kind not in _NUMBERED:
        return System(created=created)
    number = counters[obj.kind] = counters.get(obj.kind, 0) + 1
    return System(created=created, number=number)


def _refuse_referenced(stored: Collection[ObjectKey], validation: Validation, changes: Iterable[Change]) -> None:
    new = {change.key: change.object for change in changes}
    found: list[Diagnostic] = []
    for key, obj in new.items():
        if obj is not None:
            continue
        found.extend(
            Diagnostic(
                "referenced", key, "", f"{referrer.title} refers to it", f"change or delete {referrer.title} first"
            )
            for referrer in sorted(_referrers(stored, validation, new, key))[:_NAMED_REFERRERS]
        )
    if found:
        titles = ", ".join(sorted({each.object.title for each in found if each.object is not None}))
        raise RequestRefused(409, "referenced", f"Other objects still need {titles}; nothing was deleted.", found)


def _referrers(
    stored: Collection[ObjectKey], validation: Validation, new: Mapping[ObjectKey, Object | None], key: ObjectKey
) -> set[ObjectKey]:
    """Objects that would refer to a deleted one. A namespace is referred to by what it holds."""
    if key.kind == "Namespace":
        held = {other for other in (*stored, *new) if (other.tenant, other.namespace) == (key.tenant, key.name)}
        return {other for other in held if new.get(other, True) is not None}
    users = {user for user in validation.users(key) if user not in new}
    return users | {
        user for user, obj in new.items() if obj is not None and any(use.target == key for use in obj.uses())
    }


def _is_tolerated(error: Diagnostic, changes: Sequence[Change]) -> bool:
    """Whether an error comes of edited labels or selectors, to an object that is not part of the edit."""
    keys = {change.key for change in changes}
    if error.object in keys:
        return False
    if error.code == "overlapping-domain":
        return not any(key.kind in ("VirtualHost", "AdvertisePolicy") for key in keys)
    by_label = error.code == "too-many-sites" or error.field.endswith("virtualSite")
    return by_label and all(key.kind in ("Site", "VirtualSite") for key in keys)
