"""What the pages are called, and in which order they stand."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A page in the navigation: `icon` is a symbol of the layout's sprite."""

    path: str
    title: str
    icon: str

    def is_at(self, here: str) -> bool:
        """Whether a path is this page or below it."""
        return here == self.path or (self.path != "/" and here.startswith(f"{self.path}/"))


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Watch",
        (
            Entry("/", "Overview", "overview"),
            Entry("/map", "Map", "map"),
            Entry("/sites", "Sites", "site"),
            Entry("/graph", "Service graph", "graph"),
            Entry("/requests", "Requests", "request"),
            Entry("/apis", "API endpoints", "api"),
            Entry("/alerts", "Alerts", "alert"),
            Entry("/events", "Events", "event"),
        ),
    ),
    (
        "Declare",
        (
            Entry("/virtualhosts", "Virtual hosts", "host"),
            Entry("/objects", "All objects", "object"),
            Entry("/explain", "Explain", "explain"),
        ),
    ),
    ("Administer", (Entry("/settings", "Settings", "setting"),)),
)

RANGES = (("-5m", "5 min"), ("-15m", "15 min"), ("-1h", "1 h"), ("-6h", "6 h"), ("-1d", "1 d"), ("-7d", "7 d"))
"""Time ranges that pages offer: how long before now, and what they are called."""
