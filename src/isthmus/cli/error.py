"""Exit codes, and the one way in which a command fails: a sentence on stderr."""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """What scripts can rely on."""

    OK = 0
    NEGATIVE = 1
    """Diagnostics, a refused request, something not found; for `diff`: there are differences."""
    USAGE = 2
    UNREACHABLE = 3
    NOT_AUTHORISED = 4
    CONFLICT = 5
    INTERNAL = 70
    """A defect of Isthmus or of its environment."""


EXIT_CODES = (
    "Exit codes: 0 done; 1 diagnostics or a negative answer (diff: differences); 2 wrong usage; 3 cannot reach the "
    "console or site; 4 not authorised; 5 conflict; 70 internal error."
)


class CommandError(Exception):
    """A command ends with a sentence, lines of detail and an exit code."""

    def __init__(self, message: str, code: Exit = Exit.NEGATIVE, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = tuple(details)
