"""`isthmus apis`: what applications offer."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format


class ApiFormat(StrEnum):
    """How APIs are printed."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"
    OPENAPI = "openapi"


def apis(
    virtual_host: Annotated[
        str | None,
        typer.Argument(
            metavar="NAMESPACE/NAME", help="Virtual host whose endpoints to show; all of them when left out."
        ),
    ] = None,
    client: Annotated[
        str,
        typer.Option(
            "--client", metavar="NAME", help="Only what this client asked for; see `isthmus traffic --by client`."
        ),
    ] = "",
    cluster: Annotated[
        str, typer.Option("--cluster", metavar="NAMESPACE/NAME", help="Only what this cluster answered.")
    ] = "",
    search: Annotated[
        str, typer.Option("--search", metavar="TEXT", help="Only paths, or virtual hosts, with this in them.")
    ] = "",
    context: ContextOption = None,
    output: Annotated[
        ApiFormat,
        typer.Option("--output", "-o", help="How to print it; `openapi` is a document of version 3.1, as JSON."),
    ] = ApiFormat.TABLE,
) -> None:
    """Show the endpoints of APIs, learned from the requests that applications answered.

    Variable segments of paths are in braces. Errors are answers from 500 on; times are milliseconds, sizes bytes of
    responses.
    """
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value

    namespace, name = _host(virtual_host) if virtual_host is not None else ("", "")
    if virtual_host is None and (output is ApiFormat.OPENAPI or client or cluster):
        raise CommandError("Name the virtual host: isthmus apis NAMESPACE/NAME.", code=Exit.USAGE)
    with connect(context) as console:
        if virtual_host is None:
            answer = console.get("/apis", search=search, limit=200)
        elif output is ApiFormat.OPENAPI:
            answer = console.get(f"/apis/{namespace}/{name}/openapi")
        else:
            answer = console.get(f"/apis/{namespace}/{name}", client=client, cluster=cluster, search=search)
    if output is ApiFormat.TABLE:
        _print_endpoints(answer) if virtual_host is not None else _print_hosts(answer)
    else:
        print_value(answer, Format.YAML if output is ApiFormat.YAML else Format.JSON)


def _host(text: str) -> tuple[str, str]:
    from urllib.parse import quote

    namespace, separator, name = text.partition("/")
    if not separator or not namespace or not name or "/" in name:
        raise CommandError(f"{text!r} is no virtual host: write NAMESPACE/NAME.", code=Exit.USAGE)
    return quote(namespace, safe=""), quote(name, safe="")


def _print_hosts(answer: Mapping[str, Any]) -> None:
    from isthmus.cli.output import print_table, say

    print_table(
        ("VIRTUAL HOST", "ENDPOINTS", "REQUESTS", "ERRORS", "LAST SEEN"),
        (
            (each["virtualHost"], each["endpoints"], each["requests"], each["errors"], _ago(each["lastSeen"]))
            for each in answer["items"]
        ),
    )
    if not answer["items"]:
        say("No API is known yet: endpoints appear when requests to them are answered with success.")
    elif answer["more"]:
        say(f"{answer['more']} more; see --search.")


def _print_endpoints(answer: Mapping[str, Any]) -> None:
    from isthmus.cli.output import print_table, say

    rows = []
    for each in answer["endpoints"]:
        latency, sent = each["latency"] or {}, each["sent"] or {}
        rows.append(
            (
                each["method"],
                each["path"],
                each["requests"],
                each["errors"],
                each["clientErrors"],
                *(f"{latency[name]:.2f}" if latency else "" for name in ("p50", "p90", "p99")),
                f"{sent['p50']:.0f}" if sent else "",
                each["authenticated"],
                _ago(each["firstSeen"]),
                _ago(each["lastSeen"]),
            )
        )
    columns = ("METHOD", "PATH", "REQUESTS", "ERRORS", "4XX", "P50", "P90", "P99", "SIZE", "AUTH", "FIRST", "LAST")
    print_table(columns, rows)
    unmatched = sum(answer["unmatched"].values())
    if not rows:
        say("No endpoint is known: they appear when requests to them are answered with success.")
    if unmatched:
        say(f"{unmatched} requests were for none of the virtual host's known endpoints.")


def _ago(at: float | None) -> str:
    import time

    from isthmus.cli.output import duration_text

    return duration_text(max(0.0, time.time() - at)) if at is not None else ""
