"""How it stands with a certificate by ACME, as people are told."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """What happened to a certificate's orders. Times are aware, in UTC.

    Attributes:
        activity: what is being done about it at the moment; empty when nothing is.
        failures: how often in a row it could not be got.
        error: why not, the last time.
        failed_at: when that was.
        next_attempt: when it is tried again.
        offline: sites that were to answer the last challenge and are not connected.
    """

    activity: str = ""
    failures: int = 0
    error: str = ""
    failed_at: datetime | None = None
    next_attempt: datetime | None = None
    offline: tuple[str, ...] = ()
