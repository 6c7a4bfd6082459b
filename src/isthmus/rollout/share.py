"""The share of a canary among a route's clusters, in the route's document."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_WHOLE = 10_000
"""Sum of the weights that are written: hundredths of a percent."""


class ShareError(ValueError):
    """The text or the route does not allow it; the message says why, for people."""


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster of the route's namespace (or `shared/NAME`), or one of its subsets."""

    cluster: str
    subset: str | None = None
    namespace: str | None = None

    def __str__(self) -> str:
        name = f"{self.namespace}/{self.cluster}" if self.namespace else self.cluster
        return f"{name}:{self.subset}" if self.subset else name

    def matches(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry of `spec.forward.clusters` is this share."""
        reference = entry.get("cluster") or {}
        named = (reference.get("name"), entry.get("subset"), reference.get("namespace"))
        return named == (self.cluster, self.subset, self.namespace)

    def entry(self, weight: int) -> dict[str, Any]:
        """A new entry of `spec.forward.clusters`."""
        reference = {"name": self.cluster} | ({"namespace": self.namespace} if self.namespace else {})
        return {"cluster": reference, "weight": weight} | ({"subset": self.subset} if self.subset else {})


def parse_share(text: str) -> Share:
    """`CLUSTER`, `CLUSTER:SUBSET` or `NAMESPACE/CLUSTER:SUBSET`. Raises ShareError."""
    name, _, subset = text.partition(":")
    namespace, _, cluster = name.rpartition("/")
    if not cluster or text.endswith(":"):
        raise ShareError(f"{text!r} is not a cluster: write CLUSTER or CLUSTER:SUBSET")
    return Share(cluster, subset or None, namespace or None)


def find_share(route: Mapping[str, Any], share: Share) -> float:
    """The percentage of a route's requests that a share gets. Raises ShareError when the route does not forward."""
    entries = _entries(route)
    total = sum(_weight(entry) for entry in entries)
    return 100 * sum(_weight(entry) for entry in entries if share.matches(entry)) / total if total else 0.0


def list_shares(route: Mapping[str, Any]) -> list[Share]:
    """The shares of a route, in order. Raises ShareError when the route does not forward."""
    found = []
    for entry in _entries(route):
        reference = entry.get("cluster") or {}
        found.append(Share(str(reference.get("name")), entry.get("subset"), reference.get("namespace")))
    return found


def set_share(route: Mapping[str, Any], share: Share, percent: float) -> dict[str, Any]:
    """The route with that percentage for the share; the others keep their proportions among themselves.

    Others that had nothing share what is left in equal parts. Raises ShareError when there is no other: a canary needs
    something to be compared with.
    """
    edited = copy.deepcopy(dict(route))
    entries = _entries(edited)
    others = [entry for entry in entries if not share.matches(entry)]
    if not others:
        raise ShareError(f"{share} is the route's only cluster; a canary stands beside a stable version")
    mine = round(_WHOLE * percent / 100)
    before = [_weight(entry) for entry in others]
    if not sum(before):
        before = [1] * len(others)
    left = _WHOLE - mine
    for position, entry in enumerate(others):
        done, total = sum(before[:position]), sum(before)
        # differences of rounded sums: so the parts add up, whatever is rounded
        entry["weight"] = round(left * (done + before[position]) / total) - round(left * done / total)
    edited["spec"]["forward"]["clusters"] = [*others, share.entry(mine)]
    return edited


def _entries(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    forward = (route.get("spec") or {}).get("forward")
    if not forward:
        raise ShareError("the route does not forward to clusters")
    entries: list[dict[str, Any]] = forward["clusters"]
    return entries


def _weight(entry: Mapping[str, Any]) -> int:
    return int(entry.get("weight", 1))
