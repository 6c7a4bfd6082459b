"""A client of the console's API for Python: standard library only, imports nothing else of Isthmus."""

from isthmus.client.console import Console
from isthmus.client.error import Conflict, ConsoleError, Failed, NotAuthorised, NotFound, Refused, Unreachable
from isthmus.client.trust import Trust, TrustError, fetch_authority, parse_bundle

__all__ = [
    "Conflict",
    "Console",
    "ConsoleError",
    "Failed",
    "NotAuthorised",
    "NotFound",
    "Refused",
    "Trust",
    "TrustError",
    "Unreachable",
    "fetch_authority",
    "parse_bundle",
]
