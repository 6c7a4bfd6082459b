"""What several spools may keep on one disk together, shared fairly.

Every spool belongs to somebody's share, and room is made by the share that takes most: whoever keeps less than an equal
part loses nothing to the others.
"""

from collections import Counter
from typing import Protocol


class Holder(Protocol):
    """A spool, as its quota sees it."""

    @property
    def size(self) -> int:
        """Bytes on disk."""
        ...

    def __len__(self) -> int: ...

    def drop_oldest(self) -> bool:
        """Give up the oldest batch, and count it; False: none can go."""
        ...


class Quota:
    """`limit` is in bytes, `most` in files."""

    def __init__(self, limit: int, most: int) -> None:
        self._limit = limit
        self._most = most
        self._shares: dict[Holder, str] = {}

    def join(self, holder: Holder, share: str) -> None:
        """What is kept here counts as this share's."""
        self._shares[holder] = share

    def leave(self, holder: Holder) -> None:
        """It counts no more."""
        self._shares.pop(holder, None)

    def make_room(self, holder: Holder, size: int) -> bool:
        """Before a holder takes a batch of so many bytes. False: there is none for it.

        While there is too much, the share with most of what is too much, the new batch counted, gives up the oldest
        batch of its largest holder.
        """
        if size > self._limit:
            return False
        own = self._shares[holder]
        while (large := sum(each.size for each in self._shares) + size > self._limit) or self._files() >= self._most:
            weights: Counter[str] = Counter({own: size if large else 1})
            for each, share in self._shares.items():
                weights[share] += each.size if large else len(each)
            heaviest = max(weights, key=lambda share: (weights[share], share))
            theirs = (each for each, share in self._shares.items() if share == heaviest)
            if not any(each.drop_oldest() for each in sorted(theirs, key=lambda each: -each.size)):
                return False
        return True

    def _files(self) -> int:
        return sum(len(each) for each in self._shares)
