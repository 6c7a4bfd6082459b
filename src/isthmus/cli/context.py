"""`isthmus context`: the deployments that you use."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli.context_file import Context, Contexts, context_path, load_contexts, save_contexts
from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import Format, FormatOption

app = typer.Typer(
    help="Deployments: address, token and authority of each, in a file that only you can read.", no_args_is_help=True
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the context.")]


@app.command("add")
def add(
    name: NameArgument,
    url: Annotated[str, typer.Option("--url", metavar="https://HOST:PORT", help="Address of the console.")],
    token_file: Annotated[
        str,
        typer.Option(
            "--token-file", metavar="FILE|-", help="File with the token, or - for standard input; asked for otherwise."
        ),
    ] = "",
    ca: Annotated[
        str,
        typer.Option(
            "--ca",
            metavar="FILE|sha256:HEX",
            help="The deployment's authority: its certificates, or the fingerprint that the console shows when it "
            "starts. The system's authorities when left out.",
        ),
    ] = "",
) -> None:
    """Add a deployment, or replace it, and use it from now on."""
    from isthmus.cli.connection import read_authority, read_token

    if token_file in ("-", "") and (token_file or not sys.stdin.isatty()):
        token = sys.stdin.read().strip()
    elif token_file:
        token = read_token(Path(token_file))
    else:
        token = typer.prompt("Token", hide_input=True, err=True).strip()
    if not url.startswith("https://"):
        raise CommandError(f"{url!r} is not the address of a console; write https://HOST:PORT.", Exit.USAGE)
    path = context_path()
    contexts = load_contexts(path)
    added = Context(url, token, read_authority(ca, url) if ca else "")
    save_contexts(path, Contexts(name, {**contexts.known, name: added}))
    print(f"context {name} added and in use")


@app.command("use")
def use(name: NameArgument) -> None:
    """Use this deployment from now on."""
    path = context_path()
    contexts = load_contexts(path)
    _find(contexts, name)
    save_contexts(path, Contexts(name, contexts.known))
    print(f"context {name} in use")


@app.command("list")
def list_contexts(output: FormatOption = Format.TABLE) -> None:
    """List the deployments; * marks the one in use."""
    from isthmus.cli.output import print_table, print_value

    contexts = load_contexts(context_path())
    if output is Format.TABLE:
        rows = (
            ("*" if name == contexts.current else "", name, context.url)
            for name, context in sorted(contexts.known.items())
        )
        print_table(("", "NAME", "URL"), rows)
    else:
        print_value([_public(contexts, name) for name in sorted(contexts.known)], output)


@app.command("show")
def show(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Context; the one in use when left out.")] = None,
    output: FormatOption = Format.YAML,
) -> None:
    """Show a deployment, without its token."""
    from isthmus.cli.output import print_table, print_value

    contexts = load_contexts(context_path())
    if not name and not contexts.current:
        raise CommandError("No context is in use.")
    public = _public(contexts, name or contexts.current)
    if output is Format.TABLE:
        print_table(("FIELD", "VALUE"), public.items())
    else:
        print_value(public, output)


@app.command("remove")
def remove(name: NameArgument) -> None:
    """Forget a deployment and its token."""
    path = context_path()
    contexts = load_contexts(path)
    _find(contexts, name)
    rest = {other: context for other, context in contexts.known.items() if other != name}
    save_contexts(path, Contexts("" if contexts.current == name else contexts.current, rest))
    print(f"context {name} removed")


def _find(contexts: Contexts, name: str) -> Context:
    if name not in contexts.known:
        known = ", ".join(sorted(contexts.known)) or "none"
        raise CommandError(f"There is no context {name!r}; known: {known}.", Exit.USAGE)
    return contexts.known[name]


def _public(contexts: Contexts, name: str) -> dict[str, object]:
    import hashlib
    import ssl

    context = _find(contexts, name)
    first = context.ca.split("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n" if context.ca else ""
    return {
        "name": name,
        "url": context.url,
        "inUse": name == contexts.current,
        "hasToken": bool(context.token),
        "ca": f"sha256:{hashlib.sha256(ssl.PEM_cert_to_DER_cert(first)).hexdigest()}" if first else "system",
    }
