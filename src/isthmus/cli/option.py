"""Options that several verbs share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a result is printed."""

    TABLE = "table"
    YAML = "yaml"
    JSON = "json"


def _complete_context() -> list[str]:
    from isthmus.cli.context_file import context_path, load_contexts

    return sorted(load_contexts(context_path()).known)


ContextOption = Annotated[
    str | None,
    typer.Option(
        "--context",
        envvar="ISTHMUS_CONTEXT",
        metavar="NAME",
        autocompletion=_complete_context,
        help="Deployment to use; see `isthmus context`. Without it: ISTHMUS_URL, ISTHMUS_TOKEN_FILE and ISTHMUS_CA, "
        "then the context in use.",
    ),
]
FilesOption = Annotated[
    list[str],
    typer.Option(
        "--file",
        "-f",
        metavar="FILE|DIR|-",
        help="YAML or JSON file, directory (all *.yaml, *.yml and *.json below it), or - for standard input. "
        "May be repeated.",
    ),
]
FormatOption = Annotated[Format, typer.Option("--output", "-o", help="How to print it.")]
NamespaceOption = Annotated[
    str, typer.Option("--namespace", "-n", metavar="NAME", help="Namespace of the objects.", envvar="ISTHMUS_NAMESPACE")
]
StateOption = Annotated[
    Path, typer.Option("--state", metavar="DIR", help="Directory that keeps everything the process must remember.")
]
DatabaseOption = Annotated[
    str,
    typer.Option(
        "--database",
        envvar="ISTHMUS_DATABASE",
        metavar="URL",
        help="postgresql://USER@HOST/NAME; SQLite in the state directory when left out.",
    ),
]
