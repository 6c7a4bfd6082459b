"""A place in the tree of an application's paths."""

from collections.abc import Iterator

from isthmus.interface.sample import Sample
from isthmus.interface.usage import Usage


class Node:
    """What comes after a path, and what is known of the path itself.

    Attributes:
        words: by segment, those that may turn out to be values.
        variables: by label (`{}`, `{}.json`), for values.
        usages: by method.
        values: of a variable, those that came by.
        folded: whether words that do not look like names are taken for values at once.
    """

    __slots__ = ("folded", "usages", "values", "variables", "words")

    def __init__(self) -> None:
        self.words: dict[str, Node] = {}
        self.variables: dict[str, Node] = {}
        self.usages: dict[str, Usage] = {}
        self.values = Sample()
        self.folded = False

    def children(self) -> Iterator["Node"]:
        """All nodes right below."""
        yield from self.words.values()
        yield from self.variables.values()

    def merge(self, other: "Node") -> None:
        """Add all that is known of another, which must not be used afterwards."""
        for mine, theirs in ((self.words, other.words), (self.variables, other.variables)):
            for label, child in theirs.items():
                found = mine.get(label)
                if found is None:
                    mine[label] = child
                else:
                    found.merge(child)
        for method, usage in other.usages.items():
            known = self.usages.get(method)
            if known is None:
                self.usages[method] = usage
            else:
                known.merge(usage)
        self.values.merge(other.values)
        self.folded |= other.folded

    def copy(self) -> "Node":
        """Another that shares nothing with this one."""
        twin = Node()
        twin.words = {label: child.copy() for label, child in self.words.items()}
        twin.variables = {label: child.copy() for label, child in self.variables.items()}
        for method, usage in self.usages.items():
            twin.usages[method] = Usage(usage.first, usage.last)
            twin.usages[method].merge(usage)
        twin.values = self.values.copy()
        twin.folded = self.folded
        return twin

    def size(self) -> int:
        """How many nodes there are, with this one."""
        return 1 + sum(child.size() for child in self.children())

    def requests(self) -> float:
        """How many requests went to this path and all below it."""
        own = sum(usage.tally.requests for usage in self.usages.values())
        return own + sum(child.requests() for child in self.children())
