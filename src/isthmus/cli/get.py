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
    meta = document["metadata"]
    summary = _summary(document["kind"], document.get("spec") or {}, meta.get("labels") or {})
    return meta["name"], meta.get("revision"), summary, meta.get("description", "")


def _summary(kind: str, spec: dict[str, Any], labels: dict[str, str]) -> str:
    """What tells objects of one kind apart, in one line."""
    match kind:
        case "Site":
            drained = "drained " if spec.get("drained") else ""
            return drained + ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
        case "Region":
            return f"{spec['address']}:{spec.get('port', '')}".rstrip(":")
        case "VirtualSite":
            return " or ".join(spec["selector"]) if spec.get("selector") else "-"
        case "VirtualHost":
            return " ".join(spec["domains"])
        case "Route":
            forward = spec.get("forward")
            if forward:
                return " ".join(f"{c['cluster']['name']}:{c.get('weight', 1)}" for c in forward["clusters"])
            return "redirect" if spec.get("redirect") else f"responds {spec['directResponse']['status']}"
        case "Cluster":
            return f"{len(spec['endpoints'])} endpoints"
        case "Endpoint":
            return f"{_where(spec['where'])} {spec['address']}:{spec['port']}"
        case "HealthCheck":
            return "tcp" if spec.get("http") is None else f"http {spec['http'].get('path', '/')}"
        case "AdvertisePolicy":
            return f"{_where(spec['where'])} port {spec.get('port', 80)}"
    return ""


def _where(where: dict[str, Any]) -> str:
    return f"site {where['site']}" if where.get("site") else f"virtual site {where.get('virtualSite')}"
