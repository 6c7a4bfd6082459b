"""Streams: TCP connections that go to clusters as they come."""

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.filters.network.direct_response.v3.config_pb2 import Config as Refusal
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from isthmus.compile.intent import Stream
from isthmus.emit.envoy import name
from isthmus.emit.envoy.access_log import STREAM_FIELDS, emit_access_log
from isthmus.emit.envoy.setting import EnvoyPaths
from isthmus.emit.envoy.wire import duration, pack, serialize

STREAM_TYPES = tuple(f"type.googleapis.com/{message.DESCRIPTOR.full_name}" for message in (TcpProxy, Refusal))
"""The filters that a stream's configuration may be of."""


def emit_stream(stream_name: str, stream: Stream, paths: EnvoyPaths) -> bytes:
    """A stream's filter, as an extension configuration: a change of it touches new connections only."""
    config = _proxy(stream_name, stream, paths) if stream.shares else Refusal()
    return serialize(TypedExtensionConfig(name=stream_name, typed_config=pack(config)))


def _proxy(stream_name: str, stream: Stream, paths: EnvoyPaths) -> TcpProxy:
    proxy = TcpProxy(
        stat_prefix=name.statistics(stream_name),
        idle_timeout=duration(stream.idle_timeout),
        access_log=emit_access_log(paths.access_log, STREAM_FIELDS),
    )
    clusters = [(name.target_cluster(share.cluster, share.shape), share.weight) for share in stream.shares]
    if len(clusters) == 1:
        proxy.cluster = clusters[0][0]
    for cluster, weight in clusters if len(clusters) > 1 else ():
        proxy.weighted_clusters.clusters.add(name=cluster, weight=weight)
    return proxy
