"""`isthmus diff`: what an apply would change, against a console or against other files."""

import difflib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.error import CommandError, Exit
from isthmus.cli.option import ContextOption, FilesOption

if TYPE_CHECKING:
    from isthmus.model import Object, ObjectKey


def diff(
    file: FilesOption,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against",
            metavar="FILE|DIR|-",
            help="Compare with these files instead of a console (no network). Objects missing from --file show as "
            "removed. May be repeated.",
        ),
    ] = None,
    context: ContextOption = None,
) -> None:
    """Show as a unified diff what applying the files would change.

    Exits 0 when nothing would change, 1 when something would or the files are wrong.
    """
    if against:
        text = compare(_objects(against), _objects(file))
    else:
        from isthmus.cli.connection import connect
        from isthmus.cli.document import require_documents

        documents = require_documents(file)
        with connect(context) as console:
            answer = console.apply(documents, dry_run=True)
        text = "".join(change.get("diff") or "" for change in answer["changes"] if change["action"] != "unchanged")
    _print(text)
    if text:
        raise typer.Exit(Exit.NEGATIVE)


def _objects(sources: list[str]) -> dict["ObjectKey", "Object"]:
    from isthmus.cli.document import read_documents
    from isthmus.model.document import parse_documents

    documents = read_documents(sources)
    parsed = parse_documents(documents.values)
    wrong = [*documents.diagnostics, *parsed.diagnostics]
    if wrong:
        raise CommandError(
            f"{', '.join(sources)}: the documents are not all valid.", details=[str(each) for each in wrong]
        )
    return {obj.key: obj for obj in parsed.objects}


def compare(old: dict["ObjectKey", "Object"], new: dict["ObjectKey", "Object"]) -> str:
    """A unified diff of two sets of objects, in order of kind, namespace and name. Empty when they mean the same."""
    parts: list[str] = []
    for key in sorted({*old, *new}):
        before, after = _lines(old.get(key)), _lines(new.get(key))
        names = (key.title if key in old else "/dev/null", key.title if key in new else "/dev/null")
        parts.extend(difflib.unified_diff(before, after, *names))
    return "".join(parts)


def _lines(obj: "Object | None") -> list[str]:
    """The object as YAML; a value that equals its default is left out, written or not."""
    from isthmus.cli.output import emit_yaml
    from isthmus.model import emit_envelope
    from isthmus.model.document import decode_yaml

    if obj is None:
        return []
    decoded = decode_yaml(emit_envelope(obj).decode())
    assert isinstance(decoded, list)
    document = {name: decoded[0][name] for name in ("apiVersion", "kind", "metadata", "spec")}
    document["metadata"].pop("tenant", None)
    return emit_yaml(document).splitlines(keepends=True)


def _print(text: str) -> None:
    if not sys.stdout.isatty():
        print(text, end="")
        return
    colours = {"+": "32", "-": "31", "@": "36"}
    for line in text.splitlines():
        colour = colours.get(line[:1])
        print(f"\x1b[{colour}m{line}\x1b[0m" if colour else line)
