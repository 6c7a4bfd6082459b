"""The shapes of answers about traffic. Seconds since 1970, durations in milliseconds, bytes a second."""

from pydantic import Field

from isthmus.console.api.answer import Answer


class LatencyAnswer(Answer):
    """Milliseconds; right within 2.5 %."""

    p50: float
    p90: float
    p99: float
    mean: float


class SplitAnswer(Answer):
    """Where requests spent their time. A place is null where nothing was measured.

    `fabric` is the time between the sites: its quantiles are differences of quantiles, its mean is exact.
    """

    total: LatencyAnswer | None = None
    ingress: LatencyAnswer | None = None
    fabric: LatencyAnswer | None = None
    egress: LatencyAnswer | None = None
    application: LatencyAnswer | None = None


class SignalAnswer(Answer):
    """The golden signals of some requests."""

    requests: int
    rate: float = Field(description="Requests a second.")
    errors: int = Field(description="Failures of the service: Envoy's own and answers from 500 on.")
    error_rate: float = Field(description="Errors as a share of requests, 0 to 1.")
    client_errors: int = Field(description="Failures that clients brought about: 4xx, no route, gone away.")
    errors_by_class: dict[str, int] = Field(description="By class: unreachable, timeout, reset, overload, …")
    codes: dict[str, int] = Field(description="By class of status: 2xx, 3xx, 4xx, 5xx; none without an answer.")
    retries: int
    received: float = Field(description="Bytes a second of request bodies.")
    sent: float = Field(description="Bytes a second of response bodies.")
    latency: SplitAnswer


class PointAnswer(SignalAnswer):
    """The signals of one step."""

    at: int = Field(description="Its beginning.")


class SeriesAnswer(Answer):
    """One group of requests."""

    labels: dict[str, str] = Field(description="The values by which it is told apart; empty texts are unknown.")
    total: SignalAnswer = Field(description="Of the whole window.")
    points: list[PointAnswer] = Field([], description="By time; steps without requests are left out.")


class SignalsAnswer(Answer):
    """Golden signals, the busiest group first."""

    since: int
    until: int
    step: int = Field(description="Seconds of a point.")
    groups: list[SeriesAnswer]
    more: int = Field(0, description="Groups that were left out for `limit`.")


class RecordAnswer(Answer):
    """One request as one site saw it."""

    at: float = Field(description="When it began.")
    log: str = Field(description="`ingress`: where the client came in. `egress`: where the endpoint is.")
    site: str
    peer: str = Field(description="The site that it went to, or for `egress` came from.")
    namespace: str
    virtual_host: str
    route: str
    cluster: str
    subset: str
    endpoint: str
    client: str = Field(description="Identity of the client's certificate, `cluster:NAMESPACE/NAME`, or `external`.")
    client_address: str
    method: str
    authority: str
    path: str
    protocol: str
    code: int
    error: str = Field(description="Class of failure; empty for none.")
    flags: str = Field(description="Envoy's response flags in words.")
    details: str
    user_agent: str
    request_id: str
    trace_id: str = Field(description="The trace (W3C Trace Context) that it is part of, if that is recorded.")
    tls: str
    sni: str
    received: int
    sent: int
    attempts: int
    total: float = Field(description="Milliseconds from first byte in to last byte out.")
    own: float = Field(description="Of these, in this Envoy.")
    upstream: float = Field(description="Of these, beyond it.")
    credential: bool = Field(False, description="Whether the client showed a credential in a header.")
    weight: float = Field(1.0, description="How many requests this one stands for; others like it were not kept.")


class RecordList(Answer):
    """Requests, newest first."""

    items: list[RecordAnswer]
    before: float | None = Field(None, description="Ask again with `until` at this moment for older ones; null: none.")


class RequestPath(Answer):
    """One request at every site that it passed, in its order, and where it spent its time in milliseconds."""

    request_id: str
    hops: list[RecordAnswer]
    total: float
    ingress: float
    fabric: float | None = None
    egress: float | None = None
    application: float | None = None


class NodeAnswer(Answer):
    """Something that sends or takes requests."""

    id: str
    kind: str = Field(description="client, virtual-host, cluster, site or group.")
    name: str
    group: str = ""


class EdgeAnswer(Answer):
    """What goes from one node to another."""

    source: str
    target: str
    kind: str = Field(description="request, route, endpoint or fabric.")
    signal: SignalAnswer
    before: SignalAnswer | None = Field(None, description="The same in the window that is compared with.")


class GraphAnswer(Answer):
    """The service graph of a window."""

    since: int
    until: int
    nodes: list[NodeAnswer]
    edges: list[EdgeAnswer]


class RolloutAnswer(Answer):
    """What a roll-out looks at: one cluster or subset behind one route, lately."""

    requests: int
    errors: int
    error_rate: float
    latency: LatencyAnswer | None = None


class LossAnswer(Answer):
    """Requests of which nothing is told."""

    role: str
    name: str
    reason: str = Field(
        description="`buffer`: it was full. `envoy`: the agent was slow. `unheard`: it was away. `disk`, `refused`."
    )
    requests: int


class TelemetryStatus(Answer):
    """The state of telemetry itself."""

    ready: bool
    error: str
    store: str = Field(description="`embedded`, `server` or `none`.")
    batches: int = Field(description="Taken since the console started.")
    requests: int
    lost: list[LossAnswer] = Field(description="In the last 24 hours.")
