"""The argument that names a kind of object."""

from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli.error import CommandError, Exit

if TYPE_CHECKING:
    from isthmus.model import Object


def _complete_kind() -> list[str]:
    from isthmus.model import PUBLIC_KINDS

    return sorted(cls.plural for cls in PUBLIC_KINDS.values())


KindArgument = Annotated[
    str | None,
    typer.Argument(metavar="KIND", autocompletion=_complete_kind, help="Kind of object, in any case: cluster, sites."),
]


def find_kind(text: str) -> type["Object"]:
    """The kind that a person means."""
    from isthmus.model import PUBLIC_KINDS, kind_by_plural

    found = kind_by_plural(text)
    if found is None:
        known = ", ".join(sorted(cls.plural for cls in PUBLIC_KINDS.values()))
        raise CommandError(f"{text!r} is not a kind of object; use one of {known}.", Exit.USAGE)
    return found
