"""`isthmus alerts`: what needs attention."""

from typing import Annotated

import typer

from isthmus.cli.error import Exit
from isthmus.cli.option import ContextOption, Format, FormatOption


def alerts(
    every: Annotated[bool, typer.Option("--all", help="With those that are pending or resolved.")] = False,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what is wrong in the deployment. Exits 1 when an alert fires."""
    import time

    from isthmus.cli.connection import connect
    from isthmus.cli.output import duration_text, print_table, print_value, say

    with connect(context) as console:
        answer = console.get("/alerts")
    shown = [each for each in answer["items"] if every or each["state"] == "firing"]
    if output is not Format.TABLE:
        print_value({**answer, "items": shown}, output)
    elif shown:
        now = time.time()
        print_table(
            ("STATE", "SEVERITY", "RULE", "SINCE", "WHAT"),
            (
                (each["state"], each["severity"], each["rule"], duration_text(now - each["since"]), each["text"])
                for each in shown
            ),
        )
    else:
        say("No alert fires.")
    if answer["firing"]:
        raise typer.Exit(Exit.NEGATIVE)
