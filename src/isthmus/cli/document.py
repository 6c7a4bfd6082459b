"""Documents from `-f`: files, directories, standard input."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli.error import CommandError, Exit

if TYPE_CHECKING:
    from isthmus.model import Diagnostic

_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True)
class Documents:
    """What the files hold, as plain values, and what of it is not YAML."""

    values: tuple[Any, ...]
    diagnostics: tuple["Diagnostic", ...]


def read_documents(sources: Sequence[str]) -> Documents:
    """Read every file, in the order given, directories in order of path."""
    from isthmus.model import Diagnostic
    from isthmus.model.document import decode_yaml

    values: list[Any] = []
    diagnostics: list[Diagnostic] = []
    for name, text in _texts(sources):
        decoded = decode_yaml(text, name)
        if isinstance(decoded, Diagnostic):
            diagnostics.append(decoded)
        else:
            values.extend(value for value in decoded if value is not None)
    return Documents(tuple(values), tuple(diagnostics))


def require_documents(sources: Sequence[str]) -> tuple[Any, ...]:
    """The same, where nothing may be wrong and something must be there."""
    documents = read_documents(sources)
    if documents.diagnostics:
        raise CommandError("Nothing was sent.", details=[str(each) for each in documents.diagnostics])
    if not documents.values:
        raise CommandError(f"There is no document in {', '.join(sources)}.")
    return documents.values


def _texts(sources: Sequence[str]) -> Iterator[tuple[str, str]]:
    for source in sources:
        if source == "-":
            yield "standard input", sys.stdin.read()
            continue
        path = Path(source)
        if path.is_dir():
            files = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
            if not files:
                raise CommandError(f"{source} holds no *.yaml, *.yml or *.json file.", Exit.USAGE)
        else:
            files = [path]
        for file in files:
            try:
                yield str(file), file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                raise CommandError(f"{file} is not UTF-8 text.", Exit.USAGE) from None
            except OSError as error:
                raise CommandError(f"{file} cannot be read: {error.strerror}.", Exit.USAGE) from None
