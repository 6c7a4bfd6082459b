"""Alerts: conditions that should not hold, and for how long they have. Pure: who looks says what holds, and when."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

REMEMBERED = 3600.0
"""Seconds that an alert stays visible after it was resolved."""
MOST = 5_000
"""Alerts that are kept at the same time. Beyond it a new one takes the place of the oldest that was resolved, or, if it
is critical, of the oldest warning, or, if it is of nobody's part too, of the oldest that is; others are not kept."""
OF_SITE = 500
"""The same of what one site says; within this part places are taken in the same way."""
OF_NAMESPACE = 1_000
"""The same of what is about one namespace."""
_SAID = ("endpoint-down", "cluster-down", "configuration-rejected", "telemetry-lost", "telemetry-receiver")
"""Rules of which a site can break any number."""
_OF_HOSTS = ("error-rate", "latency")
"""Those of which it can by telling of virtual hosts that are not declared: they are of no namespace."""


class AlertState(StrEnum):
    """How far an alert is."""

    PENDING = "pending"
    """The condition holds, but not for long enough to trouble anybody."""
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Rule:
    """What should not be, and for how many seconds it may. `severity` is `critical` or `warning`."""

    name: str
    summary: str
    hold: float
    severity: str


RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("site-offline", "A site is connected to no region.", 60, "critical"),
        Rule("region-offline", "A region is not connected to the console.", 60, "critical"),
        Rule("engine-down", "Envoy or the BGP speaker of a site does not run.", 30, "critical"),
        Rule("cluster-down", "No endpoint of a cluster is healthy at a site that hosts it.", 30, "critical"),
        Rule("endpoint-down", "An endpoint is unhealthy.", 120, "warning"),
        Rule(
            "error-rate",
            "More than 5 % of a virtual host's requests fail, of 20 or more in 5 minutes.",
            60,
            "critical",
        ),
        Rule("latency", "One request in a hundred of a virtual host takes over two seconds.", 300, "warning"),
        Rule("certificate-expiring", "A certificate ends within three days: not renewed.", 60, "critical"),
        Rule("configuration-rejected", "A site does not use an object as it was asked for.", 30, "warning"),
        Rule("object-refused", "A stored object is not accepted by the console's release.", 0, "warning"),
        Rule("lag", "A site has not used its newest manifest.", 120, "warning"),
        Rule("telemetry-lost", "Requests of the last ten minutes that nothing is told of.", 0, "warning"),
        Rule(
            "telemetry-receiver",
            "A TelemetryReceiver fails at a site, or lost something.",
            120,
            "warning",
        ),
        Rule("telemetry-store", "The console's telemetry store does not work.", 120, "warning"),
    )
}
"""By name."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule that is broken now.

    Attributes:
        rule: name of the rule.
        subject: what breaks it, for people: `Site fra`. Together with the rule it names the condition.
        text: how, in a sentence.
        site: name of the site that it is at; empty where it is at none.
        namespace: namespace of the object that it is about; empty for a site, a region and the console.
        object: key of the object that it is about, as text; empty where there is none.
    """

    rule: str
    subject: str
    text: str
    site: str = ""
    namespace: str = ""
    object: str = ""

    @property
    def severity(self) -> str:
        """`critical` or `warning`."""
        return RULES[self.rule].severity

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits, the same whenever this rule is broken by this subject."""
        return sha256(f"{self.rule}\0{self.subject}".encode()).hexdigest()[:16]

    @property
    def parts(self) -> tuple[str, ...]:
        """Whose parts of the room for alerts it takes, as people know them: `Site fra`, `Namespace shop`. What the
        console sees of a site by itself, that it is offline for example, takes none."""
        site = (f"Site {self.site}",) if self.rule in _SAID else ()
        if self.namespace:
            return (*site, f"Namespace {self.namespace}")
        return (*site, "Undeclared virtual hosts") if self.rule in _OF_HOSTS else site

    @property
    def labels(self) -> dict[str, str]:
        """What silences and receivers tell alerts apart by; without empty ones."""
        found = {
            "alertname": self.rule, "severity": self.severity, "subject": self.subject, "site": self.site,
            "namespace": self.namespace, "object": self.object,
        }  # fmt: skip
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Alert:
    """A condition over time. Times are seconds since 1970; `since` is when it began to hold."""

    condition: Condition
    state: AlertState
    since: float
    fired_at: float | None = None
    resolved_at: float | None = None

    @property
    def id(self) -> str:
        """32 hexadecimal digits: this condition, this time."""
        return sha256(f"{self.condition.fingerprint}\0{self.since:.3f}".encode()).hexdigest()[:32]

    @property
    def fires(self) -> bool:
        """Whether it is to trouble somebody now."""
        return self.state is AlertState.FIRING


def _nothing(_: Condition) -> bool:
    return False


class _Room:
    """For new alerts among those that are known, in one look."""

    def __init__(self, known: MutableMapping[tuple[str, str], Alert]) -> None:
        self._known = known
        self._counts = Counter(part for each in known.values() for part in each.condition.parts)
        self._leaving: dict[tuple[str, str], Iterator[tuple[str, str]]] = {}
        self.left_out: Counter[str] = Counter()

    def make(self, condition: Condition) -> bool:
        """Have a place for a new alert, if there is one; another may have to go. The caller then puts it in."""
        parts = condition.parts
        for part in parts:
            limit = OF_SITE if part.startswith("Site ") else OF_NAMESPACE
            if self._counts[part] >= limit and not self._clear(part, condition):
                self.left_out[part] += 1
                return False
        if len(self._known) >= MOST and not self._clear("", condition):
            self.left_out["All"] += 1
            return False
        self._counts.update(parts)
        return True

    def _clear(self, part: str, condition: Condition) -> bool:
        """Forget one of a part, or of all, that matters less than a new one."""
        kinds = ["resolved"]
        if condition.severity == "critical":
            kinds += ["warning"] if condition.parts else ["warning", "said"]
        for kind in kinds:
            if (part, kind) not in self._leaving:
                self._leaving[part, kind] = self._find(part, _MAY_GO[kind])
            for key in self._leaving[part, kind]:
                known = self._known.get(key)
                if known is not None and _MAY_GO[kind](known) is not None:  # not gone, and not again by now
                    self._counts.subtract(known.condition.parts)
                    del self._known[key]
                    return True
        return False

    def _find(self, part: str, since: Callable[[Alert], float | None]) -> Iterator[tuple[str, str]]:
        found = []
        for key, each in self._known.items():
            moment = since(each)
            if moment is not None and (not part or part in each.condition.parts):
                found.append((moment, key))
        return iter([key for _, key in sorted(found)])


_MAY_GO: Mapping[str, Callable[[Alert], float | None]] = {
    "resolved": lambda each: each.resolved_at,
    "warning": lambda each: each.since if each.condition.severity == "warning" else None,
    "said": lambda each: each.since if each.condition.parts else None,
}
"""Since when an alert has been of a kind that may go; None where it is not."""


class Alerts:
    """All alerts of a deployment, by rule and subject. `known`: those of before.

    Attributes:
        left_out: conditions of the last look that there was no room for, by whose part of it was full.
    """

    def __init__(self, known: Iterable[Alert] = ()) -> None:
        self._known: dict[tuple[str, str], Alert] = {}
        self.left_out: Mapping[str, int] = {}
        for each in sorted(known, key=lambda alert: alert.since):
            self._known[each.condition.rule, each.condition.subject] = each

    def update(
        self, holding: Iterable[Condition], now: float, unknown: Callable[[Condition], bool] = _nothing
    ) -> list[Alert]:
        """Take in what holds now; return the alerts that fire, or are resolved, for the first time.

        Where `unknown` says that a condition could not be looked at, its alert stays as it is.
        """
        changed = []
        room = _Room(self._known)
        current = {(each.rule, each.subject): each for each in holding}
        for key, condition in current.items():
            before = self._known.get(key)
            if before is None or before.state is AlertState.RESOLVED:
                if before is None and not room.make(condition):
                    continue
                before = Alert(condition, AlertState.PENDING, now)
            alert = replace(before, condition=condition)
            if alert.state is AlertState.PENDING and now - alert.since >= RULES[condition.rule].hold:
                alert = replace(alert, state=AlertState.FIRING, fired_at=now)
                changed.append(alert)
            self._known[key] = alert
        for key, alert in list(self._known.items()):
            if key in current or unknown(alert.condition):
                continue
            if alert.state is AlertState.FIRING:
                self._known[key] = replace(alert, state=AlertState.RESOLVED, resolved_at=now)
                changed.append(self._known[key])
            elif alert.state is AlertState.PENDING or now - (alert.resolved_at or now) > REMEMBERED:
                del self._known[key]
        self.left_out = room.left_out
        return changed

    def list(self) -> list[Alert]:
        """Those that fire first, the critical ones before the others, then by time."""
        order = {AlertState.FIRING: 0, AlertState.PENDING: 1, AlertState.RESOLVED: 2}
        return sorted(
            self._known.values(),
            key=lambda each: (
                order[each.state], RULES[each.condition.rule].severity, each.since, each.condition.subject,
            ),
        )  # fmt: skip
