"""What a case reports, and how it is shown: a table on the screen and JSON in a file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.machine import Machine

Value = float | int | str | None


@dataclass(frozen=True, slots=True)
class Target:
    """A number that a case is to reach: `value` must not exceed `limit`."""

    text: str
    value: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.limit

    def sentence(self) -> str:
        """For people: met, or missed and by how much."""
        shown = f"{self.text}: {number(self.value)}{self.unit} (to reach: {number(self.limit)}{self.unit})"
        if self.met:
            return f"met     {shown}"
        return f"missed  {shown}, by {100 * (self.value / self.limit - 1):.0f} %"


@dataclass(frozen=True, slots=True)
class Result:
    """One case's table. `columns` name the cells of every row; the first cell says what was measured."""

    case: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()
    raw: dict[str, object] = field(default_factory=dict)


def number(value: Value) -> str:
    """A cell as people read it: three significant digits, thousands apart."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -(-int(share * 1_000_000 * len(ordered)) // 1_000_000) - 1))]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, p99, least and greatest of a series."""
    return {
        "median": statistics.median(values),
        "p99": percentile(values, 0.99),
        "min": min(values),
        "max": max(values),
        "count": len(values),
    }


def show(result: Result, console: Console) -> None:
    """Print a case's table, targets and notes."""
    table = Table(title=result.title, title_justify="left", title_style="bold", header_style="dim")
    for index, column in enumerate(result.columns):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in result.rows:
        table.add_row(*(number(cell) for cell in row))
    console.print(table)
    for target in result.targets:
        console.print(f"  {target.sentence()}", style="green" if target.met else "bold red", highlight=False)
    for note in result.notes:
        console.print(f"  {note}", style="dim", highlight=False)
    console.print()


def write(machine: Machine, results: Sequence[Result], quick: bool, folder: Path) -> Path:
    """Write everything of one run as JSON; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    body = {
        "at": now.isoformat(timespec="seconds"),
        "quick": quick,
        "machine": asdict(machine),
        "results": [
            {**asdict(result), "targets": [{**asdict(target), "met": target.met} for target in result.targets]}
            for result in results
        ],
    }
    path = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(body, indent=1) + "\n")
    return path
