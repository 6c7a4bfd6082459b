"""Where Envoy gets what a resource refers to: from the same stream."""

from envoy.config.core.v3.config_source_pb2 import V3, AggregatedConfigSource, ConfigSource

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version=V3)
"""Another resource of this stream."""
