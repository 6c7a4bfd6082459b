"""What the verbs that are processes share: options, and how their end becomes an exit code."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli.error import CommandError, Exit

if TYPE_CHECKING:
    from isthmus.exporter.journal import Journal
    from isthmus.exporter.setting import OtlpSettings

TokenFileOption = Annotated[
    str,
    typer.Option(
        "--token-file",
        metavar="FILE|-",
        help="Join token, from `isthmus token create`; needed at the first start only. ISTHMUS_TOKEN does as well.",
    ),
]
MetricsOption = Annotated[
    str,
    typer.Option(
        "--metrics", metavar="HOST:PORT", help="Serve /healthz and /metrics here, over plain HTTP on loopback."
    ),
]
StopEnginesOption = Annotated[
    bool,
    typer.Option(
        "--stop-engines",
        help="On SIGTERM, stop the engines too. Without it they serve on and are adopted at the next start; SIGINT "
        "(Ctrl-C) always stops them.",
    ),
]
TelemetryOption = Annotated[
    bool, typer.Option("--telemetry/--no-telemetry", help="Whether what requests did is told and kept.")
]

OtlpOption = Annotated[
    str,
    typer.Option(
        "--otlp",
        metavar="FILE",
        help="Send the process's own metrics and log to an OpenTelemetry collector, as this YAML file says.",
    ),
]


def read_export(file: str) -> OtlpSettings | None:
    """What `--otlp` says; None without it."""
    from isthmus.exporter.setting import OtlpInvalid, read_otlp

    try:
        return read_otlp(Path(file)) if file else None
    except OtlpInvalid as error:
        raise CommandError(f"--otlp: {error}", Exit.USAGE, error.faults) from None


def make_journal(otlp: OtlpSettings | None) -> Journal | None:
    """Where a process's log waits for the collector, from the process's beginning; None: it is not sent."""
    from isthmus.exporter.journal import Journal

    return Journal() if otlp is not None and otlp.logs else None


def state_directory(path: Path) -> Path:
    """The state directory as an absolute path that Unix sockets fit into."""
    absolute = path.absolute()
    if len(str(absolute)) > 80:
        raise CommandError(
            f"The path {absolute} is too long: Unix sockets lie in it; use one under 80 bytes.", Exit.USAGE
        )
    return absolute


def run_process(
    run: Callable[[Any], Coroutine[Any, Any, None]],
    settings: Any,
    refused: tuple[type[Exception], ...] = (),
    journal: Journal | None = None,
) -> None:
    """Run a process until it is told to end. What keeps it from starting becomes a sentence.

    `refused`: what it raises when it is started wrongly. `journal`: gets its log too.
    """
    import asyncio

    from isthmus.cli.log import configure_log
    from isthmus.identity import CredentialMissing, IdentityError, JoinUnreachable

    configure_log(*[journal] if journal is not None else [])
    try:
        asyncio.run(run(settings))
    except JoinUnreachable as error:
        raise CommandError(str(error), Exit.UNREACHABLE) from None
    except refused as error:
        raise CommandError(str(error), Exit.USAGE) from None
    except CredentialMissing as error:
        raise CommandError(str(error), Exit.USAGE) from None
    except IdentityError as error:
        raise CommandError(str(error), Exit.NOT_AUTHORISED) from None
    except OSError as error:
        name = f" ({error.filename})" if error.filename else ""
        raise CommandError(f"{error.strerror or error}{name}.", Exit.INTERNAL) from None


@contextmanager
def console_errors() -> Iterator[None]:
    """Errors of the console's own files and database become sentences."""
    from isthmus.console.error import ConsoleError

    try:
        yield
    except ConsoleError as error:
        raise CommandError(str(error)) from None
