"""The shapes of answers about the APIs that applications offer. Counts are estimates where not all records are kept."""

from pydantic import Field

from isthmus.console.api.answer import Answer


class SpreadAnswer(Answer):
    """A distribution; right within 5 %."""

    p50: float
    p90: float
    p99: float
    mean: float


class BinAnswer(Answer):
    """One bar of a distribution."""

    middle: float = Field(description="Milliseconds, or bytes.")
    requests: float


class VariableAnswer(Answer):
    """A variable segment of a path."""

    name: str
    kind: str = Field(
        description="Form of its values: integer, decimal, uuid, ulid, hash, token, date, date-time, email, address, "
        "version, locale, text, word, or mixed."
    )


class PeerAnswer(Answer):
    """A client, or a cluster, and the requests of the edge between it and the virtual host."""

    name: str
    requests: int
    errors: int
    latency: SpreadAnswer | None = Field(description="Milliseconds.")


class CredentialAnswer(Answer):
    """How many requests said who they are from, and how."""

    header: int = Field(description="By Authorization or X-API-Key.")
    certificate: int = Field(description="By the client's certificate.")
    none: int


class InterfaceEndpoint(Answer):
    """One endpoint: what was asked for with this method and path, and how it went."""

    method: str
    path: str = Field(description="With its variables: `/users/{userId}`.")
    variables: list[VariableAnswer]
    requests: int
    errors: int = Field(description="Answers from 500 on, or none.")
    client_errors: int = Field(description="Answers 400 to 499.")
    codes: dict[str, int] = Field(description="By status; `0` without an answer.")
    latency: SpreadAnswer | None = Field(description="Milliseconds.")
    received: SpreadAnswer | None = Field(None, description="Bytes of request bodies.")
    sent: SpreadAnswer | None = Field(None, description="Bytes of response bodies.")
    authenticated: str = Field(
        "", description="`always`, `sometimes` or `never`: whether those who were served said who they are."
    )
    credentials: CredentialAnswer | None = None
    query: dict[str, float] = Field(
        default_factory=dict, description="Names of query parameters, and in which share of requests."
    )
    first_seen: float = Field(description="Seconds since 1970.")
    last_seen: float
    clients: list[PeerAnswer] = Field(default_factory=list)
    clusters: list[PeerAnswer] = Field(default_factory=list)


class InterfaceAnswer(Answer):
    """What a virtual host's applications offer."""

    virtual_host: str
    endpoints: list[InterfaceEndpoint]
    more: int = Field(0, description="Endpoints that were left out for `limit`.")
    unmatched: dict[str, int] = Field(description="Requests for what is not there, by class of status.")


class InterfaceSummary(Answer):
    """A virtual host of which an API is known."""

    virtual_host: str
    endpoints: int
    requests: int
    errors: int
    last_seen: float | None


class InterfaceList(Answer):
    """Virtual hosts, by name."""

    items: list[InterfaceSummary]
    more: int = 0


class EndpointDetail(InterfaceEndpoint):
    """An endpoint with its distributions."""

    latency_bins: list[BinAnswer] = Field(description="Milliseconds.")
    received_bins: list[BinAnswer]
    sent_bins: list[BinAnswer]
