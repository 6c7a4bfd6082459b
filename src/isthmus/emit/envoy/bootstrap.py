"""Envoy's bootstrap: where its configuration comes from, its limits and its admin interface.

Everything else reaches Envoy over ADS. The bootstrap therefore hardly ever changes; a changed one needs a new Envoy
process.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

_TYPE = "type.googleapis.com/envoy.extensions"
LOG_CLUSTER = "isthmus_log"
"""The agent's access log service."""


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What the bootstrap depends on. Paths are absolute Unix socket paths of less than 108 bytes."""

    tenant: str
    site: str
    node: str
    ads_socket: str
    admin_socket: str
    log_socket: str = ""
    """Where the agent takes access logs; empty: it does not."""
    max_connections: int = 50_000
    """Downstream connections in all, after which new ones are refused."""
    max_heap_bytes: int = 0
    """Heap above which Envoy sheds load: keep-alive ends at 92 %, new requests are refused at 98 %. 0: no limit."""


def emit_bootstrap(bootstrap: Bootstrap) -> bytes:
    """Canonical JSON of `envoy.config.bootstrap.v3.Bootstrap`."""
    document = {
        "node": {
            "id": f"{bootstrap.tenant}/{bootstrap.site}/{bootstrap.node}",
            "cluster": f"{bootstrap.tenant}/{bootstrap.site}",
            "locality": {"zone": bootstrap.site},
        },
        "admin": {
            "address": {"pipe": {"path": bootstrap.admin_socket, "mode": 0o600}},
            "ignore_global_conn_limit": True,
        },
        "dynamic_resources": _dynamic_resources(),
        "static_resources": {
            "clusters": [
                _agent_cluster(cluster, socket)
                for cluster, socket in (("isthmus_ads", bootstrap.ads_socket), (LOG_CLUSTER, bootstrap.log_socket))
                if socket
            ]
        },
        "bootstrap_extensions": [
            {
                "name": "envoy.bootstrap.internal_listener",
                "typed_config": {"@type": f"{_TYPE}.bootstrap.internal_listener.v3.InternalListener"},
            }
        ],
        "layered_runtime": {"layers": [{"name": "static", "static_layer": _runtime()}]},
        "overload_manager": _overload(bootstrap),
        "stats_config": {"stats_matcher": _stats_matcher()},
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }
    return json.dumps(document, sort_keys=True, indent=1).encode() + b"\n"


def _dynamic_resources() -> dict[str, Any]:
    source = {"ads": {}, "resource_api_version": "V3"}
    return {
        "cds_config": source,
        "lds_config": source,
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "set_node_on_first_message_only": True,
            "grpc_services": [
                {
                    "envoy_grpc": {
                        "cluster_name": "isthmus_ads",
                        # The default is 0.5 s growing to 30 s: too long for a local agent that restarts.
                        "retry_policy": {"retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"}},
                    }
                }
            ],
        },
    }


def _agent_cluster(name: str, path: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": f"{_TYPE}.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": path}}}}]}],
        },
    }


def _runtime() -> dict[str, Any]:
    return {
        # Large regular expressions are refused at apply by their length; RE2 is linear in any case.
        "re2.max_program_size.error_level": 10_000,
        # Upstream HTTP filters set the fabric header; tunnels need them too.
        "envoy.restart_features.upstream_http_filters_with_tcp_proxy": True,
    }


def _overload(bootstrap: Bootstrap) -> dict[str, Any]:
    monitors: list[dict[str, Any]] = [
        {
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": f"{_TYPE}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": bootstrap.max_connections,
            },
        }
    ]
    actions: list[dict[str, Any]] = []
    if bootstrap.max_heap_bytes:
        monitors.append(
            {
                "name": "envoy.resource_monitors.fixed_heap",
                "typed_config": {
                    "@type": f"{_TYPE}.resource_monitors.fixed_heap.v3.FixedHeapConfig",
                    "max_heap_size_bytes": bootstrap.max_heap_bytes,
                },
            }
        )
        for action, threshold in (
            ("shrink_heap", 0.9),
            ("disable_http_keepalive", 0.92),
            ("stop_accepting_requests", 0.98),
        ):
            actions.append(
                {
                    "name": f"envoy.overload_actions.{action}",
                    "triggers": [{"name": "envoy.resource_monitors.fixed_heap", "threshold": {"value": threshold}}],
                }
            )
    return {"refresh_interval": "0.25s", "resource_monitors": monitors, "actions": actions}


def _stats_matcher() -> dict[str, Any]:
    """Leave out what is per worker, per zone, or about Envoy's own files and threads: most of the volume, no use."""
    patterns: list[dict[str, Any]] = [
        {"prefix": "dns."},
        {"prefix": "filesystem."},
        {"prefix": "runtime."},
        {"prefix": "thread_local_cluster_manager."},
        {"prefix": "workers."},
        {"safe_regex": {"regex": r"listener\..*\.worker_\d+\..*"}},
        {"safe_regex": {"regex": r"cluster\..*\.zone\..*"}},
    ]
    return {"exclusion_list": {"patterns": patterns}}
