"""Which words of a place are values of a variable, and which are names of the API itself.

No single sign decides; each adds to or takes from a score, above 0 of which a word is a value:

1. *Its letters.* Words that APIs are made of are likely names; digits and unknown words are likely values.
2. *What is below it.* Values of a variable share what is below them (`/repos/a/issues`, `/repos/b/issues`); names have
   their own. What is below is compared by methods and paths down to the leaves, values left blank, and only where
   that tells anything: `/{}` is below everything.
3. *How many there are.* Values keep coming: many different words with few requests each. Names are few, and return.
4. *What else is there.* Where all known values are numbers or UUIDs, a word is none of them. Where there are many
   values, some of them happen to be words that APIs are made of, too: so such a word, among many, is a value unless
   its methods, what is below it, or its share of requests sets it apart.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.interface.node import Node
from isthmus.interface.segment import VARIABLE, parse_segment

NAME = 0.75
"""Literalness from which on a word is made of what names are made of."""
_DEPTH, _MOST = 5, 160
_FORMED = frozenset({"integer", "uuid", "ulid", "hash", "date", "date-time", "email", "address"})


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    letters: float
    requests: float
    below: frozenset[str]
    telling: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of a node as a whole.

    Attributes:
        strange: words that do not look like names; `names` are the others.
        values: how many different values there may be: strange words, and words that are values already.
        requests: of these.
        below: what is below the variable; `elsewhere` how many words have it below them.
        formed: whether all known values have a form.
    """

    strange: Sequence[_Word]
    names: Sequence[_Word]
    values: float
    requests: float
    below: frozenset[str]
    elsewhere: Counter[str]
    variable: bool
    formed: bool

    @property
    def top(self) -> float:
        """Requests that the most frequent value would have, if popularity falls off as it usually does."""
        return 1.5 * self.requests / (math.log(self.values + 1) + 0.6)


def judge(node: Node) -> set[str]:
    """The words of a node that are values."""
    if not node.words:
        return set()
    words = []
    for text, child in node.words.items():
        below = signature(child)
        letters = parse_segment(text).literalness if text else 2.0
        words.append(_Word(text, letters, child.requests(), below, _telling(below)))
    place = _place(node, words)
    return {each.text for each in words if each.text and _score(each, place) > 0}


def _place(node: Node, words: Sequence[_Word]) -> _Place:
    strange = [each for each in words if each.letters < NAME]
    variable = node.variables.get(VARIABLE)
    whole = variable.values.count if variable is not None else 0.0
    formed = whole * variable.values.share(_FORMED) if variable is not None else 0.0
    requests = sum(each.requests for each in strange)
    if variable is not None and formed < whole:
        requests += variable.requests() * (whole - formed) / whole
    return _Place(
        strange=strange,
        names=[each for each in words if each.letters >= NAME],
        values=len(strange) + whole - formed,
        requests=requests,
        below=signature(variable) if variable is not None else frozenset(),
        elsewhere=Counter(each for word in words for each in word.telling),
        variable=bool(whole),
        formed=bool(whole) and formed >= 0.98 * whole,
    )


def _telling(below: frozenset[str]) -> frozenset[str]:
    """Of what is below a word, that which is not below everything."""
    return frozenset(each for each in below if any(c.isalnum() for c in each.partition(" ")[2]))


def signature(node: Node, depth: int = _DEPTH) -> frozenset[str]:
    """Methods and paths below a node, values left blank: `GET `, `POST /issues`, `GET /issues/{}`."""
    found = {f"{method} " for method in node.usages}
    if depth:
        for label, child in (*sorted(node.words.items()), *sorted(node.variables.items())):
            if len(found) >= _MOST:
                break
            name = label if label and not label.startswith(VARIABLE) and is_name(label) else VARIABLE
            for each in sorted(signature(child, depth - 1)):
                method, _, rest = each.partition(" ")
                found.add(f"{method} /{name}{rest}")
    return frozenset(sorted(found)[:_MOST])


def is_name(word: str) -> bool:
    """Whether a word looks like a name by itself."""
    return parse_segment(word).literalness >= NAME


def _score(word: _Word, place: _Place) -> float:
    structure = _structure(word, place)
    if word.letters >= NAME:
        return -1.2 * word.letters + 3.0 * structure + _chance(word, place)
    score = -1.2 * word.letters - 1.0 + 2.5 * structure + _number(word, place)
    if place.formed:
        return score - 2.0
    if place.variable:
        return score + 1.0
    return score if len(place.strange) > 1 or structure > 0 else -1.0


def _structure(word: _Word, place: _Place) -> float:
    """-1: nothing that is below it is below others. 1: all of it is. 0: there is nothing that tells."""
    if not word.telling:
        return 0.0 if _usual(word, place) else -0.6
    least = 2 if len(place.strange) + len(place.names) < 8 else 3  # itself is one
    shared = sum(1 for each in word.telling if place.elsewhere[each] >= least or each in place.below)
    return (2.0 * shared / len(word.telling) - 1.0) * min(1.0, 0.5 + len(word.telling) / 4)


def _usual(word: _Word, place: _Place) -> bool:
    """Whether something is below another strange word, or the variable, that is below this one."""
    others = [each for each in place.strange if each is not word]
    if not others and not place.below:
        return True
    return any(each in place.below or any(each in other.below for other in others) for each in word.below)


def _number(word: _Word, place: _Place) -> float:
    """What the number of words like this one says.

    Values are many. Names are few, so that all of them have been seen soon: none is left that was seen once.
    """
    mean = place.requests / place.values
    score = math.log2(place.values) - math.log10(max(1.0, mean))
    once = sum(1 for each in place.strange if each.requests <= 1.5)
    if mean >= 4 and once <= 0.05 * place.values and place.values <= 40:
        score -= 3.0 * (1 - place.values / 60)
    if len(place.names) >= 10 and len(place.names) >= 3 * place.values:
        score -= 2.5
    if word.requests > 2 * place.top:
        score -= 2.0
    return score


def _chance(word: _Word, place: _Place) -> float:
    """How likely it is that a value is such a word by chance, where there are so many values.

    Not, if these words are too many for that, if something is below this one that is not below values, or if it is
    asked for more than any value.
    """
    if place.values < 10 or len(place.names) > 0.35 * place.values + 1:
        return -1.0
    below = place.below.union(*(each.below for each in place.strange))
    if len(word.below - below) > 0.34 * len(word.below):
        return -1.0
    return 2.6 if word.requests <= place.top else -1.0
