"""How long the store keeps what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retention:
    """Days that rows are kept, and `endpoints` of APIs that nobody asks for.

    Seconds are for looking closely at what has just happened."""

    seconds: float = 0.25
    minutes: float = 14
    hours: float = 400
    records: float = 7
    endpoints: float = 30
