"""A publisher: one service registry that is told under which addresses virtual hosts are served here."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from isthmus.discovery.record import VipRecord

Report = Callable[[VipRecord, str], None]
"""Hears of each record what became of it: an error for people, without secrets, or "" once it is published."""


class Publisher(ABC):
    """Made with its settings and the secrets that they name; made anew when one of these changes.

    The contract that all methods are tested against:

    1. `publish` says the full set of records. What is new is published, what changed is replaced, and what is no longer
       in it is withdrawn, also when a process before this one had published it.
    2. Only entries that bear this publisher's mark of ownership are ever replaced or withdrawn. An entry of somebody
       else under the same name stays, and is reported as the record's error.
    3. What fails is tried again with growing and jittered pauses, for ever, and reported per record.
    4. No method blocks the event loop; `publish` may be called before `start` and after `stop`.
    5. No secret shows in errors or logs.
    """

    @abstractmethod
    async def start(self) -> None:
        """Begin to publish. Returns at once, whether the registry is there or not."""

    @abstractmethod
    async def stop(self, *, withdraw: bool) -> None:
        """End. With `withdraw` try once, for a second or two, to take back what was published: the site ends for good.
        Without, it all stays: an agent that restarts has served on meanwhile."""

    @abstractmethod
    def publish(self, records: frozenset[VipRecord]) -> None:
        """Keep these published from now on, and no others."""
