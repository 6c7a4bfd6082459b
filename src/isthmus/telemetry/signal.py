"""Golden signals from the store's rows: rates, failures by class, latencies and their parts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from isthmus.telemetry.bucket import middle_of, quantile_of
from isthmus.telemetry.flag import CLIENT_ERRORS

Group = tuple[str, ...]
Row = Mapping[str, Any]
_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
PLACES = ("total", "ingress", "fabric", "egress", "application")


@dataclass(slots=True)
class Counts:
    """What happened to a group's requests. Bytes are of bodies."""

    requests: int = 0
    retries: int = 0
    received: int = 0
    sent: int = 0
    total_sum: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    @property
    def failed(self) -> int:
        """Failures of the service, by its own fault."""
        return sum(number for name, number in self.errors.items() if name not in CLIENT_ERRORS)

    @property
    def refused(self) -> int:
        """Failures that the client brought about."""
        return sum(number for name, number in self.errors.items() if name in CLIENT_ERRORS)


Latencies = dict[str, float]
"""p50, p90, p99 and mean, in milliseconds."""


def add_counts(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[int, Group], Counts]:
    """By time (0 without a series) and group."""
    found: dict[tuple[int, Group], Counts] = defaultdict(Counts)
    for row in rows:
        counts = found[_key(row, by)]
        requests = int(row["requests"])
        counts.requests += requests
        counts.retries += int(row["retries"])
        counts.received += int(row["received"])
        counts.sent += int(row["sent"])
        counts.total_sum += int(row["total_sum"])
        if row["error"]:
            counts.errors[row["error"]] = counts.errors.get(row["error"], 0) + requests
        code = int(row["code"])
        family = f"{code // 100}xx" if code else "none"
        counts.codes[family] = counts.codes.get(family, 0) + requests
    return dict(found)


def split_latencies(
    latencies: Iterable[Row], remote: Iterable[Row], egress: Iterable[Row], by: Sequence[str]
) -> dict[tuple[int, Group], dict[str, Latencies]]:
    """Latencies of each group and place.

    1. Total and ingress are measured where the requests came in.
    2. For endpoints at that site, what is beyond the ingress is the application.
    3. For requests through the fabric, egress and application are what the egress sites measured for the same cluster
       and the same pair of sites, weighted by how many of the group's requests took that way.
    4. The fabric is the rest: the time beyond the ingress, less all of the egress site's. As no single request is
       measured at both ends here, its quantiles are differences of quantiles; its mean is exact.
    """
    measured = _distributions(latencies, by)
    weights: dict[tuple[int, Group], dict[tuple[str, str, str], float]] = defaultdict(dict)
    for row in remote:
        way = (row["to_cluster"], row["from_site"], row["to_site"])
        weights[_key(row, by)][way] = weights[_key(row, by)].get(way, 0) + float(row["requests"])
    ways: dict[tuple[int, tuple[str, str, str]], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in egress:
        part = ways[int(row.get("t", 0)), (row["to_cluster"], row["from_site"], row["to_site"])][row["part"]]
        part[int(row["bucket"])] = part.get(int(row["bucket"]), 0) + float(row["requests"])
    found = {}
    for key, parts in measured.items():
        beyond, application = parts["upstream-remote"], dict(parts["upstream-local"])
        own: dict[int, float] = {}
        whole: dict[int, float] = {}
        for way, requests in weights.get(key, {}).items():
            there = ways.get((key[0], way))
            if not there:
                continue
            scale = requests / max(1.0, sum(there["total"].values()))
            _mix(application, there["upstream"], scale)
            _mix(own, there["own"], scale)
            _mix(whole, there["total"], scale)
        places = {"total": _summary(parts["total"]), "ingress": _summary(parts["own"])}
        if beyond and whole:
            far, near = _summary(beyond), _summary(whole)
            places["fabric"] = {name: round(max(0.0, far[name] - near[name]), 3) for name in far}
            places["egress"] = _summary(own)
        if application:
            places["application"] = _summary(application)
        found[key] = {place: values for place, values in places.items() if values}
    return found


def _distributions(rows: Iterable[Row], by: Sequence[str]) -> dict[tuple[int, Group], dict[str, dict[int, float]]]:
    found: dict[tuple[int, Group], dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        part = row["part"]
        if part == "upstream":
            part = "upstream-local" if row["local"] else "upstream-remote"
        buckets = found[_key(row, by)][part]
        buckets[int(row["bucket"])] = buckets.get(int(row["bucket"]), 0) + float(row["requests"])
    return found


def _key(row: Row, by: Sequence[str]) -> tuple[int, Group]:
    return int(row.get("t", 0)), tuple(str(row[name]) for name in by if name in row)


def _mix(target: dict[int, float], source: Mapping[int, float], scale: float) -> None:
    for bucket, number in source.items():
        target[bucket] = target.get(bucket, 0) + number * scale


def _summary(buckets: Mapping[int, float]) -> Latencies:
    """Milliseconds. Empty without records."""
    total = sum(buckets.values())
    if total <= 0:
        return {}
    values = {name: (quantile_of(buckets.items(), share) or 0.0) / 1000 for name, share in _QUANTILES}
    values["mean"] = sum(middle_of(bucket) * number for bucket, number in buckets.items()) / total / 1000
    return {name: round(value, 3) for name, value in values.items()}
