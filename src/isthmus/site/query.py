"""Answers to questions about this site, from the console or from people on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isthmus.protocol import QueryFailed

if TYPE_CHECKING:
    from isthmus.site.agent import SiteAgent


def answer(agent: SiteAgent, kind: str, body: bytes) -> bytes:
    """JSON to JSON. Raises QueryFailed for a kind that is unknown."""
    if kind == "status":
        return agent.report()
    raise QueryFailed("unsupported", f"This site does not answer {kind!r}.")
