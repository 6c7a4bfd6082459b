"""Where this machine's Envoy writes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EnvoyPaths:
    """Files of one site. An empty path switches the log off.

    Attributes:
        access_log: one JSON document per request, of ingress and of the fabric.
        log_service: requests are told to the agent, through the bootstrap's cluster for that.
        health_events: one JSON document per change of an endpoint's health (`envoy.data.core.v3.HealthCheckEvent`).
    """

    access_log: str = ""
    health_events: str = ""
    log_service: bool = False
