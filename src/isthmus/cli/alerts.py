"""`isthmus alerts`: what needs attention, and who is told of it."""

from typing import Annotated, Any

import typer

from isthmus.cli import silence
from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption, NamespaceOption

app = typer.Typer(help="What is wrong in the deployment, silences, and who is told.")
app.add_typer(silence.app, name="silence")


@app.callback(invoke_without_command=True)
def alerts(
    command: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="With those that are pending or resolved.")] = False,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what is wrong in the deployment. Exits 1 when an alert fires that no silence is of."""
    import time

    from isthmus.cli.connection import connect
    from isthmus.cli.output import duration_text, print_table, print_value, say

    if command.invoked_subcommand is not None:
        return
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
                (_state(each), each["severity"], each["rule"], duration_text(now - each["since"]), each["text"])
                for each in shown
            ),
        )
    else:
        say("No alert fires.")
    if any(each["state"] == "firing" and not each.get("silence") for each in shown):
        raise typer.Exit(Exit.NEGATIVE)


def _state(alert: dict[str, Any]) -> str:
    return f"{alert['state']}, silent" if alert.get("silence") and alert["state"] != "resolved" else str(alert["state"])


@app.command("history")
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50,
    rule: Annotated[str, typer.Option("--rule", metavar="NAME", help="Of this rule alone.")] = "",
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show alerts that fire or did in the last 30 days, newest first."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import duration_text, print_table, print_value

    with connect(context) as console:
        answer = console.get("/alerts/history", limit=limit, rule=rule or None)
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    print_table(
        ("BEGAN (UTC)", "LASTED", "SEVERITY", "RULE", "WHAT"),
        (
            (
                _time(each["since"]),
                duration_text(each["resolvedAt"] - each["since"]) if each["resolvedAt"] else "still fires",
                each["severity"],
                each["rule"],
                each["text"],
            )
            for each in answer["items"]
        ),
    )


@app.command("dry-run")
def dry_run(context: ContextOption = None, output: FormatOption = Format.TABLE) -> None:
    """Show which alerts would be sent to whom, and when. Nothing is sent."""
    import time

    from isthmus.cli.connection import connect
    from isthmus.cli.output import duration_text, print_table, print_value, say

    with connect(context) as console:
        answer = console.get("/alerts/dry-run")
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    now = time.time()
    rows = []
    for group in answer["groups"]:
        due = group["due"]
        when = "nothing to tell" if due is None else "now" if due <= now else f"in {duration_text(due - now)}"
        to = ", ".join(_path(each) for each in group["receivers"])
        for state in ("firing", "resolved"):
            rows += [(when, group["reason"], to, _path(group["policy"]), state, each["text"]) for each in group[state]]
    if rows:
        print_table(("WHEN", "WHY", "RECEIVERS", "POLICY", "STATE", "WHAT"), rows)
    else:
        say("Nothing would be sent.")
    for name, text in (("silenced", "silent"), ("unsent", "sent to nobody")):
        for each in answer[name]:
            say(f"{text}: {each['text']}")


@app.command("test")
def try_receiver(
    receiver: Annotated[str, typer.Argument(metavar="RECEIVER", help="Name of an AlertReceiver.")],
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Send a receiver a message that says that it is a test. Exits 1 when it was not taken."""
    from urllib.parse import quote

    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value, say

    path = f"/namespaces/{quote(namespace, safe='')}/alertreceivers/{quote(receiver, safe='')}/test"
    with connect(context, timeout=60) as console:
        answer = console.request("POST", path)
    if output is not Format.TABLE:
        print_value(answer, output)
    if answer["state"] != "delivered":
        raise CommandError(f"Not delivered: {answer['detail']}", Exit.NEGATIVE)
    say(f"delivered: {answer['detail']}")


@app.command("receivers")
def receivers(context: ContextOption = None, output: FormatOption = Format.TABLE) -> None:
    """Show who is told of alerts, and whether that works."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_table, print_value

    with connect(context) as console:
        answer = console.get("/alerts/receivers")
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    words = {True: "works", False: "fails", None: "not tried"}
    print_table(
        ("RECEIVER", "TYPE", "STATE", "WAITING", "POLICIES", "LAST"),
        (
            (
                _path(each["key"]),
                each["type"],
                words[each["works"]],
                each["waiting"],
                ", ".join(map(_path, each["policies"])) or "none",
                each["detail"],
            )
            for each in answer["items"]
        ),
    )


@app.command("deliveries")
def deliveries(
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")] = 50,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show what was sent in the last 30 days, and what became of it, newest first."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_table, print_value

    with connect(context) as console:
        answer = console.get("/alerts/deliveries", limit=limit)
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    print_table(
        ("AT (UTC)", "RECEIVER", "STATE", "ATTEMPTS", "MESSAGE", "DETAIL"),
        (
            (
                _time(each["created"]),
                _path(each["receiver"]),
                each["state"],
                each["attempts"],
                each["title"],
                each["detail"],
            )
            for each in answer["items"]
        ),
    )


def _path(key: str) -> str:
    """`namespace/name` of a key."""
    return "/".join(key.split("/")[2:])


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
