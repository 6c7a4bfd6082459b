"""What the console and regions send of themselves to collectors, for pages."""

import time
from typing import Any

from isthmus.console.receiver_state import ReceiverState, parse_signals


def read_signals(report: Any) -> list[tuple[ReceiverState, str, str]]:
    """Each signal with level and word of its state; nothing where nothing is sent. A region may say anything."""
    now = time.time()
    return [(each, *each.word(now)) for each in parse_signals(report)]
