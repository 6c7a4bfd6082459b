"""Texts that go into headers of HTTP (RFC 9110, 5.5): tokens above all."""

import re

_UNSENDABLE = re.compile(r"[^\x21-\x7e \t]")


def find_unsendable(text: str) -> int | None:
    """Where the first character is, counted from 1, that a header cannot hold; None without one. Space around is none
    of the text."""
    found = _UNSENDABLE.search(text.strip())
    return found.start() + 1 if found is not None else None
