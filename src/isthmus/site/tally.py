"""What became of what receivers of telemetry were to get, over changes of their settings, and after they are gone."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from isthmus.model.key import ObjectKey
from isthmus.telemetry.forwarder import Forwarder
from isthmus.telemetry.spool import Spool

MOST_GONE = 100
"""Receivers that are no more whose losses are still shown; beyond it the longest gone are forgotten."""


@dataclass(slots=True)
class Tally:
    """Of one receiver, since the agent began.

    Attributes:
        lost: items that it will never get, by reason.
        lost_at: Unix time at which the last loss was noticed.
    """

    delivered: int = 0
    lost: dict[str, int] = field(default_factory=dict)
    lost_at: float | None = None
    _running: tuple[Spool, Mapping[str, Forwarder]] | None = None
    _noticed: tuple[int, str] = (0, "")

    def follow(self, spool: Spool, forwarders: Mapping[str, Forwarder]) -> None:
        """Count what these count. The forwarders are by what they forward."""
        self.settle()
        self._running = (spool, forwarders)

    def settle(self) -> None:
        """They end; what they have counted stays."""
        delivered, lost = self.all_delivered(), self.losses()
        self.delivered, self.lost, self._running = delivered, lost, None

    def lose(self, reason: str, items: int) -> None:
        """So many more."""
        if items:
            self.lost[reason] = self.lost.get(reason, 0) + items

    def all_delivered(self) -> int:
        """Items that the receiver took."""
        forwarders = self._running[1].values() if self._running is not None else ()
        return self.delivered + sum(each.delivered_requests for each in forwarders)

    def losses(self) -> dict[str, int]:
        """Items lost, by reason, sorted."""
        found = dict(self.lost)
        if self._running is not None:
            spool, forwarders = self._running
            refused = sum(each.refused_requests for each in forwarders.values())
            for reason, items in (("buffer", spool.dropped_requests), ("refused", refused)):
                found[reason] = found.get(reason, 0) + items
        return {reason: items for reason, items in sorted(found.items()) if items}

    def error(self) -> str:
        """Why the last tries failed, and of what; empty when none did."""
        failing = self._running[1].items() if self._running is not None else ()
        reasons: dict[str, list[str]] = {}
        for what, forwarder in failing:
            if forwarder.error:
                reasons.setdefault(forwarder.error, []).append(what)
        return "; ".join(f"{', '.join(what)}: {reason}" if any(what) else reason for reason, what in reasons.items())

    def error_since(self) -> float | None:
        """Unix time since when tries have failed; None: the last did not."""
        forwarders = self._running[1].values() if self._running is not None else ()
        return min((each.error_since for each in forwarders if each.error_since is not None), default=None)

    def notice(self) -> bool:
        """Whether something was lost, or its error is another, since the last call."""
        now = (sum(self.losses().values()), self.error())
        before, self._noticed = self._noticed, now
        if now[0] > before[0]:
            self.lost_at = time.time()
        return now != before


class Tallies:
    """By receiver."""

    def __init__(self) -> None:
        self._tallies: dict[ObjectKey, Tally] = {}

    def of(self, key: ObjectKey) -> Tally:
        """The receiver's, from now on if there was none."""
        return self._tallies.setdefault(key, Tally())

    def gone(self, running: set[ObjectKey]) -> Iterator[tuple[ObjectKey, Tally]]:
        """Those of receivers that do not run but have lost something, the longest gone first."""
        return ((key, each) for key, each in self._tallies.items() if key not in running and each.losses())

    def leave(self, key: ObjectKey) -> None:
        """A receiver is no more."""
        tally = self._tallies.pop(key, None)
        if tally is not None:
            tally.settle()
            self._tallies[key] = tally  # behind those that went before

    def forget(self, running: set[ObjectKey]) -> None:
        """Keep what there is to say, and not without end."""
        gone = [key for key in self._tallies if key not in running]
        shown = [key for key, _ in self.gone(running)]
        for key in set(gone) - set(shown[-MOST_GONE:]):
            del self._tallies[key]

    def notice(self) -> bool:
        """Whether any has something new to say. Each is asked, so that each knows when it lost something."""
        return sum(each.notice() for each in self._tallies.values()) > 0
