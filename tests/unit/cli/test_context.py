"""Contexts: which console is asked, with which token, and where those are kept."""

import json
import stat
from pathlib import Path

import pytest

from isthmus.cli.connection import find_context
from isthmus.cli.context_file import Context, Contexts, context_path, load_contexts, save_contexts
from isthmus.cli.error import CommandError, Exit


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("ISTHMUS_URL", "ISTHMUS_TOKEN_FILE", "ISTHMUS_CA", "ISTHMUS_CONTEXT"):
        monkeypatch.delenv(name, raising=False)


def known() -> Contexts:
    return Contexts("a", {"a": Context("https://a:1", "secret-a"), "b": Context("https://b:1", "secret-b")})


def test_file_is_private_and_round_trips() -> None:
    path = context_path()
    save_contexts(path, known())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert load_contexts(path) == known()
    assert [each.name for each in path.parent.iterdir()] == ["contexts.json"]


def test_no_file_is_no_context() -> None:
    assert load_contexts(context_path()) == Contexts()


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"current": "", "contexts": {"a": {"surprise": 1}}})])
def test_damaged_file_is_named(text: str) -> None:
    context_path().parent.mkdir(parents=True)
    context_path().write_text(text)
    with pytest.raises(CommandError, match="cannot be read") as caught:
        load_contexts(context_path())
    assert caught.value.code is Exit.USAGE


def test_name_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    save_contexts(context_path(), known())
    monkeypatch.setenv("ISTHMUS_URL", "https://c:1")
    assert find_context("b") == Context("https://b:1", "secret-b")


def test_context_in_use_is_the_default() -> None:
    save_contexts(context_path(), known())
    assert find_context(None) == Context("https://a:1", "secret-a")


def test_token_of_a_context_is_not_sent_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    save_contexts(context_path(), known())
    monkeypatch.setenv("ISTHMUS_URL", "https://c:1")
    assert find_context(None) == Context("https://c:1")


def test_environment_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    token, ca = tmp_path / "token", tmp_path / "ca.pem"
    token.write_text("secret\n")
    ca.write_text("text\n-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("ISTHMUS_URL", "https://c:1")
    monkeypatch.setenv("ISTHMUS_TOKEN_FILE", str(token))
    monkeypatch.setenv("ISTHMUS_CA", str(ca))
    found = find_context(None)
    assert (found.url, found.token) == ("https://c:1", "secret")
    assert found.ca == "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("ISTHMUS_TOKEN_FILE", "/does/not/exist", Exit.USAGE),
        ("ISTHMUS_CA", "/does/not/exist", Exit.UNREACHABLE),
        ("ISTHMUS_CA", "/dev/null", Exit.UNREACHABLE),
    ],
)
def test_unreadable_files_are_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: Exit) -> None:
    monkeypatch.setenv("ISTHMUS_URL", "https://c:1")
    monkeypatch.setenv(variable, value)
    with pytest.raises(CommandError) as caught:
        find_context(None)
    assert caught.value.code is code


def test_nothing_known_says_what_to_do() -> None:
    with pytest.raises(CommandError, match="isthmus context add"):
        find_context(None)
    with pytest.raises(CommandError, match="There is no context 'x'; known: none"):
        find_context("x")
