"""Who is told of what, and when: alerts through policies into groups, and groups into notifications.

For each policy, in this order:
1. the alerts that fire, that it may see, and that it asks for;
2. without those that are silent now: nothing is told of them, neither that they fire nor that they are over;
3. by the labels that it groups by;
4. a new group is told after `group_wait`; a group that was told, when something new fires or something told is over,
   but not sooner than `group_interval` after the last time; one that still fires, after `repeat_interval`.

What a group has been told stays with it (`told`), so that whoever heard that something fires hears that it is over,
too, whatever came between: a silence, or a start of the console.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from isthmus.alert.alert import Alert, AlertState, Condition
from isthmus.alert.notification import GroupKey, Notification
from isthmus.alert.silence import Silence, find_silence
from isthmus.model.alert_policy import AlertPolicy
from isthmus.model.key import SHARED_NAMESPACE, ObjectKey
from isthmus.model.reference import resolve
from isthmus.model.value import milliseconds

_LABEL = {"RULE": "alertname", "NAMESPACE": "namespace", "SITE": "site"}


@dataclass(frozen=True, slots=True)
class Group:
    """What is remembered of a group. Times are seconds since 1970.

    Attributes:
        began: when it had its first alert.
        told_at: when it was told last; None before the first time.
        told: the alerts that were told as firing, by id.
    """

    began: float
    told_at: float | None = None
    told: Mapping[str, Alert] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prospect:
    """A group as it is now: what would be told to whom, and when.

    Attributes:
        due: when it is to be told; None when there is nothing to tell.
        reason: `new`, `changed`, `repeat` or `told already`.
    """

    policy: AlertPolicy
    notification: Notification
    due: float | None
    reason: str

    @property
    def receivers(self) -> tuple[ObjectKey, ...]:
        """Who is told."""
        own = self.policy.metadata
        found = (resolve(each, "AlertReceiver", own.tenant, own.namespace) for each in self.policy.spec.receivers)
        return tuple(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: tell the `due`, and remember the changed `groups` (None: forget)."""

    due: tuple[Prospect, ...]
    groups: Mapping[GroupKey, Group | None]


def sees(policy: AlertPolicy, condition: Condition) -> bool:
    """Whether a policy may know of an alert at all: its namespace's own; in `shared`, every one."""
    return policy.metadata.namespace in (SHARED_NAMESPACE, condition.namespace)


def asks_for(policy: AlertPolicy, condition: Condition) -> bool:
    """Whether an alert is one that the policy sends."""
    match = policy.spec.match
    wanted = (
        (match.rules, condition.rule),
        (match.severities, condition.severity),
        (match.sites, condition.site),
        (match.namespaces, condition.namespace),
    )
    return sees(policy, condition) and all(not allowed or given in allowed for allowed, given in wanted)


def group_of(policy: AlertPolicy, condition: Condition) -> GroupKey:
    """The group that an alert belongs to."""
    labels = condition.labels
    names = (_LABEL[each] for each in dict.fromkeys(policy.spec.group_by))
    return GroupKey(str(policy.key), tuple((name, labels.get(name, "")) for name in names))


def find_prospects(
    alerts: Iterable[Alert],
    policies: Sequence[AlertPolicy],
    silences: Sequence[Silence],
    groups: Mapping[GroupKey, Group],
    now: float,
) -> Iterator[Prospect]:
    """Every group of every policy as it is now."""
    firing = [each for each in alerts if each.state is AlertState.FIRING]
    active = [each for each in silences if each.state(now) == "active"]
    silent = {each.id for each in firing if find_silence(each.condition, active, now) is not None}
    broken = {each.condition.fingerprint for each in firing}
    known: dict[str, dict[GroupKey, Group]] = {}
    for key, group in groups.items():
        known.setdefault(key.policy, {})[key] = group
    for policy in policies:
        found: dict[GroupKey, list[Alert]] = {key: [] for key in known.get(str(policy.key), {})}
        for each in firing:
            if each.id not in silent and asks_for(policy, each.condition):
                found.setdefault(group_of(policy, each.condition), []).append(each)
        for key, members in found.items():
            group = known.get(str(policy.key), {}).get(key) or Group(now)
            over = [
                each
                for each in group.told.values()
                if each.condition.fingerprint not in broken and find_silence(each.condition, active, now) is None
            ]
            yield _prospect(policy, Notification(key, tuple(members), tuple(over)), group)


def _prospect(policy: AlertPolicy, notification: Notification, group: Group) -> Prospect:
    spec = policy.spec
    if group.told_at is None:
        due = group.began + milliseconds(spec.group_wait) / 1000 if notification.firing else None
        return Prospect(policy, notification, due, "new")
    if notification.resolved or any(each.id not in group.told for each in notification.firing):
        return Prospect(policy, notification, group.told_at + milliseconds(spec.group_interval) / 1000, "changed")
    if notification.firing:
        due = group.told_at + milliseconds(spec.repeat_interval) / 1000
        return Prospect(policy, notification, due, "repeat")
    return Prospect(policy, notification, None, "told already")


def plan_notifications(
    alerts: Sequence[Alert],
    policies: Sequence[AlertPolicy],
    silences: Sequence[Silence],
    groups: Mapping[GroupKey, Group],
    now: float,
    over: float,
) -> Plan:
    """What is to be told now. `over`: until when the times of resolved alerts count, seconds since 1970."""
    due: list[Prospect] = []
    changed: dict[GroupKey, Group | None] = {}
    ended = {each.id: each for each in alerts if each.state is AlertState.RESOLVED}
    seen: set[GroupKey] = set()
    for prospect in find_prospects(alerts, policies, silences, groups, now):
        told, key = prospect.notification, prospect.notification.group
        seen.add(key)
        group = groups.get(key)
        if group is None:
            group = changed[key] = Group(now)
        if prospect.due is not None and now >= prospect.due:
            resolved = tuple(ended.get(each.id) or _ended(each, over) for each in told.resolved)
            notification = Notification(key, told.firing, resolved)
            due.append(Prospect(prospect.policy, notification, prospect.due, prospect.reason))
            # one that was over and fires again is another alert of the same condition: the new one stands for both
            done = {each.condition.fingerprint for each in (*resolved, *told.firing)}
            rest = {each.id: each for each in group.told.values() if each.condition.fingerprint not in done}
            rest |= {each.id: each for each in told.firing}
            changed[key] = Group(group.began, now, rest) if rest else None
        elif not told.firing and not group.told:
            changed[key] = None  # its alerts were over before anybody was told
    changed |= dict.fromkeys(groups.keys() - seen)
    return Plan(tuple(due), changed)


def _ended(alert: Alert, at: float) -> Alert:
    return Alert(alert.condition, AlertState.RESOLVED, alert.since, alert.fired_at, at)
