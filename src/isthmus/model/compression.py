"""Compression of responses."""

from typing import Annotated, Literal

from pydantic import Field

from isthmus.model.object import Frozen

Algorithm = Literal["gzip", "brotli", "zstd"]
ContentType = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*$", max_length=128)]


class Compression(Frozen):
    """Compress responses for clients that accept it. What is compressed already, or says `no-transform`, stays."""

    enabled: bool = Field(True, description="false on a route: not here, whatever the virtual host says.")
    algorithms: tuple[Algorithm, ...] = Field(
        ("brotli", "gzip"),
        min_length=1,
        description="Offered; of those that a client likes equally well, the first one is taken.",
    )
    content_types: tuple[ContentType, ...] = Field(
        (), max_length=64, description="Only these, without parameters. Text, JSON, XML, JavaScript and SVG when empty."
    )
    min_size: int = Field(1024, ge=30, le=1_073_741_824, description="Smallest Content-Length, in bytes.")
