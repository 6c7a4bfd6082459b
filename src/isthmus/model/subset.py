"""Subsets: named groups of a cluster's endpoints, by their labels."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from pydantic import Field

from isthmus.model.label import Expression, matches
from isthmus.model.object import Frozen, Name

Fallback = Literal["NONE", "ANY", "DEFAULT"]
MAX_SUBSETS = 32
"""Subsets of one cluster: a health route carries a mark for each that its endpoint belongs to."""


class Subset(Frozen):
    """The endpoints whose labels a selector matches. An endpoint may belong to several subsets, or to none."""

    name: Name = Field(description="What routes call it.")
    selector: tuple[Expression, ...] = Field(
        min_length=1,
        description="Label expressions on endpoints, one of which must hold. Discovered labels count too.",
    )


@lru_cache(maxsize=4096)
def subset_mark(name: str) -> int:
    """The number, not 0, that stands for a subset in health routes: 32 bits of the SHA-256 of its name."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) or 1


def subsets_of(subsets: Iterable[tuple[str, tuple[str, ...]]], labels: Mapping[str, str]) -> tuple[str, ...]:
    """The names, sorted, of those subsets (name and selector) that an endpoint with these labels belongs to."""
    return tuple(sorted(name for name, selector in subsets if matches(selector, labels)))
