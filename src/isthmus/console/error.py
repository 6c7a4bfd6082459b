"""What the console refuses, by whose fault it is. The texts are sentences for people."""

from collections.abc import Sequence

from isthmus.model.diagnostic import Diagnostic


class ConsoleError(Exception):
    """The console cannot start or go on: settings, files or the database are at fault."""


class RequestRefused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status code.
        code: stable identifier for scripts.
        diagnostics: what is wrong with which object.
        retry_after: seconds after which it may be tried again; None where that would not help.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        diagnostics: Sequence[Diagnostic] = (),
        *,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.diagnostics = tuple(diagnostics)
        self.retry_after = retry_after
