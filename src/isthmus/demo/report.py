"""What a run of the demo showed, step by step."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from isthmus.demo.traffic import Record, summarise


@dataclass(slots=True)
class Step:
    """One step: what was shown, every request of it, and what was checked.

    Attributes:
        fault_milliseconds: from the fault to the end of the last failed request; None when the step has no fault.
    """

    name: str
    title: str
    records: list[Record] = field(default_factory=list)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    fault_milliseconds: float | None = None

    @property
    def passed(self) -> bool:
        """Whether every check held."""
        return bool(self.checks) and all(held for _, held in self.checks)

    def check(self, text: str, held: bool) -> None:
        """Record a check; `text` says what holds when it passes."""
        self.checks.append((text, held))

    def emit(self) -> dict[str, Any]:
        """As JSON."""
        summary = summarise(self.records)
        return {
            "name": self.name,
            "title": self.title,
            "passed": self.passed,
            "requests": summary.requests,
            "failed": summary.failed,
            "sites": dict(summary.sites),
            "versions": dict(summary.versions),
            "instances": dict(summary.instances),
            "millisecondsFromFaultToLastFailure": (
                None if self.fault_milliseconds is None else round(self.fault_milliseconds, 1)
            ),
            "checks": [{"check": text, "passed": held} for text, held in self.checks],
        }


def emit_report(steps: Iterable[Step], seconds: float, release: str, error: str = "") -> dict[str, Any]:
    """The whole run as JSON. `error` tells why it ended before the last step."""
    parts = [step.emit() for step in steps]
    sites: Counter[str] = Counter()
    versions: Counter[str] = Counter()
    for part in parts:
        sites.update(part["sites"])
        versions.update(part["versions"])
    return {
        "passed": not error and bool(parts) and all(part["passed"] for part in parts),
        "release": release,
        "seconds": round(seconds, 1),
        "requests": sum(part["requests"] for part in parts),
        "failed": sum(part["failed"] for part in parts),
        "sites": dict(sorted(sites.items())),
        "versions": dict(sorted(versions.items())),
        "steps": parts,
        **({"error": error} if error else {}),
    }
