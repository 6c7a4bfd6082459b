"""What virtual hosts and routes have in common: how HTTP is treated. A route's option stands in for its virtual host's;
headers and error pages of both apply."""

from typing import Annotated, Protocol

from pydantic import Field

from isthmus.model.compression import Compression
from isthmus.model.cors import Cors, Csrf
from isthmus.model.error_page import ErrorPage
from isthmus.model.fault import Fault
from isthmus.model.header_edit import RequestHeaderEdits, ResponseHeaderEdits

RequestHeadersOption = Annotated[RequestHeaderEdits, Field(description="Changes to the headers of requests.")]
ResponseHeadersOption = Annotated[ResponseHeaderEdits, Field(description="Changes to the headers of responses.")]
CorsOption = Annotated[Cors | None, Field(description="Which scripts of other origins may use the answers.")]
CsrfOption = Annotated[Csrf | None, Field(description="Refuse changes that come from other sites.")]
FaultOption = Annotated[Fault | None, Field(description="Faults on purpose.")]
CompressionOption = Annotated[Compression | None, Field(description="Compress responses.")]
MaxRequestBytesOption = Annotated[
    int | None,
    Field(
        ge=0,
        le=268_435_456,
        description="Larger bodies of requests get 413; requests wait here until they are complete. 0: no limit.",
    ),
]
ErrorPagesOption = Annotated[tuple[ErrorPage, ...], Field(max_length=32, description="Bodies in place of errors.")]
GrpcWebOption = Annotated[bool | None, Field(description="Translate gRPC-web of browsers to gRPC for applications.")]

HTTP_OPTIONS = (
    "request_headers",
    "response_headers",
    "cors",
    "csrf",
    "fault",
    "compression",
    "max_request_bytes",
    "error_pages",
    "grpc_web",
)
"""Fields that mean something for HTTP alone."""


class HttpOptions(Protocol):
    """What a virtual host's and a route's spec both have."""

    @property
    def request_headers(self) -> RequestHeaderEdits: ...
    @property
    def response_headers(self) -> ResponseHeaderEdits: ...
    @property
    def cors(self) -> Cors | None: ...
    @property
    def csrf(self) -> Csrf | None: ...
    @property
    def fault(self) -> Fault | None: ...
    @property
    def compression(self) -> Compression | None: ...
    @property
    def max_request_bytes(self) -> int | None: ...
    @property
    def error_pages(self) -> tuple[ErrorPage, ...]: ...
    @property
    def grpc_web(self) -> bool | None: ...
