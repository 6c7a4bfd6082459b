"""How HTTP is treated, in the intent of virtual hosts and rules. Durations are in milliseconds, shares in percent.

In a rule, None is what its virtual host says, and a part that is not enabled switches that off.
"""

from dataclasses import dataclass
from typing import Literal

from isthmus.compile.condition import ValueMatch


@dataclass(frozen=True, slots=True)
class HeaderEdit:
    """One change. `value` is a format string, empty for `remove`."""

    action: Literal["remove", "set", "append", "add"]
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class TextMatch:
    """One way to match a text."""

    kind: Literal["exact", "prefix", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class Cors:
    """Which origins' scripts may use the answers. `max_age`: in whole seconds; None: as browsers like."""

    enabled: bool
    origins: tuple[TextMatch, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class Csrf:
    """Refuse changes from other sites."""

    enabled: bool
    additional_origins: tuple[TextMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Faults on purpose. `delay` and `abort` 0: none."""

    delay: int
    delay_percent: float
    abort: int
    abort_percent: float
    headers: tuple[ValueMatch, ...] = ()
    max_active: int | None = None

    @property
    def enabled(self) -> bool:
        """Whether there is any."""
        return bool(self.delay or self.abort)


@dataclass(frozen=True, slots=True)
class Compression:
    """Compress responses. `content_types` empty: Envoy's own list. `min_size` in bytes."""

    enabled: bool
    algorithms: tuple[str, ...] = ()
    content_types: tuple[str, ...] = ()
    min_size: int = 0


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """A body in place of an error's. `statuses`: codes, and classes such as `5xx`."""

    statuses: tuple[str, ...]
    body: str
    content_type: str
    status: int | None
    applications: bool


@dataclass(frozen=True, slots=True)
class Options:
    """All of them."""

    request_headers: tuple[HeaderEdit, ...] = ()
    response_headers: tuple[HeaderEdit, ...] = ()
    cors: Cors | None = None
    csrf: Csrf | None = None
    fault: Fault | None = None
    compression: Compression | None = None
    max_request_bytes: int | None = None
    error_pages: tuple[ErrorPage, ...] = ()
    grpc_web: bool | None = None


NO_OPTIONS = Options()
