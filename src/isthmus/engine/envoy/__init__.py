"""Envoy as an engine: its process, its discovery stream, its admin interface and its health events.

Public names: `EnvoyProcess` (supervision and adoption), `AdsServer` (delta ADS), `Admin`, `HealthLog`,
`LogServer` (the access log).
"""

from isthmus.engine.envoy.admin import Admin, HostHealth
from isthmus.engine.envoy.ads import AdsServer, Push
from isthmus.engine.envoy.event import HealthEvent, HealthLog
from isthmus.engine.envoy.log import LogServer
from isthmus.engine.envoy.process import EnvoyProcess, EnvoySettings
from isthmus.engine.envoy.resource import (
    CLUSTER,
    ENDPOINT,
    EXTENSION,
    LISTENER,
    ROUTE,
    SECRET,
    Nack,
    Resources,
)

__all__ = [
    "CLUSTER",
    "ENDPOINT",
    "EXTENSION",
    "LISTENER",
    "ROUTE",
    "SECRET",
    "Admin",
    "AdsServer",
    "EnvoyProcess",
    "EnvoySettings",
    "HealthEvent",
    "HealthLog",
    "HostHealth",
    "LogServer",
    "Nack",
    "Push",
    "Resources",
]
