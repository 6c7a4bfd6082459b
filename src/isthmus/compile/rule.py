"""What a route becomes in the intent: conditions, and what then happens. Durations are in milliseconds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from isthmus.compile.condition import Match
from isthmus.compile.option import NO_OPTIONS, Options
from isthmus.model.key import ObjectKey


class Shape(StrEnum):
    """How an ingress site reaches a cluster."""

    LOCAL = "local"
    """Only endpoints of this site."""
    FABRIC = "fabric"
    """Only endpoints of other sites."""
    LOCAL_FIRST = "local-first"
    """Endpoints of this site while one is healthy, then other sites. Local requests pay nothing extra."""
    UNIFORM = "uniform"
    """The members are sites, this one among them, and every algorithm works across them alike."""

    def of_subset(self, subset: str) -> "Shape":
        """How one subset ("": all endpoints) of a cluster of this shape is reached.

        An aggregate goes by the health of all endpoints of its members, so it cannot put a subset's endpoints of this
        site first: the sites of a subset are one cluster.
        """
        return Shape.UNIFORM if subset and self is Shape.LOCAL_FIRST else self


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster and its weight among a rule's clusters. `hashes`: its algorithm looks at the rule's hash keys.

    `subset`: only these of its endpoints; empty for all. `shape` is how they are reached. `ordered`: some of its sites
    come before others.
    """

    cluster: ObjectKey
    shape: Shape
    weight: int
    hashes: bool = False
    subset: str = ""
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class RateLimitedRetry:
    """The response header that says how long to wait; longer waits than `longest` are not obeyed."""

    header: str
    timestamp: bool
    longest: int


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a request is tried again. `elsewhere`: at hosts that were not tried yet."""

    attempts: int
    on: tuple[str, ...]
    status_codes: tuple[int, ...]
    elsewhere: bool
    per_try_timeout: int | None
    per_try_idle_timeout: int | None
    back_off: int
    max_back_off: int
    rate_limited: RateLimitedRetry | None


@dataclass(frozen=True, slots=True)
class HashKey:
    """What consistent hashing looks at; `name` is empty for the client's address.

    Attributes:
        ttl: seconds that a cookie lives which is made for clients without it; 0: until the browser closes; None: it is
            not made.
        path: the path of the cookie that is made.
        terminal: no further key is looked at if the request has this one.
    """

    kind: Literal["header", "cookie", "source", "query"]
    name: str = ""
    ttl: int | None = None
    path: str = "/"
    terminal: bool = False


@dataclass(frozen=True, slots=True)
class RegexRewrite:
    """What is found in the path becomes the substitution, in which `\\1` is a group."""

    pattern: str
    substitution: str


@dataclass(frozen=True, slots=True)
class HostRewrite:
    """Another Host header: a text, or what a request header says."""

    kind: Literal["literal", "header"]
    text: str


@dataclass(frozen=True, slots=True)
class Mirror:
    """A cluster that gets copies of some percent of the requests. `shadow_host`: with a Host header that says so.

    `subset`: only these of its endpoints; empty for all. `shape` is how they are reached.
    """

    cluster: ObjectKey
    shape: Shape
    percent: float
    shadow_host: bool
    subset: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send to clusters. `hash_keys` is empty unless one of them hashes.

    Timeouts 0: none; `idle_timeout` None: the listener's. `retry` None: never.
    """

    shares: tuple[Share, ...]
    prefix_rewrite: str | None
    timeout: int
    retry: Retry | None
    hash_keys: tuple[HashKey, ...] = ()
    high: bool = False
    """The circuit breakers of the priority HIGH count its requests."""
    regex_rewrite: RegexRewrite | None = None
    host_rewrite: HostRewrite | None = None
    idle_timeout: int | None = None
    mirrors: tuple[Mirror, ...] = ()
    websocket: bool = True


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    prefix: str | None
    code: int
    regex: RegexRewrite | None = None
    strip_query: bool = False


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answer at once. `nowhere`: for want of a cluster, and not because a route says so."""

    status: int
    body: str
    content_type: str = "text/plain"
    nowhere: bool = False


Action = Forward | Redirect | DirectResponse


@dataclass(frozen=True, slots=True)
class Rule:
    """A route: any of `matches` (never empty), and what then happens."""

    route: ObjectKey
    matches: tuple[Match, ...]
    action: Action
    options: Options = NO_OPTIONS
