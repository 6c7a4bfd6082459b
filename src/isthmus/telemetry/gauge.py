"""Gauges: what a site is like at a moment, beside what its requests did."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from isthmus.telemetry.batch import SCHEMAS

GAUGES: Mapping[str, str] = {
    "connections_downstream": "Open connections of clients (UDP: sessions), by virtual host, or by the socket that "
    "several share.",
    "connections_upstream": "Open connections to endpoints and other sites, by cluster.",
    "endpoints": "Endpoints of the site, by `healthy` and `unhealthy`.",
    "remote_endpoints": "Endpoints of other sites, by `fresh` and `stale`.",
    "health_transitions": "How often an endpoint became healthy or unhealthy since the sample before, by endpoint.",
    "health_lag_seconds": "From a change of an endpoint's health to when this site heard of it, by the site of the "
    "endpoint. As good as the clocks of the two agree.",
    "configuration_lag_seconds": "How long the newest manifest that arrived has not been in use; 0 when it is.",
    "process_up": "1 while a process runs, else 0: `agent`, `envoy`, `gobgp`.",
    "process_restarts": "Restarts of a process since the agent's.",
    "bgp_session_up": "1 while the BGP session to a region is live, else 0.",
    "stream_up": "1 while the stream to a region works, else 0.",
    "certificate_seconds": "Seconds until the site's certificate is no longer valid.",
}
"""What each is, by name."""
MOST = 5_000
"""Values of one sample; beyond it the last are left out."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One value: `name` of GAUGES, and what it is told apart by."""

    name: str
    label: str
    value: float


def frame_of(samples: Iterable[tuple[float, Iterable[Gauge]]]) -> pl.DataFrame:
    """Samples (seconds since 1970, values) as a batch's table."""
    rows = [(round(at * 1e6), each.name, each.label, each.value) for at, sample in samples for each in sample]
    schema = {"time": pl.Int64, "name": pl.String, "label": pl.String, "value": pl.Float64}
    frame = pl.DataFrame(rows, schema, orient="row")
    return frame.select(pl.col(name).cast(kind) for name, kind in SCHEMAS["gauge"].items())
