"""Totals since the agent began, for Prometheus: requests, failures, bytes and latencies by virtual host and route."""

from collections.abc import Iterable

import polars as pl
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from isthmus.telemetry.bucket import middle_of

LABELS = ("namespace", "virtual_host", "route", "cluster", "peer")
MOST_SERIES = 5_000
"""Combinations of labels that are told apart; what comes later is not, under empty labels."""
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""


class Totals:
    """`add` is called from one thread at a time, `collect` from any."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, ...], int] = {}
        self._bytes: dict[tuple[str, ...], tuple[int, int, int, int]] = {}
        self._buckets: dict[tuple[str, ...], list[int]] = {}

    def add(self, signals: pl.DataFrame, latencies: pl.DataFrame) -> None:
        """Count a batch. Only requests of clients: what egress sites measure are the same requests again."""
        ingress = signals.filter(pl.col("log") == "ingress")
        for *labels, code, error, requests in (
            ingress.group_by(*LABELS, "code", "error").agg(pl.col("requests").sum()).iter_rows()
        ):
            key = (*self._series(tuple(labels)), f"{code // 100}xx" if code else "none", error)
            self._requests[key] = self._requests.get(key, 0) + requests
        sums = [pl.col(name).sum() for name in ("retries", "received", "sent", "total_sum")]
        for row in ingress.group_by(*LABELS).agg(sums).iter_rows():
            series = self._series(row[: len(LABELS)])
            before = self._bytes.get(series, (0, 0, 0, 0))
            retries, received, sent, total = (a + b for a, b in zip(before, row[len(LABELS) :], strict=True))
            self._bytes[series] = (retries, received, sent, total)
        of_total = latencies.filter((pl.col("log") == "ingress") & (pl.col("part") == "total"))
        for *labels, bucket, requests in of_total.group_by(*LABELS, "bucket").agg(pl.col("requests").sum()).iter_rows():
            counts = self._buckets.setdefault(self._series(tuple(labels)), [0] * (len(BOUNDS) + 1))
            seconds = middle_of(bucket) / 1e6
            counts[next((index for index, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))] += requests

    def collect(self) -> Iterable[Metric]:
        """Metric families."""
        requests = CounterMetricFamily(
            "isthmus_requests", "Requests of clients.", labels=(*LABELS, "code_class", "error")
        )
        for key, number in list(self._requests.items()):
            requests.add_metric(key, number)
        yield requests
        names = (("retries", "Tries beyond the first."), ("request_bytes", "Bytes of request bodies."))
        for index, (name, text) in enumerate((*names, ("response_bytes", "Bytes of response bodies."))):
            family = CounterMetricFamily(f"isthmus_{name}", text, labels=LABELS)
            for series, sums in list(self._bytes.items()):
                family.add_metric(series, sums[index])
            yield family
        histogram = HistogramMetricFamily(
            "isthmus_request_duration_seconds", "Time from first byte in to last byte out.", labels=LABELS
        )
        for series, counts in list(self._buckets.items()):
            cumulated, pairs = 0, []
            for bound, count in zip((*map(str, BOUNDS), "+Inf"), list(counts), strict=True):
                cumulated += count
                pairs.append((bound, cumulated))
            histogram.add_metric(series, pairs, self._bytes.get(series, (0, 0, 0, 0))[3] / 1e6)
        yield histogram

    def _series(self, labels: tuple[str, ...]) -> tuple[str, ...]:
        if labels in self._bytes or len(self._bytes) < MOST_SERIES:
            return labels
        return ("",) * len(LABELS)
