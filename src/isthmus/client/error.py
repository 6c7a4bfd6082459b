"""What can go wrong when the console is asked, by what the caller can do about it."""

from collections.abc import Mapping, Sequence
from typing import Any


class ConsoleError(Exception):
    """The console did not do what was asked. The text is a sentence for people.

    Attributes:
        diagnostics: one mapping (code, object, field, message, mend) per error, as the API gives them; often empty.
    """

    def __init__(self, message: str, diagnostics: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class Unreachable(ConsoleError):
    """No console answered, or what answered is not the console that the caller trusts."""


class NotAuthorised(ConsoleError):
    """The token is missing, wrong, expired or may not do this."""


class NotFound(ConsoleError):
    """What was asked for does not exist."""


class Conflict(ConsoleError):
    """Somebody else changed the object meanwhile, or others refer to it."""


class Refused(ConsoleError):
    """The request is at fault; the diagnostics say where."""


class Failed(ConsoleError):
    """The console itself failed."""
