"""One application's paths, learned request by request, in bounded memory.

1. A segment whose form says that it is a value goes to the variable at its place at once. A word gets a place of its
   own.
2. Only answers of success make new places. Any other answer counts where its path is known already, and else as
   unmatched: scans for what is not there teach nothing, and cost nothing.
3. A place with many words is *folded*: words that are judged values become one with its variable, and later words
   that do not look like names go there directly. So does the whole tree when it is too large; if that does not help,
   what was not asked for longest is forgotten.
4. To show the endpoints, a copy is folded everywhere. The tree itself stays, and may judge otherwise when it knows
   more.

To merge two trees is to add up their places; the order does not matter as long as neither was folded.
"""

import math
import re
from collections.abc import Iterator

from isthmus.interface.judgement import is_name, judge
from isthmus.interface.node import Node
from isthmus.interface.segment import VARIABLE, parse_segment
from isthmus.interface.usage import Call, Usage

MOST_NODES = 4_000
"""Places of a tree, beyond which it is folded."""
WIDEST = 150
"""Words of one place, beyond which it is folded."""
_MANY = 12
"""Words that are judged values together, from which on the next ones are not looked at one by one; half of the names
at the same place, if that is more."""
_MARGIN = 1.5
"""By how much a word must be a value to become one for good, before all is known."""
_DEEPEST = 24
_REMEMBERED = 20_000
_LONGEST_REMEMBERED = 200
"""Characters of a path beyond which its place is looked up each time: clients choose paths, and these are kept."""
_ELSEWHERE = frozenset({301, 307, 308})
"""Redirects say that it is not here."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"})
_NAME = re.compile(r"[A-Za-z_$][\w.\-\[\]$]{0,47}")
_NAMES = 16


class Tree:
    """`learn` from one thread at a time.

    Attributes:
        unmatched: requests that belong to no known path, by class of status.
    """

    def __init__(self) -> None:
        self.root = Node()
        self.unmatched: dict[str, float] = {}
        self.nodes = 1
        self._known: dict[tuple[str, str], Usage] = {}

    def learn(self, call: Call) -> None:
        """Take a request in."""
        path, _, query = call.path.partition("?")
        names = _names(query) if query else ()
        usage = self._known.get((call.method, path))
        if usage is None:
            usage = self._find(call, path.partition("#")[0])
            if usage is None:
                family = f"{call.code // 100}xx" if call.code else "none"
                self.unmatched[family] = self.unmatched.get(family, 0.0) + call.weight
                return
            if len(path) <= _LONGEST_REMEMBERED:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[call.method, path] = usage
        usage.add(call, names)
        if self.nodes > MOST_NODES:
            self.shrink()

    def _find(self, call: Call, path: str) -> Usage | None:
        """Where a request counts."""
        if call.method not in _METHODS or not path.startswith("/"):
            return None
        segments = path[1:].split("/") if path != "/" else []
        if len(segments) > _DEEPEST:
            return None
        creates = (200 <= call.code < 400 or call.code == 101) and call.code not in _ELSEWHERE
        node: Node | None = self.root
        for text in segments:
            assert node is not None
            node = self._step(node, text, creates)
            if node is None:
                return None
        assert node is not None
        usage = node.usages.get(call.method)
        if usage is None and creates:
            usage = node.usages[call.method] = Usage(call.at, call.at)
        return usage

    def _step(self, node: Node, text: str, creates: bool) -> Node | None:
        child = node.words.get(text)
        if child is not None:
            return child
        segment = parse_segment(text)
        label, kind = segment.label, segment.kind
        if not kind and text and node.folded and not (creates and is_name(text)):
            label, kind = VARIABLE, "word"
        if kind:
            child = node.variables.get(label)
            if child is None:
                if not creates:
                    return None
                child = node.variables[label] = Node()
                self.nodes += 1
            if creates:
                child.values.add(kind, text)
            return child
        if not creates:
            return None
        child = node.words[text] = Node()
        self.nodes += 1
        if len(node.words) > WIDEST and len(node.words) % WIDEST == 1:
            self._fold_one(node)
            return self._step(node, text, creates)
        return child

    def _fold_one(self, node: Node) -> None:
        fold(node, deep=False, margin=_MARGIN)
        if len(node.words) > 4 * WIDEST:  # whatever they are: nobody reads so many
            _gather(node, set(sorted(node.words, key=lambda text: node.words[text].requests())[: -2 * WIDEST]))
        self._recount()

    def shrink(self, most: int = MOST_NODES) -> None:
        """Fold from the top down until half of so many places are left: what is below is decided no sooner than need
        be, as there is more to compare it with later. If that does not help, forget what was not asked for longest.
        """
        level = [self.root]
        while level and self.nodes > most // 2:
            for node in level:
                fold(node, deep=False, margin=_MARGIN)
            level = [child for node in level for child in node.children()]
            self._recount()
        turns = 8
        while self.nodes > most * 3 // 4 and turns:
            times = sorted(usage.last for usage in _usages(self.root))
            before = times[len(times) // 4] if times else math.inf
            self.expire(before if times and before > times[0] else math.nextafter(before, math.inf))
            turns -= 1

    def expire(self, before: float) -> None:
        """Forget endpoints that nobody has asked for since."""
        _prune(self.root, before)
        self._recount()

    def merge(self, other: "Tree") -> None:
        """Add all that is known of another tree, which stays as it is."""
        self.root.merge(other.root.copy())
        for family, weight in other.unmatched.items():
            self.unmatched[family] = self.unmatched.get(family, 0.0) + weight
        self._recount()
        if self.nodes > MOST_NODES:
            self.shrink()

    def _recount(self) -> None:
        self._known.clear()
        self.nodes = self.root.size()

    def folded(self) -> Node:
        """A copy of all, with every word judged."""
        copy = self.root.copy()
        fold(copy)
        return copy


def fold(node: Node, *, deep: bool = True, margin: float = 0.0) -> None:
    """Make one of a node's values, from the top down: what is below values is compared with more of its like then."""
    values = judge(node, margin)
    if values:
        _gather(node, values)
    for child in node.children() if deep else ():
        fold(child)


def _gather(node: Node, values: set[str]) -> None:
    """Make these words one with the variable."""
    label = VARIABLE
    if VARIABLE not in node.variables:
        endings = {text[text.rindex(".") :] if "." in text[1:] else "" for text in values}
        ending = next(iter(endings))
        if len(endings) == 1 and re.fullmatch(r"\.[a-z][a-z0-9]{1,4}", ending):
            label = VARIABLE + ending
    target = node.variables.setdefault(label, Node())
    for text in sorted(values):
        child = node.words.pop(text)
        target.merge(child)
        target.values.add("word", text)
    names = sum(map(is_name, node.words))
    node.folded = node.folded or len(values) >= max(_MANY, names // 2)


def _usages(node: Node) -> Iterator[Usage]:
    yield from node.usages.values()
    for child in node.children():
        yield from _usages(child)


def _prune(node: Node, before: float) -> bool:
    """Whether anything is left."""
    node.usages = {method: usage for method, usage in node.usages.items() if usage.last >= before}
    node.words = {label: child for label, child in node.words.items() if _prune(child, before)}
    node.variables = {label: child for label, child in node.variables.items() if _prune(child, before)}
    return bool(node.usages or node.words or node.variables)


def _names(query: str) -> tuple[str, ...]:
    """Names of parameters that can be names; never their values."""
    found = (part.partition("=")[0] for part in query.split("&", _NAMES)[:_NAMES])
    return tuple(dict.fromkeys(name for name in found if _NAME.fullmatch(name)))
