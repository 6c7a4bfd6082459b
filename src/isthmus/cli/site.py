"""`isthmus site`: the process of a site; drain and undrain."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption
from isthmus.cli.process import MetricsOption, StopEnginesOption, TelemetryOption, TokenFileOption, state_directory

app = typer.Typer(help="Run a site; drain it.", invoke_without_command=True)


@app.callback()
def site(
    command: typer.Context,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="DIR", help="Directory that keeps everything the site must remember."),
    ] = None,
    token_file: TokenFileOption = "",
    metrics: MetricsOption = "",
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=256, metavar="N", help="Worker threads of Envoy.")
    ] = 1,
    max_connections: Annotated[
        int, typer.Option("--max-connections", min=1, metavar="N", help="Client connections of Envoy in all.")
    ] = 50_000,
    stop_engines: StopEnginesOption = False,
    telemetry: TelemetryOption = True,
    telemetry_buffer: Annotated[
        int,
        typer.Option("--telemetry-buffer", min=1, metavar="MIB", help="Disk for telemetry that no region has taken."),
    ] = 256,
    receiver_buffer: Annotated[
        int,
        typer.Option(
            "--receiver-buffer",
            min=1,
            metavar="MIB",
            help="Disk for what all TelemetryReceivers together have not taken; namespaces share it fairly.",
        ),
    ] = 1024,
    record_share: Annotated[
        float,
        typer.Option(
            "--record-share",
            min=0,
            max=1,
            metavar="SHARE",
            help="Of the requests that did not fail, how many are kept as whole records. All are counted.",
        ),
    ] = 1.0,
    records_per_second: Annotated[
        int,
        typer.Option("--records-per-second", min=0, metavar="N", help="At most about so many of these in a second."),
    ] = 1000,
    certificates: Annotated[
        Path | None,
        typer.Option("--certificates", metavar="DIR", help="Read files of certificates in this folder alone."),
    ] = None,
    log_directory: Annotated[
        Path | None,
        typer.Option(
            "--log-directory",
            metavar="DIR",
            help="Where files of TelemetryReceivers lie, in a folder per namespace. Default: STATE/log-files.",
        ),
    ] = None,
    log_files: Annotated[
        int,
        typer.Option(
            "--log-files",
            min=1,
            metavar="MIB",
            help="Disk for these files, of all TelemetryReceivers together; namespaces share it fairly.",
        ),
    ] = 10240,
    access_log: Annotated[
        bool,
        typer.Option("--access-log", help="Write each request to STATE/access.log as well, as a line of JSON."),
    ] = False,
) -> None:
    """Run a site: its agent, which supervises Envoy and the BGP speaker and gives them what the objects say.

    At the first start it joins with a token; afterwards everything comes from the state directory, and no other
    plane is needed to serve. With a subcommand, drain or undrain a site from anywhere.
    """
    if command.invoked_subcommand is not None:
        return
    from isthmus.cli.address import parse_address
    from isthmus.cli.join_token import read_join_token
    from isthmus.cli.process import run_process
    from isthmus.site.directory import StateInUse, StateUnusable
    from isthmus.site.process import TokenMissing, run
    from isthmus.site.settings import SiteSettings

    if state is None:
        raise CommandError("`isthmus site` needs --state DIR.", Exit.USAGE)
    settings = SiteSettings(
        state=state_directory(state),
        token=read_join_token(token_file),
        metrics=parse_address(metrics, "--metrics") if metrics else None,
        concurrency=concurrency,
        max_connections=max_connections,
        stop_engines=stop_engines,
        access_log=access_log,
        telemetry=telemetry,
        telemetry_buffer=telemetry_buffer << 20,
        receiver_buffer=receiver_buffer << 20,
        record_share=record_share,
        records_per_second=records_per_second,
        certificates=certificates.absolute() if certificates is not None else None,
        log_files=log_files << 20,
        log_directory=log_directory.absolute() if log_directory is not None else None,
    )
    run_process(run, settings, (TokenMissing, StateInUse, StateUnusable))


@app.command("drain")
def drain(name: Annotated[str, typer.Argument(metavar="NAME")], context: ContextOption = None) -> None:
    """Let other sites send no more requests to a site; those that run finish. Undone by `undrain`."""
    _set(name, "drain", context)


@app.command("undrain")
def undrain(name: Annotated[str, typer.Argument(metavar="NAME")], context: ContextOption = None) -> None:
    """Let other sites use a drained site again."""
    _set(name, "undrain", context)


def _set(name: str, verb: str, context: str | None) -> None:
    from urllib.parse import quote

    from isthmus.cli.connection import connect

    with connect(context) as console:
        console.request("POST", f"/sites/{quote(name, safe='')}/{verb}")
    print(f"Site {name} {verb}ed")
