"""`isthmus explain`: where a request would go, and why."""

from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption


def explain(
    url: Annotated[
        str,
        typer.Argument(
            metavar="URL",
            help="What a client would ask for: http://shop.example/cart, tcp://database.example:5432, udp://…",
        ),
    ],
    site: Annotated[
        str | None, typer.Option("--from", metavar="SITE", help="The site where the client enters.")
    ] = None,
    local: Annotated[
        Path | None,
        typer.Option(
            "--local", metavar="STATE_DIR", help="Ask the agent of a site on this machine, without a console."
        ),
    ] = None,
    method: Annotated[str, typer.Option("--method", "-X", metavar="METHOD")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="May be repeated.")
    ] = None,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Say which virtual host, route, cluster, site and endpoint a request would take, and why.

    The site itself answers, from what it runs now. Exits 1 when the request would fail.
    """
    from isthmus.cli.connection import connect
    from isthmus.cli.local import ask_site
    from isthmus.cli.output import print_value

    if (site is None) == (local is None):
        raise CommandError("Give either --from SITE or --local STATE_DIR.", Exit.USAGE)
    body: dict[str, Any] = {"url": url, "method": method.upper(), "headers": _headers(header or [])}
    if local is not None:
        answer = ask_site(local, "POST", "/explain", body)
    else:
        with connect(context) as console:
            answer = console.request("POST", "/explain", {**body, "from": site})
    if output is Format.TABLE:
        print("\n".join(answer["lines"]))
    else:
        print_value(answer, output)
    if answer["action"] == "refuse" or (answer["action"] == "forward" and not answer["reached"]):
        raise typer.Exit(Exit.NEGATIVE)


def _headers(given: list[str]) -> dict[str, str]:
    headers = {}
    for text in given:
        name, separator, value = text.partition(":")
        if not separator or not name.strip():
            raise CommandError(f"--header: {text!r} is not NAME: VALUE.", Exit.USAGE)
        headers[name.strip().lower()] = value.strip()
    return headers
