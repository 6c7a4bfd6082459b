"""How many different values a variable has had, and of which forms, in bounded memory.

The values whose hashes are the least are a fair sample of all different ones, however often each came, and how close
the hashes lie tells how many there are. The sample of two sets is the least of both samples, so to merge loses nothing.
"""

from collections.abc import Mapping
from hashlib import blake2b

MOST = 32
_WHOLE = 1 << 64


class Sample:
    """Attributes:
    forms: of the sampled values, by hash.
    least: the value with the least hash; of a single value that is the value. Empty without any.
    """

    __slots__ = ("_limit", "forms", "least")

    def __init__(self, forms: Mapping[int, str] | None = None, least: str = "") -> None:
        self.forms: dict[int, str] = dict(forms or {})
        self.least = least
        self._bound()

    def add(self, form: str, value: str) -> None:
        """Take a value in; again, it changes nothing."""
        number = int.from_bytes(blake2b(value.encode(), digest_size=8).digest())
        if number >= self._limit or number in self.forms:
            return
        if number < min(self.forms, default=_WHOLE):
            self.least = value
        self.forms[number] = form
        if len(self.forms) >= MOST:
            self._bound()

    def merge(self, other: "Sample") -> None:
        """Add another's values. A value of two forms (a word that became one) has the first by name."""
        if min(other.forms, default=_WHOLE) < min(self.forms, default=_WHOLE):
            self.least = other.least
        for number, form in other.forms.items():
            self.forms[number] = min(form, self.forms.get(number, form))
        self._bound()

    def copy(self) -> "Sample":
        """Another with the same values."""
        return Sample(self.forms, self.least)

    @property
    def count(self) -> float:
        """How many different values there were: exact below MOST, within some 20 % above."""
        if len(self.forms) < MOST:
            return float(len(self.forms))
        return (MOST - 1) * _WHOLE / (max(self.forms) + 1)

    def share(self, forms: frozenset[str]) -> float:
        """The share of the values that have one of these forms; 0 of none."""
        if not self.forms:
            return 0.0
        return sum(form in forms for form in self.forms.values()) / len(self.forms)

    @property
    def form(self) -> str:
        """The form that nearly all values have, else `mixed`; `word` of none."""
        found = set(self.forms.values())
        for form in sorted(found):
            if self.share(frozenset({form})) >= 0.95:
                return form
        return "mixed" if found else "word"

    def _bound(self) -> None:
        for number in sorted(self.forms)[MOST:]:
            del self.forms[number]
        self._limit = max(self.forms) if len(self.forms) >= MOST else _WHOLE
