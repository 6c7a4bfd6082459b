"""Lists that page and filter on the server; filters and page are in the address, so that every view has a link."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import urlencode

from isthmus.console.web.visit import Visit

T = TypeVar("T")
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `number` counts from 1; `first` and `last` are positions from 1, 0 when empty."""

    items: Sequence[T]
    number: int
    pages: int
    total: int
    first: int
    last: int
    path: str
    query: dict[str, str]

    def url(self, number: int) -> str:
        """Another page of the same list."""
        given = {name: value for name, value in self.query.items() if value and name not in ("page", "done")}
        if number > 1:
            given["page"] = str(number)
        return f"{self.path}?{urlencode(given)}" if given else self.path


def page_of(visit: Visit, items: Sequence[T], size: int = PAGE_SIZE) -> Page[T]:
    """The page that the address asks for; the nearest one when there is no such page."""
    pages = max(1, -(-len(items) // size))
    asked = visit.query("page", "1")
    number = min(max(1, int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 1), pages)
    shown = items[(number - 1) * size : number * size]
    first = (number - 1) * size + 1 if shown else 0
    query = dict(visit.request.query_params)
    return Page(shown, number, pages, len(items), first, first + len(shown) - 1 if shown else 0, _path(visit), query)


def _path(visit: Visit) -> str:
    return visit.request.url.path


def matching(items: Iterable[T], asked: str, words: Callable[[T], str]) -> list[T]:
    """The items whose words hold every word that is asked for."""
    wanted = asked.lower().split()
    if not wanted:
        return list(items)
    found = []
    for item in items:
        text = words(item).lower()
        if all(word in text for word in wanted):
            found.append(item)
    return found
