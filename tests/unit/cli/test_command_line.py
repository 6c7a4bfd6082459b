"""The command line as people and scripts see it: help everywhere, sentences, exit codes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus import __version__
from isthmus.cli.error import CommandError, Exit
from isthmus.cli.main import app

from .conftest import Run

VERBS = [
    "alerts", "apis", "apply", "backup", "compile", "completion", "console", "context", "delete", "demo", "diff",
    "explain", "get", "region", "requests", "restore", "rollout", "site", "status", "token", "traffic", "user",
    "version", "web",
]  # fmt: skip
NESTED = [
    ("user", "create"), ("user", "list"), ("user", "password"), ("user", "remove"),
    ("context", "add"), ("context", "use"), ("context", "list"), ("context", "show"), ("context", "remove"),
    ("rollout", "start"), ("rollout", "status"), ("rollout", "halt"), ("rollout", "undo"),
    ("alerts", "history"), ("alerts", "dry-run"), ("alerts", "test"), ("alerts", "receivers"), ("alerts", "deliveries"),
    ("alerts", "silence", "create"), ("alerts", "silence", "list"), ("alerts", "silence", "expire"),
    ("site", "drain"), ("site", "undrain"), ("token", "create"),
]  # fmt: skip


def test_every_verb_is_listed(isthmus: Run) -> None:
    outcome = isthmus("--help")
    assert outcome.code == Exit.OK
    names = {command.name for command in app.registered_commands} | {group.name for group in app.registered_groups}
    assert names == set(VERBS)
    for verb in VERBS:
        assert f" {verb} " in outcome.out
    assert "Exit codes" in outcome.out


@pytest.mark.parametrize("words", [*((verb,) for verb in VERBS), *NESTED], ids=" ".join)
def test_help_of_every_verb(isthmus: Run, words: tuple[str, ...]) -> None:
    outcome = isthmus(*words, "--help")
    assert outcome.code == Exit.OK
    assert f"Usage: isthmus {' '.join(words)}" in outcome.out
    assert outcome.out.count("\n") > 5


def test_no_arguments_print_help(isthmus: Run) -> None:
    outcome = isthmus()
    assert "Usage: isthmus" in outcome.out + outcome.err


def test_version(isthmus: Run) -> None:
    assert isthmus("version").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("get",), "Missing argument 'KIND'"),
        (("get", "pods"), "'pods' is not a kind of object; use one of"),
        (("get", "sites", "-o", "xml"), "'xml' is not one of"),
        (("get", "sites"), "No console is known. Run `isthmus context add NAME"),
        (("get", "sites", "--context", "x"), "There is no context 'x'; known: none."),
        (("apply", "-f", "/does/not/exist.yaml"), "/does/not/exist.yaml cannot be read: No such file or directory."),
        (("apply",), "Missing option '--file'"),
        (("delete",), "Give a kind and names, or --file, and not both."),
        (("delete", "site"), "Give a kind and names, or --file, and not both."),
        (("token", "create"), "Give either --site NAME or --region NAME."),
        (("token", "create", "--site", "a", "--ttl", "soon"), "--ttl: 'soon' is not a duration"),
        (("explain", "http://a/"), "Give either --from SITE or --local STATE_DIR."),
        (("explain", "http://a/", "--from", "a", "-H", "x"), "--header: 'x' is not NAME: VALUE."),
        (("status", "fra", "--local", "/tmp"), "Give either SITE or --local, not both."),
        (("site",), "`isthmus site` needs --state DIR."),
        (("site", "--state", "/tmp/" + "x" * 80), "is too long: Unix sockets lie in it"),
        (("region", "--state", "/tmp/x", "--listen", "80"), "--listen: '80' is not HOST:PORT"),
        (("site", "--state", "/tmp/x", "--token-file", "/does/not/exist"), "The token file /does/not/exist cannot be"),
        (("context", "use", "x"), "There is no context 'x'; known: none."),
        (("context", "add", "x", "--url", "http://a"), "'http://a' is not the address of a console"),
        (("completion", "fish"), "'fish' is not one of"),
        (("demo", "--keep", "/etc"), "/etc is not an empty directory."),
    ],
)
def test_wrong_usage_is_a_sentence(isthmus: Run, words: tuple[str, ...], sentence: str) -> None:
    outcome = isthmus(*words)
    assert outcome.code == Exit.USAGE
    assert outcome.out == ""
    assert sentence in " ".join(outcome.err.replace("│", " ").split())
    assert "Traceback" not in outcome.err


def test_unreachable_console(isthmus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISTHMUS_URL", "https://127.0.0.1:1")
    outcome = isthmus("get", "sites")
    assert (outcome.code, outcome.out) == (Exit.UNREACHABLE, "")
    assert outcome.err == "isthmus: Cannot reach the console at https://127.0.0.1:1: connection refused.\n"


def test_no_site_agent(isthmus: Run, tmp_path: Path) -> None:
    outcome = isthmus("status", "--local", str(tmp_path))
    assert outcome.code == Exit.UNREACHABLE
    assert f"No site agent answers in {tmp_path}: No such file or directory." in outcome.err


@pytest.mark.parametrize("plane", ["console", "region"])
def test_settings_of_a_collector_that_cannot_work(isthmus: Run, tmp_path: Path, plane: str) -> None:
    settings = tmp_path / "otlp.yaml"
    settings.write_text("{url: 'https://collector.example', token: s3cret, protcol: GRPC}")
    done = isthmus(plane, "--state", str(tmp_path / "state"), "--otlp", str(settings))
    assert done.code == 2
    assert "token: must be an object; write a mapping" in done.err
    assert "protcol: unknown field; did you mean protocol?" in done.err
    assert f"--otlp: The settings in {settings} cannot be used." in done.err
    assert "s3cret" not in done.err
    assert not (tmp_path / "state").exists()


def test_defect_is_a_sentence_too(isthmus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("a wheel came off")

    monkeypatch.setattr("isthmus.cli.get.find_kind", broken)
    outcome = isthmus("get", "sites")
    assert outcome.code == Exit.INTERNAL
    assert outcome.err.startswith("isthmus: internal error: RuntimeError: a wheel came off")


def test_details_come_before_the_sentence(isthmus: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: str) -> None:
        raise CommandError("Nothing was done.", Exit.CONFLICT, ["first", "second"])

    monkeypatch.setattr("isthmus.cli.get.find_kind", refused)
    outcome = isthmus("get", "sites")
    assert (outcome.code, outcome.err) == (Exit.CONFLICT, "first\nsecond\nisthmus: Nothing was done.\n")


def test_context_commands(isthmus: Run) -> None:
    assert isthmus("context", "add", "a", "--url", "https://a:1", stdin="secret-a\n").code == Exit.OK
    assert isthmus("context", "add", "b", "--url", "https://b:1", "--token-file", "-", stdin="secret-b").code == Exit.OK
    assert isthmus("context", "list").out.split() == ["NAME", "URL", "a", "https://a:1", "*", "b", "https://b:1"]
    assert isthmus("context", "use", "a").out == "context a in use\n"
    shown = isthmus("context", "show")
    assert "https://a:1" in shown.out
    assert "secret" not in shown.out
    assert isthmus("context", "remove", "a").code == Exit.OK
    assert isthmus("context", "show").code == Exit.NEGATIVE
    assert "secret" not in isthmus("context", "list", "-o", "json").out


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_script(isthmus: Run, shell: str) -> None:
    script = isthmus("completion", shell).out
    assert "_ISTHMUS_COMPLETE" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


def test_completion_of_kinds() -> None:
    environment = {
        **os.environ,
        "_ISTHMUS_COMPLETE": "complete_bash",
        "COMP_WORDS": "isthmus get virtual",
        "COMP_CWORD": "2",
    }
    completed = subprocess.run(
        [sys.executable, "-m", "isthmus"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert completed.stdout.split() == ["virtualhosts", "virtualsites"]


def test_help_loads_nothing_heavy() -> None:
    heavy = ("pydantic", "grpc", "google.protobuf", "sqlalchemy", "fastapi", "yaml", "cryptography", "asyncio")
    code = f"import sys, isthmus.cli.main; print([m for m in {heavy!r} if m in sys.modules])"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert completed.stdout == "[]\n"
