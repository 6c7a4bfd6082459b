"""`isthmus apply`: create or update a set of objects, all or nothing."""

from typing import Annotated, Any

import typer

from isthmus.cli.option import ContextOption, FilesOption, Format, FormatOption


def apply(
    file: FilesOption,
    context: ContextOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything and store nothing.")] = False,
    output: FormatOption = Format.TABLE,
) -> None:
    """Create or update the objects of files: all of them, or none when one is wrong.

    An object that is already as written stays untouched. Nothing is deleted; see `isthmus delete`.
    """
    from isthmus.cli.connection import connect
    from isthmus.cli.document import require_documents

    documents = require_documents(file)
    with connect(context) as console:
        answer = console.apply(documents, dry_run=dry_run)
    report(answer, output)


def report(answer: dict[str, Any], output: Format) -> None:
    """Print what an apply or delete changed."""
    from isthmus.cli.output import print_value
    from isthmus.model.key import parse_key

    if output is not Format.TABLE:
        print_value(answer, output)
        return
    changes = answer.get("changes", [])
    for change in changes:
        if change["action"] != "unchanged":
            print(f"{parse_key(change['key']).title} {change['action']}")
    unchanged = sum(change["action"] == "unchanged" for change in changes)
    if unchanged:
        print(f"{unchanged} {'object' if unchanged == 1 else 'objects'} unchanged")
    print("dry run, nothing is stored" if answer.get("dryRun") else f"revision {answer.get('revision')}")
