"""What one edit changes in one subject's slice."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from isthmus.model.key import ObjectKey


@dataclass(frozen=True, slots=True)
class SliceDelta:
    """Changes of one slice.

    Attributes:
        set: new content hash by key, of objects that joined or changed.
        removed: keys that left.
        whole: True when so much changed that the new slice is to be read whole with `SliceIndex.slice_of`;
            `set` and `removed` are then empty.
    """

    set: Mapping[ObjectKey, str] = field(default_factory=dict)
    removed: frozenset[ObjectKey] = frozenset()
    whole: bool = False
