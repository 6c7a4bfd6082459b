"""`isthmus rollout`: moves a canary step by step, and takes it back when it is worse."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption, NamespaceOption

if TYPE_CHECKING:
    from isthmus.cli.rollout_run import Target

app = typer.Typer(
    help="Move a canary step by step; halt it, and take it back when it is worse than the stable version.",
    no_args_is_help=True,
)
RouteArgument = Annotated[str, typer.Argument(metavar="ROUTE", help="The Route that forwards to both versions.")]
CanaryOption = Annotated[
    str | None,
    typer.Option(
        "--canary",
        metavar="CLUSTER[:SUBSET]",
        help="The new version: a Cluster of the route's namespace (or shared/NAME), or a subset of one. Taken from the "
        "route's last rollout when left out.",
    ),
]


@app.command("start")
def start(
    route: RouteArgument,
    canary: CanaryOption = None,
    namespace: NamespaceOption = "default",
    steps: Annotated[
        str, typer.Option("--steps", metavar="PERCENT,…", help="Shares of the requests, rising.")
    ] = "5,25,50,100",
    every: Annotated[str, typer.Option("--every", metavar="DURATION", help="Time at each step.")] = "1m",
    patience: Annotated[
        str,
        typer.Option("--patience", metavar="DURATION", help="How long to wait at a step for enough requests."),
    ] = "30m",
    least_requests: Annotated[
        int, typer.Option("--least-requests", min=1, metavar="N", help="Requests of the canary before it is judged.")
    ] = 50,
    error_margin: Annotated[
        float,
        typer.Option(
            "--error-margin",
            min=0,
            max=100,
            metavar="PERCENT",
            help="By how many percentage points more of its requests may fail than of the stable version's.",
        ),
    ] = 1.0,
    latency_ratio: Annotated[
        float,
        typer.Option(
            "--latency-ratio",
            min=1,
            metavar="FACTOR",
            help="How many times the stable version's its median and its 90th percentile may be.",
        ),
    ] = 1.5,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Give the canary a larger share at each step, and judge it meanwhile against what the stable version answers.

    Runs until the last step is held, and exits 0. When more of the canary's requests fail or they take longer, it is
    taken back to 0 % and the exit code is 1; so it is when there are too few requests to say, and the share then stays.
    Ctrl-C leaves the share as it is: start again to go on.
    """
    from dataclasses import asdict

    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value, say
    from isthmus.cli.rollout_run import RolloutRun
    from isthmus.rollout import Limits, Schedule

    schedule = Schedule(_steps(steps), _seconds(every, "--every"), _seconds(patience, "--patience"))
    limits = Limits(least_requests, error_margin / 100, latency_ratio)
    with connect(context) as console:
        target = _target(console, namespace, route, canary)
        run = RolloutRun(console, target, schedule, limits, say)
        try:
            outcome = _ask(run.run)
        except KeyboardInterrupt:
            say(
                f"stopped; {target.canary} keeps {run.outcome.percent:g} %. Start again to go on, or take it back with "
                f"`isthmus rollout undo {route} -n {namespace}`."
            )
            raise
    if output is not Format.TABLE:
        print_value(asdict(outcome), output)
    if outcome.state != "done":
        raise CommandError(f"The rollout is {outcome.state} at {outcome.percent:g} %: {outcome.reason}.")
    say(f"done: {target.canary} has {outcome.percent:g} %")


@app.command("status")
def status(
    route: RouteArgument,
    canary: CanaryOption = None,
    namespace: NamespaceOption = "default",
    window: Annotated[str, typer.Option("--window", metavar="DURATION", help="What requests did in that time.")] = "1m",
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show how far a rollout is, and what the requests of both versions did lately."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_table, print_value
    from isthmus.cli.rollout_run import measure, rollout_state
    from isthmus.rollout import find_share

    seconds = _seconds(window, "--window")
    with connect(context) as console:
        target = _target(console, namespace, route, canary)
        document = console.get(target.path)
        percent = _ask(lambda: find_share(document, target.canary))
        samples = dict(zip(("canary", "stable"), measure(console, target, document, seconds), strict=True))
    noted = rollout_state(document)
    if output is not Format.TABLE:
        plain = {
            name: {"requests": s.requests, "failed": s.failed, "p50": s.p50, "p90": s.p90}
            for name, s in samples.items()
        }
        print_value({**noted, "canary": str(target.canary), "percent": percent, "samples": plain}, output)
        return
    reason = f": {noted['reason']}" if noted.get("reason") else ""
    print(f"{target.canary} has {percent:g} % of {namespace}/{route}; {noted.get('state', 'no rollout')}{reason}")
    print_table(
        ("VERSION", "REQUESTS", "FAILED", "P50", "P90"),
        ((name, s.requests, f"{s.error_rate:.1%}", _ms(s.p50), _ms(s.p90)) for name, s in samples.items()),
    )


@app.command("halt")
def halt(
    route: RouteArgument,
    canary: CanaryOption = None,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
) -> None:
    """End a rollout where it is: the canary keeps its share, and the command that moves it stops."""
    _end(namespace, route, canary, context, None, "halted", "halted by hand")
    print(f"rollout of {namespace}/{route} halted")


@app.command("undo")
def undo(
    route: RouteArgument,
    canary: CanaryOption = None,
    namespace: NamespaceOption = "default",
    context: ContextOption = None,
) -> None:
    """Take the canary back: it gets no requests any more, and the command that moves it stops."""
    target = _end(namespace, route, canary, context, 0.0, "undone", "taken back by hand")
    print(f"{target.canary} has 0 % of {namespace}/{route}")


def _end(
    namespace: str,
    route: str,
    canary: str | None,
    context: str | None,
    percent: float | None,
    state: str,
    reason: str,
) -> "Target":
    from isthmus.cli.connection import connect
    from isthmus.cli.rollout_run import put_share

    with connect(context) as console:
        target = _target(console, namespace, route, canary)
        _ask(lambda: put_share(console, target, percent, state, reason))
    return target


def _target(console: Any, namespace: str, route: str, canary: str | None) -> "Target":
    from isthmus.cli.rollout_run import Target, rollout_state
    from isthmus.client.console import object_path
    from isthmus.rollout import parse_share

    text = canary
    if text is None:
        text = rollout_state(console.get(object_path("routes", namespace, route))).get("canary")
    if not text:
        raise CommandError(f"{namespace}/{route} has had no rollout: give --canary CLUSTER[:SUBSET].", Exit.USAGE)
    return Target(namespace, route, _ask(lambda: parse_share(str(text)), Exit.USAGE))


def _ask(work: Any, code: Exit = Exit.NEGATIVE) -> Any:
    from isthmus.rollout import ShareError

    try:
        return work()
    except ShareError as error:
        raise CommandError(f"{str(error)[:1].upper()}{str(error)[1:]}.", code) from None


def _steps(text: str) -> tuple[float, ...]:
    try:
        steps = tuple(float(part) for part in text.split(","))
    except ValueError:
        steps = ()
    if not steps or any(not 0 < step <= 100 for step in steps) or list(steps) != sorted(set(steps)):
        raise CommandError("--steps: write rising percentages up to 100, for example 5,25,50,100.", Exit.USAGE)
    return steps


def _seconds(text: str, option: str) -> float:
    from isthmus.model.value import milliseconds

    try:
        seconds = milliseconds(text) / 1000
    except ValueError as error:
        raise CommandError(f"{option}: {error}.", Exit.USAGE) from None
    if seconds <= 0:
        raise CommandError(f"{option}: must be longer than 0.", Exit.USAGE)
    return seconds


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f} ms"
