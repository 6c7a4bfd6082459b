"""How regions and sites are, in one word and with its reasons, worst first. The one place that decides what is bad.

Of a site, in this order: it never joined; it is not connected; its Envoy or BGP speaker is down; objects were rejected;
endpoints are unhealthy; routes are stale; it lags behind its manifest; it is drained.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.console.api.context import ApiContext
from isthmus.console.observation import Observed
from isthmus.console.record import StoredObject
from isthmus.console.watch import SiteBrief
from isthmus.model.key import DEFAULT_TENANT, ObjectKey
from isthmus.model.site import Site
from isthmus.protocol.manifest import Version
from isthmus.slice import region_subject, site_subject

LAG_SECONDS = 10.0
"""A site that takes longer than this for its newest manifest lags."""
GRACE_SECONDS = 15.0
"""A console that has just started waits this long for sites to be heard of before it calls them lost."""
_EXPIRY_SECONDS = 3 * 86_400
_ORDER = {"bad": 0, "warn": 1, "idle": 2, "good": 3}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be. `mend` says what to do about it."""

    level: str
    text: str
    mend: str = ""


@dataclass(slots=True)
class PlaceState:
    """A site or region. Of ten thousand a page needs little of most, so what is not asked for is not worked out.

    Attributes:
        level: `good`, `warn`, `bad`, or `idle` for one that never joined.
        word: the state in a word or two.
        known: what was heard of it.
        now: the moment that this is of, in seconds since 1970.
        version: the newest manifest that there is for it.
    """

    record: StoredObject
    level: str
    word: str
    problems: tuple[Problem, ...]
    known: Observed
    brief: SiteBrief
    now: float
    version: Version | None

    @property
    def key(self) -> ObjectKey:
        """Its key."""
        return self.record.object.key

    @property
    def name(self) -> str:
        """Its name."""
        return self.key.name

    @property
    def connected(self) -> bool:
        """Whether it is reached."""
        return self.known.connected

    @property
    def via(self) -> tuple[str, ...]:
        """The names of what it is connected through."""
        return tuple(sorted(peer.rpartition("/")[2] for peer in self.known.via))

    @property
    def since(self) -> float | None:
        """Since when it is connected."""
        return min(self.known.via.values(), default=None)

    @property
    def lag(self) -> float:
        """Seconds for which it has not used its newest manifest."""
        return max(0.0, self.now - self.known.behind_since) if self.known.behind_since is not None else 0.0

    @property
    def revision(self) -> int | None:
        """The revision that it uses."""
        return self.known.applied.revision if self.known.applied is not None else None

    @property
    def newest(self) -> int | None:
        """The revision that it should use."""
        return self.version.revision if self.version is not None else None


def site_states(context: ApiContext) -> list[PlaceState]:
    """Every site by name."""
    now = time.time()
    return [site_state(context, record, now) for record in context.deployment.of_kind("Site", DEFAULT_TENANT)]


def region_states(context: ApiContext) -> list[PlaceState]:
    """Every region by name."""
    now = time.time()
    return [region_state(context, record, now) for record in context.deployment.of_kind("Region", DEFAULT_TENANT)]


def site_state(context: ApiContext, record: StoredObject, now: float) -> PlaceState:
    """One site."""
    site = record.object
    subject = site_subject(site.key)
    known, brief = context.observation.of(subject), context.watch.brief(subject)
    drained = isinstance(site, Site) and site.spec.drained
    if not known.connected and context.membership.joined_at(record) is None:
        waiting = Problem("idle", "has not joined yet", "start its agent with a join token")
        return _state(context, record, subject, known, brief, "idle", "not joined", (waiting,), now)
    problems = [*_connection(context, known, now, "site"), *_site_problems(known, brief, now)]
    if drained:
        problems.append(Problem("idle", "is drained: other sites send nothing here", "undrain it when it is ready"))
    level, word = _worst(problems)
    if level == "idle":
        level, word = "warn", "drained"
    return _state(context, record, subject, known, brief, level, word, tuple(problems), now)


def region_state(context: ApiContext, record: StoredObject, now: float) -> PlaceState:
    """One region."""
    subject = region_subject(record.object.key)
    known = context.observation.of(subject)
    if not known.connected and context.membership.joined_at(record) is None:
        waiting = Problem("idle", "has not joined yet", "start it with a join token")
        return _state(context, record, subject, known, SiteBrief(), "idle", "not joined", (waiting,), now)
    problems = _connection(context, known, now, "region")
    level, word = _worst(problems)
    return _state(context, record, subject, known, SiteBrief(), level, word, tuple(problems), now)


def _state(
    context: ApiContext,
    record: StoredObject,
    subject: str,
    known: Observed,
    brief: SiteBrief,
    level: str,
    word: str,
    problems: tuple[Problem, ...],
    now: float,
) -> PlaceState:
    return PlaceState(record, level, word, problems, known, brief, now, context.deployment.publication.version(subject))


def _connection(context: ApiContext, known: Observed, now: float, role: str) -> list[Problem]:
    """Whether it is reached and up to date."""
    if not known.connected:
        if now - context.started < GRACE_SECONDS:
            return [Problem("warn", "is not heard of yet; the console has just started")]
        mend = "see that its agent runs and reaches a region; its traffic flows on meanwhile"
        if role == "region":
            mend = "see that it runs and reaches the console; its sites use their other region meanwhile"
        return [Problem("bad", "is not connected", mend)]
    if known.behind_since is not None and now - known.behind_since > LAG_SECONDS:
        return [Problem("warn", "lags behind its newest configuration", "see its log for what holds it up")]
    return []


def _site_problems(known: Observed, brief: SiteBrief, now: float) -> list[Problem]:
    found = []
    if brief.envoy == "down":
        found.append(Problem("bad", f"Envoy is down: {brief.envoy_error or 'it ended'}", "see the site's log"))
    if brief.bgp == "down" and known.connected:
        found.append(Problem("warn", "the BGP speaker is down", "see the site's log"))
    if known.rejections:
        count = len(known.rejections)
        text = f"rejects {count} object{'s' if count > 1 else ''}; the last good version serves on"
        found.append(Problem("bad", text, "open the site to see what Envoy said"))
    if brief.unhealthy:
        count = len(brief.unhealthy)
        text = f"{count} of {len(brief.endpoints)} endpoints {'are' if count > 1 else 'is'} unhealthy"
        found.append(Problem("warn", text, "open the site to see which, and why"))
    if brief.stale:
        found.append(Problem("warn", f"{brief.stale} remote endpoints are known from before a session was lost"))
    if brief.certificate_until is not None and brief.certificate_until - now < _EXPIRY_SECONDS:
        found.append(Problem("warn", "its certificate ends within three days", "see why it could not renew it"))
    return found


def _worst(problems: Iterable[Problem]) -> tuple[str, str]:
    ordered = sorted(problems, key=lambda problem: _ORDER[problem.level])
    if not ordered:
        return "good", "healthy"
    first = ordered[0]
    if first.text.startswith("is not connected"):
        return first.level, "offline"
    if first.text.startswith("is not heard"):
        return first.level, "waiting"
    if first.text.startswith("lags"):
        return first.level, "lagging"
    return first.level, {"bad": "failing", "warn": "degraded", "idle": "drained"}[first.level]


def by_severity(states: Iterable[PlaceState]) -> list[PlaceState]:
    """Worst first, then by name."""
    return sorted(states, key=lambda state: (_ORDER[state.level], state.name))
