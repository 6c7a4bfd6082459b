"""Where Envoy gets what a resource refers to: from the same stream."""

from envoy.config.core.v3.config_source_pb2 import V3, AggregatedConfigSource, ConfigSource

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=V3)
"""Another resource of this stream."""
SECRETS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=V3, initial_fetch_timeout={"seconds": 3})
"""A secret of this stream that may be missing: an unreadable file, a key not sealed to this site yet. What waits for
it, a listener with all of its other chains or a cluster, waits no longer than this; Envoy itself would take 15 s."""
