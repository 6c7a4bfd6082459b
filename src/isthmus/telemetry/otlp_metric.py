"""Metric families as they stand in Prometheus' text format, to OTLP: the same names, labels and values."""

import math
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from isthmus.generated import otlp_pb2 as wire
from isthmus.telemetry.otlp import SCOPE, attribute, chunks_of

MOST_METRICS = 500
"""Metrics of one body."""
_CUMULATIVE = 2
"""Of AggregationTemporality: since the start."""
Labels = tuple[tuple[str, str], ...]


def emit_metrics(
    text: str, resource: wire.Resource, begun: float, now: float, namespaces: tuple[str, ...] | None = None
) -> Iterator[tuple[bytes, int]]:
    """Export requests, and how many points are in each.

    Args:
        text: Prometheus' format.
        begun: Unix time from which on counters count.
        namespaces: only what has one of these as its label `namespace`; None: everything.
    """
    times = (int(begun * 1e9), int(now * 1e9))
    found = (each for each in _metrics(text, times, namespaces) if _points(each))
    for part in chunks_of(found, MOST_METRICS):
        scopes = [wire.ScopeMetrics(scope=SCOPE, metrics=part)]
        request = wire.MetricsRequest(resource_metrics=[wire.ResourceMetrics(resource=resource, scope_metrics=scopes)])
        yield request.SerializeToString(), sum(map(_points, part))


def _points(metric: wire.Metric) -> int:
    return len(metric.sum.data_points) + len(metric.gauge.data_points) + len(metric.histogram.data_points)


def _metrics(text: str, times: tuple[int, int], namespaces: tuple[str, ...] | None) -> Iterator[wire.Metric]:
    for family in text_string_to_metric_families(text):
        samples = [
            each
            for each in family.samples
            if namespaces is None or each.labels.get("namespace") in namespaces
            if not math.isnan(each.value)
        ]
        metric = wire.Metric(name=family.name, description=family.documentation)
        match family.type:
            case "counter":
                metric.name = f"{family.name}_total"
                points = [_number(each, times) for each in samples if each.name.endswith("_total")]
                metric.sum.CopyFrom(
                    wire.Sum(data_points=points, aggregation_temporality=_CUMULATIVE, is_monotonic=True)
                )
            case "histogram":
                counted = list(_histograms(family.name, samples, times))
                metric.histogram.CopyFrom(wire.Histogram(data_points=counted, aggregation_temporality=_CUMULATIVE))
            case "summary":
                continue
            case _:
                metric.gauge.CopyFrom(wire.Gauge(data_points=[_number(each, (0, times[1])) for each in samples]))
        yield metric


def _number(sample: Sample, times: tuple[int, int]) -> wire.NumberPoint:
    return wire.NumberPoint(
        attributes=[attribute(name, value) for name, value in sorted(sample.labels.items())],
        start_time_unix_nano=times[0],
        time_unix_nano=times[1],
        as_double=sample.value,
    )


def _histograms(name: str, samples: Iterable[Sample], times: tuple[int, int]) -> Iterator[wire.HistogramPoint]:
    """Prometheus counts up to each bound, OTLP between the bounds."""
    buckets: dict[Labels, list[tuple[float, float]]] = {}
    others: dict[str, dict[Labels, float]] = {"_sum": {}, "_count": {}}
    for each in samples:
        labels = tuple(sorted((key, value) for key, value in each.labels.items() if key != "le"))
        kind = each.name.removeprefix(name)
        if kind == "_bucket":
            buckets.setdefault(labels, []).append((float(each.labels["le"]), each.value))
        elif kind in others:
            others[kind][labels] = each.value
    for labels, pairs in buckets.items():
        pairs.sort()
        yield _histogram(labels, pairs, others, times)


def _histogram(
    labels: Labels,
    pairs: list[tuple[float, float]],
    others: Mapping[str, Mapping[Labels, float]],
    times: tuple[int, int],
) -> wire.HistogramPoint:
    counts = [count for _, count in pairs]
    between = [int(count - before) for count, before in zip(counts, [0.0, *counts], strict=False)]
    return wire.HistogramPoint(
        attributes=[attribute(name, value) for name, value in labels],
        start_time_unix_nano=times[0],
        time_unix_nano=times[1],
        count=sum(between),
        sum=others["_sum"].get(labels, 0.0),
        bucket_counts=between,
        explicit_bounds=[bound for bound, _ in pairs if bound != math.inf],
    )
