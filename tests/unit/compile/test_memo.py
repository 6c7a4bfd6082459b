"""The memory behind incremental compiling: what is computed again, and what is not."""

from __future__ import annotations

from isthmus.compile.memo import Memo


class Calls:
    """Questions that count how often they are computed."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def parity(self, memo: Memo, name: str) -> int:
        self.seen.append(f"parity {name}")
        return int(memo.read(name) or 0) % 2

    def label(self, memo: Memo, name: str) -> str:
        self.seen.append(f"label {name}")
        return "odd" if memo.ask(self.parity, name) else "even"

    def both(self, memo: Memo, _: None) -> tuple[str, str]:
        self.seen.append("both")
        return memo.ask(self.label, "a"), memo.ask(self.label, "b")

    def chosen(self, memo: Memo, _: None) -> str:
        self.seen.append("chosen")
        return memo.ask(self.label, memo.read("which") or "a")

    def take(self) -> list[str]:
        seen, self.seen = self.seen, []
        return seen


def test_answer_is_remembered() -> None:
    calls, memo = Calls(), Memo()
    memo.put("a", 1)
    assert memo.ask(calls.both, None) == ("odd", "even")
    calls.take()
    assert memo.ask(calls.both, None) == ("odd", "even")
    assert calls.take() == []


def test_change_recomputes_only_what_it_reaches() -> None:
    calls, memo = Calls(), Memo()
    memo.ask(calls.both, None)
    calls.take()
    memo.put("a", 1)
    assert memo.ask(calls.both, None) == ("odd", "even")
    assert calls.take() == ["parity a", "label a", "both"]


def test_equal_answer_stops_the_change() -> None:
    calls, memo = Calls(), Memo()
    memo.put("a", 1)
    before = memo.ask(calls.both, None)
    calls.take()
    memo.put("a", 3)
    assert memo.ask(calls.both, None) is before
    assert calls.take() == ["parity a"]


def test_equal_input_changes_nothing() -> None:
    calls, memo = Calls(), Memo()
    memo.put("a", 1)
    memo.ask(calls.both, None)
    calls.take()
    memo.put("a", 1)
    memo.ask(calls.both, None)
    assert calls.take() == []


def test_question_that_nobody_asks_is_forgotten_and_asked_anew() -> None:
    calls, memo = Calls(), Memo()
    memo.put("a", 1)
    assert memo.ask(calls.chosen, None) == "odd"
    memo.put("which", "b")
    assert memo.ask(calls.chosen, None) == "even"
    memo.put("a", 2)
    calls.take()
    memo.put("which", "a")
    assert memo.ask(calls.chosen, None) == "even"
    assert "label a" in calls.take()
    memo.put("a", 1)
    assert memo.ask(calls.chosen, None) == "odd"


def test_removed_input_reads_as_none() -> None:
    calls, memo = Calls(), Memo()
    memo.put("a", 1)
    assert memo.ask(calls.label, "a") == "odd"
    memo.put("a", None)
    assert memo.ask(calls.label, "a") == "even"


def test_several_changes_between_two_questions() -> None:
    calls, memo = Calls(), Memo()
    memo.ask(calls.both, None)
    memo.put("a", 1)
    memo.put("b", 1)
    memo.put("a", 2)
    assert memo.ask(calls.both, None) == ("even", "odd")
