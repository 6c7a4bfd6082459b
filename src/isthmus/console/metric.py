"""The console's metrics, in Prometheus' text format. Read from the process when asked for; nothing is kept twice."""

from collections import Counter as Counts
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from isthmus.console.alerting import Alerting
from isthmus.console.deployment import Deployment
from isthmus.console.event_log import EventLog
from isthmus.console.membership import Membership
from isthmus.console.observation import Observation
from isthmus.console.telemetry import ConsoleTelemetry


class ConsoleMetrics(Collector):
    """Collects the state of one console."""

    def __init__(
        self, deployment: Deployment, observation: Observation, membership: Membership, streams: Callable[[], int]
    ) -> None:
        self._deployment = deployment
        self._observation = observation
        self._membership = membership
        self._streams = streams
        self.telemetry: ConsoleTelemetry | None = None
        self.alerting: Alerting | None = None
        self.events: EventLog | None = None
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "isthmus_api_requests", "Requests to the API.", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "isthmus_api_request_seconds", "Time to answer a request.", ("method", "route"), registry=self.registry
        )
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def text(self) -> bytes:
        """Everything, as text."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client."""
        deployment = self._deployment
        objects = GaugeMetricFamily("isthmus_objects", "Objects by kind.", labels=("kind",))
        counts: dict[str, int] = {}
        for key in deployment.records:
            counts[key.kind] = counts.get(key.kind, 0) + 1
        for kind, count in sorted(counts.items()):
            objects.add_metric((kind,), count)
        yield objects
        yield GaugeMetricFamily("isthmus_revision", "Newest revision.", deployment.revision)
        yield GaugeMetricFamily("isthmus_epoch", "Grows with every restore.", deployment.epoch)
        yield GaugeMetricFamily("isthmus_object_errors", "Standing errors between objects.", self._errors())
        yield GaugeMetricFamily("isthmus_streams", "Connected regions.", self._streams())
        connected = GaugeMetricFamily("isthmus_connected", "Connected regions and sites.", labels=("role",))
        behind = GaugeMetricFamily(
            "isthmus_behind", "Regions and sites without their newest manifest.", labels=("role",)
        )
        for role in ("region", "site"):
            subjects = [name for name in deployment.publication.versions() if name.split("/")[1] == role]
            known = [self._observation.of(name) for name in subjects]
            connected.add_metric((role,), sum(each.connected for each in known))
            behind.add_metric((role,), sum(each.behind_since is not None for each in known))
        yield connected
        yield behind
        joins = CounterMetricFamily("isthmus_joins", "Joins by outcome.", labels=("outcome",))
        for outcome, count in self._membership.joins.items():
            joins.add_metric((outcome,), count)
        yield joins
        telemetry = self.telemetry
        if telemetry is not None:
            yield GaugeMetricFamily("isthmus_telemetry_ready", "Whether the telemetry store works.", telemetry.ready)
            yield CounterMetricFamily("isthmus_telemetry_batches", "Batches of telemetry taken.", telemetry.batches)
            yield CounterMetricFamily("isthmus_telemetry_requests", "Requests that these told of.", telemetry.requests)

        if self.events is not None:
            yield CounterMetricFamily(
                "isthmus_events_dropped",
                "Events that were forgotten before their time: too many of a site or namespace.",
                self.events.dropped,
            )
        if self.alerting is not None:
            yield from _alerts(self.alerting)

    def _errors(self) -> int:
        return len(self._deployment.validation.all())


def _alerts(alerting: Alerting) -> Iterable[Metric]:
    firing = GaugeMetricFamily("isthmus_alerts_firing", "Alerts that fire.", labels=("rule", "severity"))
    counts = Counts((each.condition.rule, each.condition.severity) for each in alerting.alerts.list() if each.fires)
    for labels, count in sorted(counts.items()):
        firing.add_metric(labels, count)
    yield firing
    yield GaugeMetricFamily(
        "isthmus_alerts_left_out",
        "Alerts that are not kept, since there are too many of a site or namespace, or in all.",
        sum(alerting.alerts.left_out.values()),
    )
    sent = CounterMetricFamily(
        "isthmus_alert_deliveries",
        "Messages to receivers of alerts, by what became of them.",
        labels=("type", "outcome"),
    )
    for labels, count in sorted(alerting.notifier.counts.items()):
        sent.add_metric(labels, count)
    yield sent
    yield GaugeMetricFamily(
        "isthmus_alert_deliveries_waiting", "Messages that are still to be sent.", alerting.notifier.waiting()
    )
