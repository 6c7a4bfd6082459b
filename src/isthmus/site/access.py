"""Who may call, while sites are on their way from one revision to the next.

Sites apply a revision at about the same time, not at once. A site that stops using a cluster may do so a moment after
the cluster's own site has heard of it: its last requests would be denied. So a caller that is taken off keeps its
access for a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from isthmus.compile.intent import Access
from isthmus.emit.envoy.fabric import emit_access
from isthmus.emit.envoy.name import FABRIC_ACCESS
from isthmus.site.task import Alarm

REVOKE = 5.0
"""Seconds that a caller keeps its access to a cluster after the last route to it is gone."""

Extensions = Mapping[str, bytes]


class CallerAccess:
    """`update` gives extension configurations to Envoy, when callers that were taken off lose their access."""

    def __init__(self, update: Callable[[Extensions], object], delay: float = REVOKE) -> None:
        self._update = update
        self._delay = delay
        self._allowed: tuple[Access, ...] = ()
        self._wanted: tuple[Access, ...] = ()
        self._exact: Extensions = {}
        self._alarm = Alarm(self._revoke)

    def use(self, access: tuple[Access, ...], exact: Extensions) -> Extensions:
        """The extension configurations of a plan, with the callers that it takes off for a little longer."""
        self._wanted, self._exact = access, exact
        self._allowed = linger_access(self._allowed, access)
        if self._allowed == access:
            return exact
        if not self._alarm.pending:  # or plan after plan would put it off for ever
            self._alarm.set(self._delay)
        return {**exact, FABRIC_ACCESS: emit_access(self._allowed)}

    def cancel(self) -> None:
        """Leave access as it is."""
        self._alarm.cancel()

    def _revoke(self) -> None:
        self._allowed = self._wanted
        self._update(self._exact)


def linger_access(before: tuple[Access, ...], after: tuple[Access, ...]) -> tuple[Access, ...]:
    """Everybody who was or is allowed, in the intent's order."""
    callers = {each.cluster: set(each.callers) for each in before}
    for each in after:
        callers.setdefault(each.cluster, set()).update(each.callers)
    return tuple(Access(cluster, tuple(sorted(callers[cluster]))) for cluster in sorted(callers))
