"""What a route becomes in the intent: conditions, and what then happens. Durations are in milliseconds."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from isthmus.model.key import ObjectKey

ConditionKind = Literal["exact", "prefix", "regex", "present", "absent"]


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
class PathMatch:
    """One way to match the path, without the query."""

    kind: Literal["exact", "prefix", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """One condition on a header or a query parameter. `text` is empty for `present` and `absent`."""

    name: str
    kind: ConditionKind
    text: str = ""
    invert: bool = False


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions that must all hold."""

    path: PathMatch | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[ValueMatch, ...] = ()
    query_parameters: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """A cluster and its weight among a rule's clusters. `hashes`: its algorithm looks at the rule's hash keys.

    `subset`: only these of its endpoints; empty for all. `shape` is how they are reached.
    """

    cluster: ObjectKey
    shape: Shape
    weight: int
    hashes: bool = False
    subset: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """When and how often a request is tried again."""

    attempts: int
    on: tuple[str, ...]
    per_try_timeout: int | None
    back_off: int


@dataclass(frozen=True, slots=True)
class HashKey:
    """What consistent hashing looks at; `name` is empty for the client's address."""

    kind: Literal["header", "cookie", "source"]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Forward:
    """Send to clusters. `hash_keys` is empty unless one of them hashes. `timeout` 0: none; `retry` None: never."""

    shares: tuple[Share, ...]
    prefix_rewrite: str | None
    timeout: int
    retry: Retry | None
    hash_keys: tuple[HashKey, ...] = ()
    high: bool = False
    """The circuit breakers of the priority HIGH count its requests."""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer with a redirect."""

    scheme: str | None
    host: str | None
    port: int | None
    path: str | None
    prefix: str | None
    code: int


@dataclass(frozen=True, slots=True)
class DirectResponse:
    """Answer at once."""

    status: int
    body: str


Action = Forward | Redirect | DirectResponse


@dataclass(frozen=True, slots=True)
class Rule:
    """A route: any of `matches` (never empty), and what then happens."""

    route: ObjectKey
    matches: tuple[Match, ...]
    action: Action
