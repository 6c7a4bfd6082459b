"""A source: one service registry that is asked for servers, and asked again or watched for as long as it runs."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from isthmus.discovery.found import Answer
from isthmus.discovery.query import Query

Listen = Callable[[Query, Answer], None]
"""Hears every answer, at once and in the event loop; equal answers may be told again. Never raises, never blocks."""


class Source(ABC):
    """Made with its settings and the secrets that they name; made anew when one of these changes.

    The contract that all methods are tested against:

    1. `watch` says the full set of queries. What is new is asked soon; what is no longer in it is asked no more, and
       nothing is told about it after `watch` has returned.
    2. Each query is answered: with servers, with none when the registry says so, or with an error. A source never
       reports "none" because it failed: whoever listens keeps the last good answer when there is an error.
    3. A registry that is away, slow or wrong is asked again with growing and jittered pauses, for ever. One query that
       fails does not hold up another.
    4. No method blocks the event loop; `watch` may be called before `start` and after `stop`.
    5. No secret shows in errors or logs.
    """

    @abstractmethod
    async def start(self) -> None:
        """Begin to ask. Returns at once, whether the registry is there or not."""

    @abstractmethod
    async def stop(self) -> None:
        """End everything that was begun. Nothing is told afterwards."""

    @abstractmethod
    def watch(self, queries: frozenset[Query]) -> None:
        """Ask these from now on, and no others."""
