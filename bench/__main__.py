"""Run the benchmark cases: `python -m bench [--only NAME] [--quick]`."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

import structlog
from rich.console import Console

from bench import (
    across,
    apis,
    compile,
    configuration,
    gateway,
    health,
    https,
    machine,
    pages,
    profile,
    report,
    scale,
    stream,
    telemetry,
)
from bench.document import emit_page

CASES = {
    "gateway": gateway.run,
    "across": across.run,
    "https": https.run,
    "profile": profile.run,
    "stream": stream.run,
    "health": health.run,
    "configuration": configuration.run,
    "compile": compile.run,
    "scale": scale.run,
    "telemetry": telemetry.run,
    "pages": pages.run,
    "apis": apis.run,
}


def main() -> int:
    """Exit 0 when every case ran and reached its targets, 1 when one missed or could not run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=sorted(CASES), help="run this case (may be repeated)")
    parser.add_argument("--quick", action="store_true", help="short runs, for trying the benchmarks themselves")
    parser.add_argument("--output", type=Path, default=Path(".bench"), help="folder of the JSON files")
    parser.add_argument("--document", type=Path, metavar="FILE", help="also write the tables as Markdown")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors only
    console = Console(width=None if sys.stdout.isatty() else 120)
    here = machine.describe()
    console.print(here.sentence(), style="dim", highlight=False)
    if arguments.quick:
        console.print("quick: short runs, the numbers are rough", style="yellow")
    results: list[report.Result] = []
    failed = []
    for name, run in CASES.items():
        if arguments.only and name not in arguments.only:
            continue
        try:
            result = run(arguments.quick)
        except Exception:  # a case that cannot run must not cost the others their numbers
            console.print(f"{name} could not run:", style="bold red")
            traceback.print_exc()
            failed.append(name)
            continue
        report.show(result, console)
        results.append(result)
    path = report.write(here, results, arguments.quick, arguments.output)
    console.print(f"written to {path}", style="dim", highlight=False)
    if arguments.document:
        arguments.document.write_text(emit_page(here, results))
        console.print(f"written to {arguments.document}", style="dim", highlight=False)
    missed = [target for result in results for target in result.targets if not target.met]
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
