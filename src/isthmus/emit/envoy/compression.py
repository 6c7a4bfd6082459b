"""Compression of responses.

Envoy's compressor takes content types and sizes from the listener alone, which must not change. So the listener has a
place for a filter (`composite`) for each algorithm, and the route says which compressor stands in it.
"""

from typing import Any

from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import (
    ExtensionWithMatcher,
    ExtensionWithMatcherPerRoute,
)
from envoy.extensions.compression.brotli.compressor.v3.brotli_pb2 import Brotli
from envoy.extensions.compression.gzip.compressor.v3.gzip_pb2 import Gzip
from envoy.extensions.compression.zstd.compressor.v3.zstd_pb2 import Zstd
from envoy.extensions.filters.http.composite.v3.composite_pb2 import Composite, ExecuteFilterAction
from envoy.extensions.filters.http.compressor.v3.compressor_pb2 import Compressor
from xds.core.v3.extension_pb2 import TypedExtensionConfig as XdsExtension
from xds.type.matcher.v3.matcher_pb2 import Matcher

from isthmus.compile.option import Compression
from isthmus.emit.envoy.wire import pack

_LIBRARIES: dict[str, Any] = {
    # Gzip at its own default level costs three times as much for 5 % less.
    "gzip": Gzip(compression_level=Gzip.COMPRESSION_LEVEL_3),
    "brotli": Brotli(quality={"value": 4}),
    "zstd": Zstd(compression_level={"value": 3}),
}
PLACE = ExtensionWithMatcher(extension_config=TypedExtensionConfig(name="composite", typed_config=pack(Composite())))
"""The listener's place for a compressor."""


def emit_compressor(compression: Compression, algorithm: str) -> ExtensionWithMatcherPerRoute:
    """The compressor that a route puts into the place for an algorithm."""
    common = Compressor.CommonDirectionConfig(
        min_content_length={"value": compression.min_size}, content_type=compression.content_types
    )
    compressor = Compressor(
        response_direction_config=Compressor.ResponseDirectionConfig(common_config=common),
        compressor_library=TypedExtensionConfig(name=algorithm, typed_config=pack(_LIBRARIES[algorithm])),
        choose_first=algorithm == compression.algorithms[0],
    )
    action = ExecuteFilterAction(typed_config=TypedExtensionConfig(name="compressor", typed_config=pack(compressor)))
    always = Matcher.OnMatch(action=XdsExtension(name="compress", typed_config=pack(action)))
    return ExtensionWithMatcherPerRoute(xds_matcher=Matcher(on_no_match=always))
