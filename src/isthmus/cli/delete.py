"""`isthmus delete`: remove objects."""

from typing import Annotated

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.kind import KindArgument, find_kind
from isthmus.cli.option import ContextOption, Format, NamespaceOption


def delete(
    kind: KindArgument = None,
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Objects of that kind.")] = None,
    file: Annotated[
        list[str] | None,
        typer.Option("--file", "-f", metavar="FILE|DIR|-", help="Delete the objects that these files name instead."),
    ] = None,
    namespace: NamespaceOption = "default",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check and delete nothing.")] = False,
    context: ContextOption = None,
) -> None:
    """Delete objects by kind and name, or those that files name: all of them, or none.

    An object to which others refer is not deleted; the refusal names them.
    """
    from isthmus.cli.apply import report
    from isthmus.cli.connection import connect

    if bool(file) == bool(kind) or (kind and not names):
        raise CommandError("Give a kind and names, or --file, and not both.", Exit.USAGE)
    targets = _from_files(file) if file else _from_names(kind or "", names or [], namespace)
    with connect(context) as console:
        answer = console.request("POST", "/apply", {"documents": [], "delete": targets, "dryRun": dry_run})
    report(answer, Format.TABLE)


def _from_names(kind: str, names: list[str], namespace: str) -> list[str]:
    from isthmus.model import ObjectKey
    from isthmus.model.key import DEFAULT_TENANT

    cls = find_kind(kind)
    space = "" if cls.tenant_wide else namespace
    return [str(ObjectKey(DEFAULT_TENANT, cls.__name__, space, name)) for name in names]


def _from_files(sources: list[str]) -> list[str]:
    from isthmus.cli.document import require_documents
    from isthmus.model.document import parse_documents

    parsed = parse_documents(require_documents(sources))
    if parsed.diagnostics:
        raise CommandError("Nothing was deleted.", details=[str(each) for each in parsed.diagnostics])
    return [str(obj.key) for obj in parsed.objects]
