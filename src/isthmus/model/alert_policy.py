"""AlertPolicy: which alerts are sent to whom, and how they are grouped."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, Field

from isthmus.model.check import check_whole
from isthmus.model.object import Frozen, Name, Object, Reference, Spec, Use
from isthmus.model.reference import resolve
from isthmus.model.value import Duration, PositiveDuration, milliseconds

GroupLabel = Literal["RULE", "NAMESPACE", "SITE"]
RuleName = Literal[
    "site-offline",
    "region-offline",
    "engine-down",
    "cluster-down",
    "endpoint-down",
    "error-rate",
    "latency",
    "certificate-expiring",
    "configuration-rejected",
    "object-refused",
    "lag",
    "telemetry-lost",
    "telemetry-receiver",
    "telemetry-store",
]


Severity = Literal["critical", "warning"]
_T = TypeVar("_T")


def _in_order(values: tuple[_T, ...]) -> tuple[_T, ...]:
    """Each once, in the order of the choices: these lists are sets."""
    order = [*get_args(RuleName), *get_args(Severity), *get_args(GroupLabel)]
    return tuple(sorted(dict.fromkeys(values), key=order.index))


class AlertMatch(Frozen):
    """Which alerts. Every list that is not empty must name the alert's own; an empty one lets all pass."""

    rules: Annotated[tuple[RuleName, ...], AfterValidator(_in_order)] = Field((), description="Names of rules.")
    severities: Annotated[tuple[Severity, ...], AfterValidator(_in_order)] = Field((), description="How bad.")
    sites: tuple[Name, ...] = Field((), description="Names of sites.")
    namespaces: tuple[Name, ...] = Field(
        (), description="Namespaces of what the alert is about. Only in the namespace `shared`."
    )


class AlertPolicySpec(Spec):
    """Alerts, receivers, grouping."""

    match: AlertMatch = Field(
        default_factory=AlertMatch, description="Which alerts; all that the policy sees when empty."
    )
    receivers: tuple[Reference, ...] = Field(min_length=1, max_length=20, description="AlertReceivers that are told.")
    group_by: Annotated[tuple[GroupLabel, ...], AfterValidator(_in_order)] = Field(
        (),
        description="Alerts that agree in these are told together; all together when empty.",
    )
    group_wait: Duration = Field(
        "30s", description="How long a new group waits for more alerts before it is told the first time."
    )
    group_interval: PositiveDuration = Field(
        "5m", description="How long a group that was told waits before it tells what has changed."
    )
    repeat_interval: PositiveDuration = Field("4h", description="When a group that still fires is told again.")

    @check_whole
    def _order(self) -> Self:
        if milliseconds(self.repeat_interval) < milliseconds(self.group_interval):
            raise ValueError("repeatInterval must not be shorter than groupInterval")
        return self

    def uses(self, tenant: str, namespace: str) -> Iterator[Use]:
        """The receivers."""
        for index, receiver in enumerate(self.receivers):
            yield Use(f"spec.receivers[{index}]", resolve(receiver, "AlertReceiver", tenant, namespace))


class AlertPolicy(Object):
    """Sends alerts to receivers. It sees the alerts of its own namespace: of virtual hosts, clusters and endpoints.
    A policy in the namespace `shared` sees those of all namespaces, and of sites, regions and the console."""

    plural: ClassVar[str] = "alertpolicies"

    kind: Literal["AlertPolicy"] = "AlertPolicy"
    spec: AlertPolicySpec
