"""`isthmus region`: the process of a region."""

from typing import Annotated

import typer

from isthmus.cli.option import StateOption
from isthmus.cli.process import MetricsOption, OtlpOption, StopEnginesOption, TokenFileOption, state_directory


def region(
    state: StateOption,
    token_file: TokenFileOption = "",
    listen: Annotated[
        str,
        typer.Option("--listen", metavar="HOST:PORT", help="Address of the stream; the Region object's when left out."),
    ] = "",
    bgp_listen: Annotated[
        str,
        typer.Option("--bgp-listen", metavar="HOST:PORT", help="Address of BGP; the Region object's when left out."),
    ] = "",
    metrics: MetricsOption = "",
    otlp: OtlpOption = "",
    stop_engines: StopEnginesOption = False,
    telemetry_buffer: Annotated[
        int,
        typer.Option("--telemetry-buffer", min=1, metavar="MIB", help="Disk for telemetry while the console is away."),
    ] = 1024,
) -> None:
    """Run a region: relay configuration to its sites from a durable copy, and reflect their health routes.

    At the first start it joins with a token; afterwards everything comes from the state directory.
    """
    from functools import partial

    from isthmus.cli.address import parse_address
    from isthmus.cli.join_token import read_join_token
    from isthmus.cli.process import make_journal, read_export, run_process
    from isthmus.region.error import RegionRefused
    from isthmus.region.process import run
    from isthmus.region.settings import RegionSettings

    settings = RegionSettings(
        state=state_directory(state),
        token=read_join_token(token_file),
        listen=parse_address(listen, "--listen") if listen else None,
        bgp_listen=parse_address(bgp_listen, "--bgp-listen") if bgp_listen else None,
        metrics=parse_address(metrics, "--metrics") if metrics else None,
        stop_engines=stop_engines,
        telemetry_buffer=telemetry_buffer << 20,
        otlp=read_export(otlp),
    )
    journal = make_journal(settings.otlp)
    run_process(partial(run, journal=journal), settings, (RegionRefused,), journal)
