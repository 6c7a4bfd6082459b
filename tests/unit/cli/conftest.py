"""Runs the command line inside the test's process, as `isthmus ARGUMENTS` would."""

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from isthmus.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def isthmus(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """`isthmus("get", "sites")`; no context, no environment of the machine."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("ISTHMUS_URL", "ISTHMUS_TOKEN_FILE", "ISTHMUS_CA", "ISTHMUS_CONTEXT", "ISTHMUS_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments: str, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "argv", ["isthmus", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as ending:
            code = ending.code or 0
        captured = capsys.readouterr()
        return Outcome(int(code) if isinstance(code, int) else 1, captured.out, captured.err)

    return run
