"""Which stored objects this release does not accept as they are.

It decides on slices as much as the objects themselves do. So it is compared with how the console read them at its start
before: where that differs, manifests of the same version would name other objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from isthmus.console.record import StoredObject, UnreadableObject
from isthmus.model.key import ObjectKey
from isthmus.model.object import Object


@dataclass(frozen=True, slots=True)
class Reading:
    """Revisions of the objects that are refused, in part or in whole, and of the `others`, by key; of the refused ones
    also what is understood of them, as a hash."""

    refused: Mapping[ObjectKey, tuple[int, str]]
    others: Mapping[ObjectKey, int]

    @classmethod
    def of(
        cls, records: Mapping[ObjectKey, StoredObject], unreadable: Mapping[ObjectKey, UnreadableObject]
    ) -> "Reading":
        """How a store was read."""
        in_part = {key for key, record in records.items() if record.object.refused is not None}
        return cls(
            {key: (records[key].revision, _understood(records[key].object)) for key in in_part}
            | {key: (each.revision, "nothing") for key, each in unreadable.items()},
            {key: record.revision for key, record in records.items() if key not in in_part},
        )

    @property
    def text(self) -> str:
        """What a store keeps of it."""
        return "\n".join(f"{revision} {key} {rest}" for key, (revision, rest) in sorted(self.refused.items()))

    def differs(self, before: str) -> bool:
        """Whether an object that nobody has changed since is read otherwise than when this text was kept."""
        now, then = set(self.text.splitlines()), set(before.splitlines())
        refused = {line.rpartition(" ")[0] for line in then}
        return bool(now - then) or any(f"{revision} {key}" in refused for key, revision in self.others.items())


def _understood(obj: Object) -> str:
    return sha256(obj.model_dump_json().encode()).hexdigest()
