"""The region's numbers, read at the moment that somebody asks."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Reading:
    """What the gauges show. Times in seconds since 1970."""

    console_connected: bool
    streams: int
    manifests: int
    routes: int
    site_sessions: int
    region_sessions: int
    gobgp_up: bool
    gobgp_restarts: int
    certificate_expires: float
    telemetry_waiting_bytes: int = 0
    telemetry_lost: int = 0


class Metrics:
    """One registry per region, so that several can live in one process."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.adopted = Counter(
            "isthmus_region_manifests_adopted", "Manifests taken over from the console.", registry=registry
        )
        self.refused = Counter(
            "isthmus_region_refusals", "Messages from above that were refused.", ["code"], registry=registry
        )
        names = {
            "console_connected": "1 while the stream to the console works.",
            "streams": "Open streams of sites.",
            "manifests": "Complete manifests held, the region's own included.",
            "routes": "Endpoint routes in the reflector.",
            "site_sessions": "Established BGP sessions of sites.",
            "region_sessions": "Established BGP sessions of other regions.",
            "gobgp_up": "1 while gobgpd runs.",
            "gobgp_restarts": "How often gobgpd was restarted since the region started.",
            "telemetry_waiting_bytes": "Batches of telemetry that wait for the console.",
            "telemetry_lost": "Requests that nothing is told of, since the buffer was full.",
            "certificate_expires": "When the own certificate expires, seconds since 1970.",
        }
        self._gauges = {name: Gauge(f"isthmus_region_{name}", text, registry=registry) for name, text in names.items()}

    def register(self, collector: Collector) -> None:
        """Show what this collects, too."""
        self._registry.register(collector)

    def emit(self, reading: Reading) -> bytes:
        """Prometheus' text format."""
        for name, gauge in self._gauges.items():
            gauge.set(float(getattr(reading, name)))
        return generate_latest(self._registry)
