"""`isthmus demo`: the whole system on this machine, on real traffic."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Run the scenario once, print a JSON report on standard output, exit 0 or 1. No staying up."
        ),
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="DIR", help="Keep state and logs in this directory, which must be empty or new."
        ),
    ] = None,
) -> None:
    """Start a console, two regions and three sites here, and show what they do on real traffic.

    Everything runs on loopback addresses and free ports below a temporary directory, so several demos can run at
    once. Afterwards it stays up for you to try; Ctrl-C stops everything.
    """
    from isthmus.cli.error import CommandError, Exit
    from isthmus.demo.run import run_demo

    keep = keep.absolute() if keep else None
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise CommandError(f"{keep} is not an empty directory.", Exit.USAGE)
    if keep is not None and len(str(keep)) > 60:
        raise CommandError(f"The path {keep} is too long: Unix sockets lie in it; use one under 60 bytes.", Exit.USAGE)
    raise typer.Exit(run_demo(check=check, keep=keep))
