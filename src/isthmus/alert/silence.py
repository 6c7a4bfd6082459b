"""Silences: alerts that are not told for a while, chosen by their labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import re2

from isthmus.alert.alert import Condition

LABELS = ("alertname", "severity", "subject", "site", "namespace", "object")
"""The labels of alerts. One that an alert has not counts as empty."""
OPERATORS = ("=", "!=", "=~", "!~")
_OPTIONS = re2.Options()
_OPTIONS.log_errors = False


class SilenceInvalid(ValueError):
    """A matcher or a time that cannot be meant. The message is a sentence for people."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """`site=fra`, `alertname!=lag`, `subject=~"Site (fra|ams).*"`. A regular expression (RE2) must match the whole."""

    label: str
    operator: str
    value: str

    def matches(self, labels: dict[str, str]) -> bool:
        """Whether the labels of an alert are as this asks."""
        given = labels.get(self.label, "")
        if self.operator in ("=", "!="):
            return (given == self.value) == (self.operator == "=")
        return bool(_compile(self.value).fullmatch(given)) == (self.operator == "=~")

    def __str__(self) -> str:
        return f"{self.label}{self.operator}{self.value}"


@dataclass(frozen=True, slots=True)
class Silence:
    """Alerts that meet all matchers are not told from `starts` to `ends` (seconds since 1970)."""

    id: str
    matchers: tuple[Matcher, ...]
    starts: float
    ends: float
    author: str
    comment: str

    def state(self, now: float) -> str:
        """`pending`, `active` or `expired`."""
        if now >= self.ends:
            return "expired"
        return "active" if now >= self.starts else "pending"

    def covers(self, condition: Condition) -> bool:
        """Whether it is of this alert, whenever."""
        labels = condition.labels
        return all(each.matches(labels) for each in self.matchers)


@lru_cache(maxsize=1000)
def _compile(pattern: str) -> Any:
    return re2.compile(pattern, options=_OPTIONS)


def parse_matcher(text: str) -> Matcher:
    """A matcher as it is written. Quotes around the value may be left out.

    Raises SilenceInvalid.
    """
    place = next((index for index, char in enumerate(text) if char in "=!"), len(text))
    label = text[:place].strip()
    operator = next((each for each in ("=~", "!~", "!=", "=") if text.startswith(each, place)), "")
    value = text[place + len(operator) :].strip()
    if not operator or label not in LABELS:
        raise SilenceInvalid(
            f"{text!r} is no matcher: write LABEL=VALUE (or !=, =~, !~) with one of {', '.join(LABELS)}."
        )
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if len(value) > 1024:
        raise SilenceInvalid(f"The value of {label} has more than 1024 characters.")
    if operator in ("=~", "!~"):
        try:
            _compile(value)
        except re2.error:
            raise SilenceInvalid(f"{value!r} is not an RE2 regular expression.") from None
    return Matcher(label, operator, value)


def check_silence(silence: Silence, now: float) -> None:
    """See that a new silence can be meant.

    Raises SilenceInvalid.
    """
    if not silence.matchers:
        raise SilenceInvalid("A silence has at least one matcher.")
    if all(each.matches({}) for each in silence.matchers):
        raise SilenceInvalid(
            "Every alert could meet these matchers; add one that asks for something, as site=fra does."
        )
    if silence.ends <= max(silence.starts, now):
        raise SilenceInvalid("A silence ends after it has begun, and not in the past.")
    if not silence.comment.strip():
        raise SilenceInvalid("Say in a comment why it is silent.")


def find_silence(condition: Condition, silences: Iterable[Silence], now: float) -> Silence | None:
    """The silence because of which an alert is not told now; of several the one that ends last."""
    found = [each for each in silences if each.state(now) == "active" and each.covers(condition)]
    return max(found, key=lambda each: each.ends, default=None)
