"""What commands print: results on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isthmus.cli.option import Format


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_value(value: Any, output: Format) -> None:
    """A value as JSON or YAML, on stdout."""
    if output is Format.JSON:
        print(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        print(emit_yaml(value), end="")


def emit_yaml(value: Any) -> str:
    """YAML in the order of the value, so that apiVersion and kind come first."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table of aligned columns without lines, on stdout; never folded, so that it can be piped and pasted."""
    lines = [tuple(columns), *(tuple("" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(line[number]) for line in lines) for number in range(len(columns))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print(f"\x1b[1m{text}\x1b[0m" if number == 0 and sys.stdout.isatty() else text)


def diagnostic_text(diagnostic: Mapping[str, Any]) -> str:
    """The sentence of a diagnostic that came over the API."""
    from isthmus.model import Diagnostic
    from isthmus.model.key import parse_key

    key = diagnostic.get("object")
    try:
        subject = parse_key(str(key)) if key else None
    except ValueError:
        subject = None
    fields = {name: str(diagnostic.get(name) or "") for name in ("code", "field", "message", "mend")}
    return str(Diagnostic(fields["code"], subject, fields["field"], fields["message"], fields["mend"]))


def duration_text(seconds: float | None) -> str:
    """`350 ms`, `12 s`, `3 min`, `5 h`, `2 d`; empty for None."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} d"
