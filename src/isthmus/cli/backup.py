"""`isthmus backup`: a console's whole deployment in one file."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.option import DatabaseOption, StateOption


def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="File to write; it must not exist.")],
    state: StateOption,
    database: DatabaseOption = "",
) -> None:
    """Write objects, revisions and the certificate authority to a file. The console may run meanwhile.

    The file holds the authority's private key: keep it as safe as the console itself. It is readable by its owner only.
    """
    from isthmus.cli.error import CommandError, Exit
    from isthmus.cli.process import console_errors
    from isthmus.console.backup import backup as write

    if out.exists():
        raise CommandError(f"{out} exists already.", Exit.USAGE)
    with console_errors():
        summary = write(state, database or None, out)
    print(f"{out}: {summary.objects} objects, revision {summary.revision}, epoch {summary.epoch}")
