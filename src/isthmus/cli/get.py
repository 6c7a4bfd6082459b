"""`isthmus get`: objects as they are stored."""

from typing import Annotated, Any

import typer

from isthmus.cli.kind import KindArgument, find_kind
from isthmus.cli.option import ContextOption, Format, FormatOption, NamespaceOption


def get(
    kind: KindArgument,
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="One object; all of the kind when left out.")
    ] = None,
    namespace: NamespaceOption = "default",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Objects of every namespace.")] = False,
    context: ContextOption = None,
    output: FormatOption = Format.TABLE,
) -> None:
    """Show objects. What `-o yaml` prints can be applied again."""
    from isthmus.cli.connection import connect
    from isthmus.cli.output import print_table, print_value
    from isthmus.client.console import object_path

    cls = find_kind(kind or "")
    with connect(context) as console:
        if cls.tenant_wide or not all_namespaces:
            found = _ask(console.get, object_path(cls.plural, "" if cls.tenant_wide else namespace, name or ""))
        else:
            listed = _ask(console.get, object_path(cls.plural, ""))
            found = [each for each in listed if name in (None, each["metadata"]["name"])]
    if output is not Format.TABLE:
        whole = found[0] if name and len(found) == 1 else {"apiVersion": "isthmus/v1", "kind": "List", "items": found}
        print_value(whole, output)
        return
    first = () if cls.tenant_wide else ("NAMESPACE",)
    print_table(
        (*first, "NAME", "REVISION", "SUMMARY", "DESCRIPTION"),
        ((*((each["metadata"]["namespace"],) if first else ()), *_row(each)) for each in found),
    )


def _ask(get_json: Any, path: str) -> list[dict[str, Any]]:
    answer = get_json(path)
    found: list[dict[str, Any]] = answer.get("items", [answer])
    return found


def _row(document: dict[str, Any]) -> tuple[Any, ...]:
    from isthmus.cli.summary import summarise

    meta = document["metadata"]
    return meta["name"], meta.get("revision"), summarise(document), meta.get("description", "")
