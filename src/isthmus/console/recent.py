"""The newest events in memory: so many in all, and a part of them for one site or region and for one namespace.

A site may say anything, so it and what it says of a namespace push out nothing of the others'.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Literal

from isthmus.console.record import Event

KEPT = 5000
"""Events that are remembered; the oldest are dropped first."""
OF_SUBJECT, OF_NAMESPACE = 1000, 2000
"""The same of one site or region, and of one namespace."""

Part = Literal["subject", "namespace"]


def find_parts(event: Event) -> tuple[tuple[Part, str], ...]:
    """Whose parts it takes: (`subject`, that of the event) and, about an object of one, (`namespace`, its name)."""
    pieces = event.key.split("/")
    namespace = pieces[2] if len(pieces) == 4 else ""
    return (("subject", event.subject), *((("namespace", namespace),) if namespace else ()))


class RecentEvents:
    """By number, which grows."""

    def __init__(self) -> None:
        self._events: OrderedDict[int, Event] = OrderedDict()
        self._parts: dict[tuple[Part, str], OrderedDict[int, None]] = {}

    def add(self, event: Event) -> Event | None:
        """Remember one; what was forgotten for it."""
        gone = None
        for part in find_parts(event):
            numbers = self._parts.setdefault(part, OrderedDict())
            numbers[event.number] = None
            if len(numbers) > (OF_SUBJECT if part[0] == "subject" else OF_NAMESPACE) and gone is None:
                gone = next(iter(numbers))
        self._events[event.number] = event
        if gone is None and len(self._events) > KEPT:
            gone = next(iter(self._events))
        return self._forget(gone) if gone is not None else None

    def _forget(self, number: int) -> Event:
        event = self._events.pop(number)
        for part in find_parts(event):
            numbers = self._parts[part]
            del numbers[number]
            if not numbers:
                del self._parts[part]
        return event

    def newest_first(self) -> Iterator[Event]:
        """All of them."""
        return reversed(self._events.values())

    def after(self, number: int) -> list[Event]:
        """Those with higher numbers, oldest first."""
        found = []
        for each in self.newest_first():
            if each.number <= number:
                break
            found.append(each)
        return found[::-1]
