"""`isthmus token`: what a new site or region joins with."""

from typing import Annotated

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, Format, FormatOption

app = typer.Typer(help="Tokens with which new sites and regions join.", no_args_is_help=True)


@app.command("create")
def create(
    site: Annotated[str | None, typer.Option("--site", metavar="NAME", help="For this Site.")] = None,
    region: Annotated[str | None, typer.Option("--region", metavar="NAME", help="For this Region.")] = None,
    ttl: Annotated[str, typer.Option("--ttl", metavar="DURATION", help="Until then it can be used, once.")] = "1h",
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Print a one-time token for a Site or Region object that exists.

    It holds a secret: hand it over in a file (`isthmus site --token-file FILE`), not on a command line.
    """
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_value, say
    from isthmus.model.value import milliseconds

    if (site is None) == (region is None):
        raise CommandError("Give either --site NAME or --region NAME.", Exit.USAGE)
    try:
        seconds = milliseconds(ttl) // 1000
    except ValueError as error:
        raise CommandError(f"--ttl: {error}.", Exit.USAGE) from None
    role, name = ("site", site) if site is not None else ("region", region)
    with connect(context) as console:
        answer = console.request("POST", "/tokens", {"role": role, "name": name, "ttlSeconds": seconds})
    if output is not Format.TABLE:
        print_value(answer, output)
        return
    print(answer["token"])
    say(f"joins {role} {name} once, until {answer['expires']}")
