"""`isthmus compile`: what a site would run, without a console."""

from enum import StrEnum
from typing import Annotated

import typer

from isthmus.cli.error import Exit
from isthmus.cli.option import FilesOption, Format


class Target(StrEnum):
    """What to print."""

    ENVOY = "envoy"
    INTENT = "intent"


def compile_objects(
    file: FilesOption,
    site: Annotated[str, typer.Option("--site", metavar="NAME", help="The site to compile for.")],
    output: Annotated[
        Target, typer.Option("--output", "-o", help="envoy: its resources; intent: what they are made from.")
    ] = Target.ENVOY,
    trust_domain: Annotated[
        str, typer.Option("--trust-domain", metavar="DOMAIN", help="Trust domain of the certificates of sites.")
    ] = "isthmus.local",
) -> None:
    """Compile the objects of files for one site, offline: no console, no root, no Envoy.

    Prints YAML of what is valid, as if every endpoint were healthy, and on standard error what is wrong with the
    rest. Exits 1 when something is wrong. Servers that sites discover are unknown offline and left out, with a note.
    """
    from isthmus.cli.document import read_documents
    from isthmus.cli.offline import compile_offline, emit_offline, plain, unknown_lookups
    from isthmus.cli.output import print_value, say
    from isthmus.model import ObjectKey
    from isthmus.model.document import parse_documents

    documents = read_documents(file)
    parsed = parse_documents(documents.values)
    result = compile_offline(parsed.objects, ObjectKey("default", "Site", "", site), trust_domain)
    print_value(emit_offline(result.intent) if output is Target.ENVOY else plain(result.intent), Format.YAML)
    diagnostics = (*documents.diagnostics, *parsed.diagnostics, *result.diagnostics)
    for diagnostic in diagnostics:
        say(str(diagnostic))
    for lookup in unknown_lookups(result.intent):
        say(f"note: unknown offline, and left out: what the site finds by {lookup}")
    if diagnostics:
        raise typer.Exit(Exit.NEGATIVE)
