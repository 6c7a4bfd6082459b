"""Which words of a place are values of a variable, and which are names of the API itself.

No single sign decides; each adds to or takes from a score, above 0 of which a word is a value:

1. *Its letters.* Words that APIs are made of are likely names; digits and unknown words are likely values.
2. *What is below it.* Values of a variable share what is below them (`/repos/a/issues`, `/repos/b/issues`); names have
   their own. What is below is compared by methods and paths down to the leaves, values left blank, and only where
   that tells anything: `/{}` is below everything.
3. *How many there are.* Values keep coming: many different words with few requests each. Names are few, and return.
4. *What else is there.* Most words of a place are of one sort. Where all known values are numbers or UUIDs, a word is
   none of them. Where there are many values, some of them happen to be words that APIs are made of, too: so such a
   word, among many, is a value unless its methods, what is below it, or its share of requests sets it apart.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isthmus.interface.node import Node
from isthmus.interface.segment import VARIABLE, parse_segment

NAME = 0.75
"""Literalness from which on a word is made of what names are made of."""
_PLAIN = -0.4
"""Literalness up to which a word has next to nothing of a name."""
_DEPTH = 5
_MOST = 2_000
_FORMED = frozenset({"integer", "uuid", "ulid", "hash", "date", "date-time", "email", "address"})

Below = Mapping[str, float]
"""Methods and paths below a node, values left blank (`GET `, `POST /issues`, `GET /issues/{}`), with their requests."""


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    letters: float
    requests: float
    below: Below
    telling: Below
    known: float
    """Of what is below it and tells anything, the share that is below the variable, too; negative if nothing tells."""


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
    below: Below
    elsewhere: Counter[str]
    variable: bool
    formed: bool

    @property
    def share(self) -> float:
        """The share of all words that look like no name at all."""
        plain = self.values - sum(each.letters > _PLAIN for each in self.strange)
        return plain / (self.values + len(self.names))

    @property
    def top(self) -> float:
        """Requests that the most frequent value would have, if popularity falls off as it usually does."""
        return 1.5 * self.requests / (math.log(self.values + 1) + 0.6)


def judge(node: Node, margin: float = 0.0) -> set[str]:
    """The words of a node that are values, by more than a margin."""
    if not node.words:
        return set()
    words = []
    variable = node.variables.get(VARIABLE)
    for text, child in node.words.items():
        below = _below(child)
        letters = parse_segment(text).literalness
        words.append(_Word(text, letters, sum(below.values()), below, _telling(below), _known(child, variable)))
    place = _place(node, words)
    return {each.text for each in words if each.text and _score(each, place) > margin}


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
        below=_below(variable) if variable is not None else {},
        elsewhere=Counter(each for word in words for each in word.telling),
        variable=bool(whole),
        formed=bool(whole) and formed >= 0.98 * whole,
    )


def _telling(below: Below) -> Below:
    """Of what is below a word, that which is not below everything."""
    return {each: weight for each, weight in below.items() if any(c.isalnum() for c in each.partition(" ")[2])}


def _below(node: Node, depth: int = _DEPTH) -> dict[str, float]:
    """What is below a node. Where most words do not look like names, those that do may be values by chance: all are
    blank."""
    found = {f"{method} ": usage.tally.requests for method, usage in node.usages.items()}
    if not depth:
        found["* /"] = sum(child.requests() for child in node.children())
        return found
    names = {label for label in node.words if is_name(label)}
    if len(node.words) > 2 * len(names):
        names = set()
    for label, child in (*node.words.items(), *node.variables.items()):
        if len(found) >= _MOST:
            break
        name = label if label in names else VARIABLE
        for each, weight in _below(child, depth - 1).items():
            method, _, rest = each.partition(" ")
            path = f"{method} /{name}{rest}"
            found[path] = found.get(path, 0.0) + weight
    return found


def is_name(word: str) -> bool:
    """Whether a word looks like a name by itself."""
    return parse_segment(word).literalness >= NAME


def _score(word: _Word, place: _Place) -> float:
    structure = _structure(word, place)
    if word.letters >= NAME:
        weight = 4.0 if place.values >= 10 and place.share >= 0.5 else 3.0
        return -1.2 * word.letters + weight * structure + _chance(word, place)
    score = -1.2 * word.letters - 1.0 + 2.5 * structure + _number(word, place)
    if place.formed:
        return score - 2.0
    if place.variable:
        return score + (1.0 if place.values >= 20 else 0.0)
    return score if len(place.strange) > 1 or structure > 0 else -1.0


def _structure(word: _Word, place: _Place) -> float:
    """-1: nothing that is below it is below others. 1: all of it is. 0: there is nothing that tells.

    Each counts by the root of its requests: what was asked for once may be a value by chance.
    """
    found = _shared(word, place)
    if word.known >= 0 and place.values >= 10:
        return max(found, 2.0 * word.known - 1.0)
    return found


def _shared(word: _Word, place: _Place) -> float:
    if not word.telling:
        return 0.0 if _usual(word, place) else -0.6
    least = 2 if len(place.strange) + len(place.names) < 8 else 3  # itself is one
    whole = shared = 0.0
    for each, weight in word.telling.items():
        root = math.sqrt(weight)
        whole += root
        if place.elsewhere[each] >= least or each in place.below:
            shared += root
    return (2.0 * shared / max(whole, 1e-9) - 1.0) * min(1.0, 0.5 + len(word.telling) / 4)


def _known(child: Node, variable: Node | None) -> float:
    if variable is None:
        return -1.0
    shared, whole = _overlap(child, variable, told=False, depth=_DEPTH)
    return shared / whole if whole else -1.0


def _overlap(child: Node, other: Node, *, told: bool, depth: int) -> tuple[float, float]:
    """How much of what is below a node is below another, and how much there is, where a name was passed on the way."""
    shared = whole = 0.0
    for method, usage in child.usages.items() if told else ():
        root = math.sqrt(usage.tally.requests)
        whole += root
        shared += root if method in other.usages else 0.0
    if not depth:
        return shared, whole
    variable = other.variables.get(VARIABLE)
    for word, below in child.words.items():
        named = is_name(word)
        match = other.words.get(word) or variable
        if match is None:
            whole += math.sqrt(below.requests()) if named else 0.0
            continue
        found = _overlap(below, match, told=told or (named and word in other.words), depth=depth - 1)
        shared, whole = shared + found[0], whole + found[1]
    for label, below in child.variables.items():
        match = other.variables.get(label)
        if match is not None:
            found = _overlap(below, match, told=told, depth=depth - 1)
            shared, whole = shared + found[0], whole + found[1]
    return shared, whole


def _usual(word: _Word, place: _Place) -> bool:
    """Whether something is below another strange word, or the variable, that is below this one."""
    others = [each for each in place.strange if each is not word]
    if not others and not place.below:
        return True
    return any(each in place.below or any(each in other.below for other in others) for each in word.below)


def _number(word: _Word, place: _Place) -> float:
    """What the number of words like this one says.

    Values are many: more than there would be names of words that are not in the list. Names are few, so that all of
    them have been seen soon: none is left that was seen once.
    """
    mean = place.requests / place.values
    score = math.log2(max(1.0, place.values - 0.5 * len(place.names))) - math.log10(max(1.0, mean))
    once = sum(1 for each in place.strange if each.requests <= 1.5)
    if mean >= 4 and once <= 0.05 * place.values and place.values <= 40:
        score -= 3.0 * (1 - place.values / 60)
    if place.share >= 0.6:
        score += 1.0
    elif place.share <= 0.4 and len(place.names) >= 5:
        score -= 1.2 if place.share > 0.2 else 2.5
    if word.requests > 2 * place.top:
        score -= 2.0
    return score


def _chance(word: _Word, place: _Place) -> float:
    """How likely it is that a value is such a word by chance, where there are so many values.

    Not, if these words are too many for that, if something is below this one that is not below values, or if it is
    asked for more than any value.
    """
    if place.values < 10 or len(place.names) > 0.35 * place.values + 1:
        return -1.0 if place.values < 10 or len(place.names) > place.values else 0.0
    known = set(place.below).union(*(each.below for each in place.strange))
    if word.known < 0.66 and sum(each not in known for each in word.below) > 0.34 * len(word.below):
        return -1.0
    return 2.6 if word.requests <= place.top else -1.0
