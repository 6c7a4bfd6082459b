"""`isthmus status`: planes, sites, revisions, lag, endpoints."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption


def status(
    site: Annotated[
        str | None, typer.Argument(metavar="SITE", help="Ask this site, now; the whole deployment when left out.")
    ] = None,
    local: Annotated[
        Path | None,
        typer.Option(
            "--local", metavar="STATE_DIR", help="Ask the agent of a site on this machine, without a console."
        ),
    ] = None,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show the planes, the revision that each site has applied, and the health of endpoints.

    With a SITE: its engines, its endpoints with health, reason and age, and the sites that it uses for each cluster.
    """
    from urllib.parse import quote

    from isthmus.cli.connection import connect
    from isthmus.cli.local import ask_site
    from isthmus.cli.output import print_value
    from isthmus.cli.report import print_site_report

    if local is not None and site is not None:
        raise CommandError("Give either SITE or --local, not both.", Exit.USAGE)
    if local is not None:
        answer = ask_site(local, "GET", "/status")
    else:
        with connect(context) as console:
            answer = console.get(f"/status/sites/{quote(site, safe='')}" if site else "/status")
    if output is not Format.TABLE:
        print_value(answer, output)
    elif local is not None or site is not None:
        print_site_report(answer)
    else:
        _print_deployment(answer)


def _print_deployment(answer: Mapping[str, Any]) -> None:
    from isthmus.cli.output import diagnostic_text, print_table
    from isthmus.cli.report import print_rejections

    plane = answer.get("console") or {}
    print(
        f"console {plane.get('release')}: revision {answer['revision']}, epoch {answer['epoch']}, "
        f"{plane.get('objects')} objects, {plane.get('database')}"
    )
    print("\nREGIONS")
    print_table(
        ("NAME", "STREAM", "REVISION", "LAG", "SITES"),
        ((each["name"], _connected(each), _applied(each), _lag(each), each.get("sites")) for each in answer["regions"]),
    )
    print("\nSITES")
    print_table(
        ("NAME", "STREAM", "VIA", "REVISION", "LAG", "STATE", "ENVOY", "ENDPOINTS", "REJECTED"),
        (
            (
                each["name"],
                _connected(each),
                " ".join(each.get("via") or ()),
                _applied(each),
                _lag(each),
                "drained" if each.get("drained") else "active",
                ((each.get("status") or {}).get("envoy") or {}).get("state", "-"),
                _endpoints(each.get("status") or {}),
                len(each.get("rejections") or ()),
            )
            for each in answer["sites"]
        ),
    )
    _print_collectors(answer)
    rejections = [
        {**rejection, "message": f"{each['name']}: {rejection['message']}"}
        for each in answer["sites"]
        for rejection in each.get("rejections") or ()
    ]
    print_rejections(rejections)
    for diagnostic in answer.get("diagnostics") or ():
        print(f"\n{diagnostic_text(diagnostic)}")


def _print_collectors(answer: Mapping[str, Any]) -> None:
    """Where console and regions send their own metrics and log (`--otlp`)."""
    import time

    from isthmus.cli.report import print_signals

    told = [("console", answer.get("console") or {}), *((each["name"], each) for each in answer["regions"])]
    print_signals([(name, each) for name, status in told for each in status.get("otlp") or ()], time.time())


def _connected(each: Mapping[str, Any]) -> str:
    return "connected" if each.get("connected") else "down"


def _applied(each: Mapping[str, Any]) -> str:
    applied = each.get("applied")
    return str(applied["revision"]) if applied else "-"


def _lag(each: Mapping[str, Any]) -> str:
    from isthmus.cli.output import duration_text

    lag = each.get("lagSeconds")
    return "-" if lag is None else ("none" if lag == 0 else duration_text(lag))


def _endpoints(report: Mapping[str, Any]) -> str:
    """`3/4 healthy`, of the endpoints at the site; an endpoint of several clusters counts once per cluster."""
    endpoints = report.get("endpoints") or ()
    return f"{sum(bool(each['healthy']) for each in endpoints)}/{len(endpoints)} healthy" if endpoints else "-"
