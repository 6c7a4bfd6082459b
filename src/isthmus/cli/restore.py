"""`isthmus restore`: a console's deployment from a backup."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.option import DatabaseOption, StateOption


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="File that `isthmus backup` wrote.")],
    state: StateOption,
    database: DatabaseOption = "",
) -> None:
    """Make an empty console the one of a backup. Start it afterwards.

    The epoch rises, so that what this console says counts as newer than anything the lost one said. Sites and
    regions keep running throughout, and need not join again.
    """
    from isthmus.cli.process import console_errors
    from isthmus.console.backup import restore as read

    with console_errors():
        summary = read(state, database or None, source)
    print(f"restored {summary.objects} objects, revision {summary.revision}; the epoch is now {summary.epoch}")
