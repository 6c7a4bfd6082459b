"""Every `isthmus …` that a document shows is a command that exists, with options that it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from isthmus.cli.main import app

ROOT = Path(__file__).parents[3]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
UNITS = sorted((ROOT / "src/isthmus/packaging/systemd").glob("*.service"))


def commands(text: str) -> Iterator[str]:
    """Lines of code blocks that call isthmus, continued lines joined, and inline code that names a command."""
    for block in re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            called = re.search(r"(?:^(?:\$ )?|/bin/|[(|] ?)isthmus ([^#|>)]*)", line)
            if called and not line.startswith(" "):
                yield called.group(1).strip()
    for code in re.findall(r"`isthmus ([^`…]+)`", text):
        yield code.strip()


class Refused(Exception):
    """The command line would refuse this."""


def check(line: str) -> None:
    """Raise Refused when the command line would refuse the line."""
    words = [word for word in shlex.split(line, comments=True) if word not in ("&", "$ISTHMUS_ARGS")]
    command: Any = typer.main.get_command(app)
    path = "isthmus"
    while getattr(command, "commands", None) and words and not words[0].startswith("-"):
        if words[0] not in command.commands:
            raise Refused(f"{path} has no command {words[0]}")
        path, command, words = f"{path} {words[0]}", command.commands[words[0]], words[1:]
    context = command.context_class(command, info_name=path)
    try:
        _, rest, _ = command.make_parser(context).parse_args(words)
    except Exception as error:
        raise Refused(str(error)) from error
    if rest:
        raise Refused(f"{path} does not take {rest}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_commands_of_a_document_exist(path: Path) -> None:
    for line in commands(path.read_text()):
        try:
            check(line)
        except Refused as error:
            pytest.fail(f"{path.name} shows `isthmus {line}`: {error}")


def test_the_readme_and_the_tutorial_show_commands() -> None:
    shown = [line for path in DOCUMENTS for line in commands(path.read_text())]
    assert len(shown) > 20


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_start_commands_that_exist(path: Path) -> None:
    started = re.search(r"^ExecStart=\S+/isthmus (.+)$", path.read_text(), re.MULTILINE)
    assert started is not None
    check(started.group(1))
