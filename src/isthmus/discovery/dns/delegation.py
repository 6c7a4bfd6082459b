"""Publishing by delegation: the records of a site become a zone that it answers for itself."""

import time
from collections.abc import Callable

from isthmus.discovery.dns.responder import Responder
from isthmus.discovery.dns.zone import make_zone
from isthmus.discovery.publisher import Publisher, Report
from isthmus.discovery.record import VipRecord
from isthmus.discovery.setting import DnsDelegation


class DelegationPublisher(Publisher):
    """See `Publisher`. Nothing outlives the process, so there is nothing to own: `withdraw` makes no difference."""

    def __init__(
        self, delegation: DnsDelegation, responder: Responder, report: Report, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._delegation = delegation
        self._responder = responder
        self._report = report
        self._clock = clock
        self._records: frozenset[VipRecord] | None = None
        self._running = False
        self._serial = 0

    async def start(self) -> None:
        """See `Publisher`."""
        self._running = True
        self._serve()

    async def stop(self, *, withdraw: bool) -> None:
        """See `Publisher`."""
        self._running = False
        self._responder.withdraw(self)

    def publish(self, records: frozenset[VipRecord]) -> None:
        """See `Publisher`."""
        if records != self._records:
            self._records = records
            self._serve()

    def _serve(self) -> None:
        """The serial is the time in seconds: it rises with every change, also over restarts."""
        if not self._running or self._records is None:
            return
        self._serial = max(self._serial + 1, int(self._clock()))
        zone = make_zone(self._delegation, self._records, self._serial)
        self._responder.serve(self, zone, self._delegation.listen, self._tell)
        self._tell()

    def _tell(self) -> None:
        """A record is published when any address answers; clients ask the zone's other name servers by themselves."""
        errors = [self._responder.error(server) for server in self._delegation.listen]
        if any(error == "" for error in errors):
            text = ""
        elif None in errors:
            return
        else:
            text = "; ".join(sorted({error for error in errors if error}))
        for record in sorted(self._records or ()):
            self._report(record, text)
