"""All applications whose paths are learned, in bounded memory."""

from collections.abc import Iterable, Mapping

from isthmus.interface.tree import MOST_NODES, Tree
from isthmus.interface.usage import Call

MOST_IN_ALL = 60_000
"""Places of all trees together."""
MOST_HOSTS = 5_000
Host = tuple[str, str]
"""Tenant, and virtual host as `NAMESPACE/NAME`."""


class Catalog:
    """Not for use by two threads at once.

    Attributes:
        trees: by tenant and virtual host.
        changed: which have learned since somebody emptied this.
        refused: requests of virtual hosts beyond the most that are learned.
    """

    def __init__(self) -> None:
        self.trees: dict[Host, Tree] = {}
        self.changed: set[Host] = set()
        self.refused = 0.0

    def learn(self, tenant: str, calls: Mapping[str, Iterable[Call]]) -> None:
        """Take in what clients asked for, by virtual host."""
        for name, some in calls.items():
            host = (tenant, name)
            tree = self.trees.get(host)
            if tree is None:
                if len(self.trees) >= MOST_HOSTS:
                    self.refused += sum(call.weight for call in some)
                    continue
                tree = self.trees[host] = Tree()
            for call in some:
                tree.learn(call)
            self.changed.add(host)
        self._bound()

    def merge(self, other: "Catalog") -> None:
        """Add all that is known of another, which stays as it is."""
        for host, tree in other.trees.items():
            self.trees.setdefault(host, Tree()).merge(tree)
            self.changed.add(host)
        self._bound()

    def expire(self, before: float) -> None:
        """Forget endpoints that nobody has asked for since."""
        for host, tree in list(self.trees.items()):
            nodes = tree.nodes
            tree.expire(before)
            if tree.nodes == 1 and not tree.root.usages:
                del self.trees[host]
                self.changed.discard(host)
            elif tree.nodes != nodes:
                self.changed.add(host)

    def _bound(self) -> None:
        whole = sum(tree.nodes for tree in self.trees.values())
        while whole > MOST_IN_ALL:
            largest = max(self.trees.values(), key=lambda tree: tree.nodes)
            before = largest.nodes
            largest.shrink(min(MOST_NODES, before // 2))
            if largest.nodes >= before:
                return
            whole -= before - largest.nodes
