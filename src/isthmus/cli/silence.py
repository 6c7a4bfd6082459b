"""`isthmus alerts silence`: alerts that nobody is told of for a while."""

from typing import Annotated

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption

app = typer.Typer(help="Alerts that nobody is told of for a while.", no_args_is_help=True)


@app.command("create")
def create(
    matchers: Annotated[
        list[str],
        typer.Argument(
            metavar="MATCHER...",
            help="LABEL=VALUE, or !=, =~, !~. Labels: alertname, severity, subject, site, namespace, object.",
        ),
    ],
    comment: Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why.")],
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long.")] = "2h",
    after: Annotated[str, typer.Option("--after", metavar="DURATION", help="When it begins; now when left out.")] = "",
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Tell nobody of alerts that meet all matchers. They are still shown."""
    import time

    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value, say
    from isthmus.model.value import milliseconds

    try:
        seconds = milliseconds(duration) / 1000
        later = milliseconds(after) / 1000 if after else None
    except ValueError as error:
        raise CommandError(f"{error}.", Exit.USAGE) from None
    body = {"matchers": matchers, "durationSeconds": seconds, "comment": comment}
    if later is not None:
        body["starts"] = time.time() + later
    with connect(context) as console:
        answer = console.request("POST", "/alerts/silences", body)
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    print(answer["id"])
    say(f"silent for {duration}{f' after {after}' if after else ''}: {', '.join(answer['matchers'])}; "
        f"{answer['alerts']} of the alerts that fire now")  # fmt: skip


@app.command("list")
def list_silences(
    every: Annotated[bool, typer.Option("--all", help="With those that have expired.")] = False,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show silences, active ones first."""
    import time

    from isthmus.cli.connection import connect
    from isthmus.cli.output import duration_text, print_table, print_value

    with connect(context) as console:
        answer = console.get("/alerts/silences")
    shown = [each for each in answer["items"] if every or each["state"] != "expired"]
    if output is not Format.TABLE:
        print_value({**answer, "items": shown}, output)
        return
    now = time.time()
    print_table(
        ("ID", "STATE", "ENDS", "ALERTS", "MATCHERS", "AUTHOR", "COMMENT"),
        (
            (
                each["id"],
                each["state"],
                f"in {duration_text(each['ends'] - now)}" if each["ends"] > now else "",
                each["alerts"],
                ", ".join(each["matchers"]),
                each["author"],
                each["comment"],
            )
            for each in shown
        ),
    )


@app.command("expire")
def expire(
    silence: Annotated[str, typer.Argument(metavar="ID", help="As `isthmus alerts silence list` shows it.")],
    context: ContextOption = None,
) -> None:
    """End a silence now."""
    from urllib.parse import quote

    from isthmus.cli.connection import connect
    from isthmus.cli.output import say

    with connect(context) as console:
        console.request("DELETE", f"/alerts/silences/{quote(silence, safe='')}")
    say(f"silence {silence} has ended")
