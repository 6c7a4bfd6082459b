"""The join token of a process that starts for the first time."""

import os
import sys
from pathlib import Path

from isthmus.cli.error import CommandError, Exit


def read_join_token(source: str) -> str | None:
    """The token in a file, on standard input (`-`), or in ISTHMUS_TOKEN; None when there is none.

    The variable is removed, so that engines do not inherit it.
    """
    from_environment = os.environ.pop("ISTHMUS_TOKEN", "").strip()
    if source == "-":
        return sys.stdin.read().strip() or None
    if source:
        try:
            return Path(source).read_text().strip() or None
        except OSError as error:
            raise CommandError(f"The token file {source} cannot be read: {error.strerror}.", Exit.USAGE) from None
    return from_environment or None
