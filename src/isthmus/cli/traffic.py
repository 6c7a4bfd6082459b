"""`isthmus traffic`, `isthmus requests`: what requests did."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from isthmus.cli.option import ContextOption, Format, FormatOption

SinceOption = Annotated[
    str, typer.Option("--since", metavar="TIME", help="`-15m` (s, m, h, d before now), or seconds since 1970.")
]
UntilOption = Annotated[str, typer.Option("--until", metavar="TIME", help="As --since; `now`.")]


def traffic(
    by: Annotated[
        list[str] | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="Tell apart by namespace, virtual_host, route, cluster, subset, endpoint, site, peer, client, code or "
            "error. May be repeated; virtual_host when left out.",
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="NAME=VALUE", help="Only these, for instance site=fra. May be repeated."),
    ] = None,
    since: SinceOption = "-15m",
    until: UntilOption = "now",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="Lines at most.")] = 20,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show rate, errors and latency of requests, the busiest first, and where they spend their time.

    Errors are failures of the service; what clients bring about (4xx) is not among them. Times are milliseconds:
    p50, p90 and p99 of the whole, then the means of its parts.
    """
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value

    names = by or ["virtual_host"]
    query = {"by": names, "where": where or [], "since": since, "until": until, "limit": limit}
    series = output is not Format.TABLE
    with connect(context) as console:
        answer = console.get("/telemetry/signals" + _query({**query, "series": str(series).lower()}))
    if series:
        print_value(answer, output)
    else:
        _print_signals(names, answer)


def requests(
    request_id: Annotated[
        str | None, typer.Argument(metavar="REQUEST_ID", help="One request, at every site that it passed.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            "--where",
            metavar="CONDITION",
            help="path~/cart, code>=500, total>250 (milliseconds), route=shop/home, site=fra. May be repeated.",
        ),
    ] = None,
    since: SinceOption = "-1h",
    until: UntilOption = "now",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="Requests at most.")] = 20,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Search single requests, newest first, or follow one through the sites that it passed.

    A request's identifier is in its header x-request-id, and in the last column here.
    """
    from urllib.parse import quote

    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value

    with connect(context) as console:
        if request_id is not None:
            answer = console.get(f"/telemetry/records/{quote(request_id, safe='')}")
        else:
            query = {"where": where or [], "since": since, "until": until, "limit": limit}
            answer = console.get("/telemetry/records" + _query(query))
    if output is not Format.TABLE:
        print_value(answer, output)
    elif request_id is not None:
        _print_path(answer)
    else:
        _print_records(answer["items"])


def _query(values: Mapping[str, Any]) -> str:
    from urllib.parse import urlencode

    return "?" + urlencode(values, doseq=True)


def _print_signals(names: list[str], answer: Mapping[str, Any]) -> None:
    from isthmus.cli.output import print_table, say

    parts = ("ingress", "fabric", "egress", "application")
    rows = []
    for group in answer["groups"]:
        total = group["total"]
        latency = total["latency"]
        whole = latency["total"] or {}
        rows.append(
            (
                *(group["labels"].get(name) or "-" for name in names),
                f"{total['rate']:.2f}",
                f"{total['errorRate']:.2%}",
                *(_milliseconds(whole.get(name)) for name in ("p50", "p90", "p99")),
                *(_milliseconds((latency[part] or {}).get("mean")) for part in parts),
            )
        )
    print_table(
        [*(name.upper().replace("_", " ") for name in names), "RATE/S", "ERRORS", "P50", "P90", "P99"]
        + [part.upper() for part in parts],
        rows,
    )
    if not rows:
        say("No requests in this window.")
    elif answer["more"]:
        say(f"{answer['more']} more; see --limit.")


def _print_records(records: list[Mapping[str, Any]]) -> None:
    from isthmus.cli.output import print_table, say

    print_table(
        ("TIME", "SITE", "TO", "METHOD", "CODE", "MS", "HOST", "PATH", "ERROR", "REQUEST"),
        (
            (
                _clock(each["at"]),
                each["site"] if each["log"] == "ingress" else f"({each['site']})",
                each["peer"] or "-",
                each["method"] or each["protocol"],
                each["code"] or "-",
                _milliseconds(each["total"]),
                each["authority"],
                each["path"],
                each["flags"] or each["error"],
                each["requestId"],
            )
            for each in records
        ),
    )
    if not records:
        say("No such requests in this window.")


def _print_path(path: Mapping[str, Any]) -> None:
    from isthmus.cli.output import print_table

    first = path["hops"][0]
    print(f"{first['method']} {first['authority']}{first['path']}: {first['code']}, {_milliseconds(path['total'])} ms")
    for hop in path["hops"]:
        where = f"{hop['site']}: {hop['log']}, {hop['protocol']}, cluster {hop['cluster'] or '-'}"
        print(
            f"  {where}, endpoint {hop['endpoint'] or hop['peer'] or '-'}{', ' + hop['flags'] if hop['flags'] else ''}"
        )
    parts = [(part, path[part]) for part in ("ingress", "fabric", "egress", "application") if path[part] is not None]
    print_table([part.upper() for part, _ in parts], [[_milliseconds(value) for _, value in parts]])


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _clock(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S.%f")[:-3]
