"""`isthmus console`: the process of the management plane."""

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.option import DatabaseOption, StateOption
from isthmus.cli.process import MetricsOption, OtlpOption, TelemetryOption


def console(
    state: StateOption,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address of the API (HTTPS).")
    ] = "0.0.0.0:7400",  # people and CI reach it from elsewhere
    stream: Annotated[
        str, typer.Option("--stream", metavar="HOST:PORT", help="Address of the stream that regions dial.")
    ] = "0.0.0.0:7401",  # regions reach it from elsewhere
    database: DatabaseOption = "",
    advertise: Annotated[
        list[str] | None,
        typer.Option(
            "--advertise",
            metavar="HOST",
            help="Name or address under which people, regions and sites reach this console; goes into its certificate "
            "and into join tokens. May be repeated.",
        ),
    ] = None,
    trust_domain: Annotated[
        str,
        typer.Option("--trust-domain", metavar="DOMAIN", help="Trust domain of all certificates; first start only."),
    ] = "",
    secrets_key: Annotated[
        Path | None,
        typer.Option(
            "--secrets-key",
            metavar="FILE",
            help="File with the key to the private values in the database; STATE/authority/secrets.key when left out.",
        ),
    ] = None,
    metrics: MetricsOption = "",
    otlp: OtlpOption = "",
    telemetry: TelemetryOption = True,
    telemetry_url: Annotated[
        str,
        typer.Option(
            "--telemetry-url",
            envvar="ISTHMUS_TELEMETRY_URL",
            metavar="URL",
            help="ClickHouse server for telemetry, http(s)://HOST:PORT/DATABASE; an embedded store when left out. "
            "With a password the URL belongs in the environment variable.",
        ),
    ] = "",
    keep_records: Annotated[
        float, typer.Option("--keep-records", min=0.04, metavar="DAYS", help="How long single requests are kept.")
    ] = 7,
    alert_network: Annotated[
        list[str] | None,
        typer.Option(
            "--alert-network",
            metavar="CIDR",
            help="Network besides the public internet to which alerts may be sent and where ACME servers may be, for "
            "example 10.0.0.0/8. May be repeated.",
        ),
    ] = None,
) -> None:
    """Run the console: objects, revisions, certificate authority, and what each site must be told.

    The first start writes the administrator's token to STATE/admin.token and the authority to STATE/ca.pem.
    """
    from functools import partial

    from isthmus.cli.address import parse_address, parse_network
    from isthmus.cli.process import console_errors, make_journal, read_export, run_process
    from isthmus.console.process import run
    from isthmus.console.settings import ConsoleSettings
    from isthmus.telemetry.retention import Retention

    for text, option in ((listen, "--listen"), (stream, "--stream"), (metrics, "--metrics")):
        if text:
            parse_address(text, option)
    settings = ConsoleSettings(
        state=state.absolute(),
        listen=listen,
        stream=stream,
        database=database or None,
        advertise=tuple(advertise or ()),
        trust_domain=trust_domain or None,
        metrics=metrics or None,
        secrets_key=secrets_key.absolute() if secrets_key is not None else None,
        telemetry=telemetry,
        telemetry_url=telemetry_url or None,
        retention=Retention(records=keep_records),
        alert_networks=tuple(parse_network(each, "--alert-network") for each in alert_network or ()),
        otlp=read_export(otlp),
    )
    journal = make_journal(settings.otlp)
    with console_errors():
        run_process(partial(run, journal=journal), settings, journal=journal)
